"""The provider's files and batches under the official packages: our wire format and theirs agree."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from one_ocr_ray.engines.llm.batch import openai_batch
from one_ocr_ray.engines.llm.batch.client import BATCH_CODECS
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.model import PageRequest
from one_ocr_ray.reading.batch.check import fault_of_batches
from tests.provider import DEFAULT_KEY, BatchPlay, Provider
from tests.unit.wire_samples_reader import page_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

openai_sdk = pytest.importorskip("openai")
genai = pytest.importorskip("google.genai")

ASK = PageRequest(prompt="Read.")
IMAGES = [page_image(b"\xff\xd8\xff\xe0" + bytes([number]) * 90) for number in range(3)]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def our_lines(base_url: str) -> bytes:
    """The file that a run uploads to `base_url`; to Gemini with none."""
    options = EngineOptions(name="openai" if base_url else "gemini", model="m", base_url=base_url or "http://here")
    codec, batch_codec = CODECS[options.name], BATCH_CODECS[options.name]
    bodies = (codec.build_body(options, image, ASK) for image in IMAGES)
    return b"".join(batch_codec.build_line(options, f"{at:04d}", body) for at, body in enumerate(bodies))


def read_lines(name: str, content: bytes) -> dict[str, bool]:
    """What a run takes from a result: whether each line has a text, by key."""
    results = [BATCH_CODECS[name].read_line(line) for line in content.splitlines()]
    return {each.key: each.answer is not None and bool(each.answer.text) for each in results if each is not None}


GOOD = dict.fromkeys(("0000", "0001", "0002"), True)


def test_the_openai_package_runs_a_batch(provider: Provider) -> None:
    """Upload, create, wait on the clock, read: each line is executed once and billed, and the files can go."""
    provider.reset(batches=BatchPlay(validate_s=10, run_s=3600).model_dump())
    client = openai_sdk.OpenAI(api_key=DEFAULT_KEY, base_url=provider.openai_url, max_retries=0)
    file = client.files.create(
        file=("oo-tag.jsonl", io.BytesIO(our_lines(provider.openai_url))), purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 259_200},
    )  # fmt: skip
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"tag": "oo-tag"}
    )
    assert batch.status == "validating"
    provider.turn_clock(60)
    assert client.batches.retrieve(batch.id).status == "in_progress"
    provider.turn_clock(3600)
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 3)
    assert read_lines("openai", client.files.content(done.output_file_id).content) == GOOD
    ours = openai_batch.read_batch(done.model_dump())
    assert ours is not None
    assert (ours.batch_id, ours.state.value, ours.tag, ours.input_file) == (batch.id, "completed", "oo-tag", file.id)
    assert (ours.outputs, ours.lines) == ((done.output_file_id,), 3)
    assert [each.metadata for each in client.batches.list()] == [{"tag": "oo-tag"}]
    executed = [row for row in provider.rows() if row.operation == "line"]
    assert (len(executed), {row.settings["tag"] for row in executed}) == (3, {"oo-tag"})
    for file_id in (file.id, done.output_file_id):
        client.files.delete(file_id)
    assert provider.batches()["files"] == 0


@pytest.mark.parametrize("classic", [True, False])
def test_the_openai_package_runs_a_batch_at_azure(classic: bool, provider: Provider) -> None:
    """Both of Azure's APIs: other paths and keys, files that are pending, an error file even where no line failed."""
    provider.reset(batches=BatchPlay(run_s=3600, pending_s=600).model_dump())
    endpoint = "/chat/completions" if classic else "/v1/chat/completions"
    if classic:
        client = openai_sdk.AzureOpenAI(
            api_key=DEFAULT_KEY, azure_endpoint=provider.url, api_version="2026-01-01", max_retries=0
        )
    else:
        client = openai_sdk.OpenAI(api_key=DEFAULT_KEY, base_url=f"{provider.url}/openai/v1", max_retries=0)
    lines = our_lines(f"{provider.url}?api-version=2026-01-01" if classic else f"{provider.url}/openai/v1")
    kept = {"anchor": "created_at", "seconds": 1_209_600}
    file = client.files.create(file=("oo-tag.jsonl", io.BytesIO(lines)), purpose="batch", expires_after=kept)
    assert client.files.retrieve(file.id).status == "pending"
    asked: dict[str, Any] = {"endpoint": endpoint, "completion_window": "24h", "metadata": {"tag": "oo-tag"}}
    with pytest.raises(openai_sdk.BadRequestError):
        client.batches.create(input_file_id=file.id, **asked)
    provider.turn_clock(700)
    assert client.files.retrieve(file.id).status == "processed"
    batch = client.batches.create(input_file_id=file.id, **asked)
    provider.turn_clock(3700)
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 3)
    assert client.files.content(done.error_file_id).content == b""
    assert read_lines("openai", client.files.content(done.output_file_id).content) == GOOD
    ours = openai_batch.read_batch(done.model_dump())
    assert ours is not None
    assert (ours.state.value, ours.tag, len(ours.outputs)) == ("completed", "oo-tag", 2)
    assert [each.id for each in client.batches.list()] == [batch.id]
    assert {row.dialect for row in provider.rows()} == {"azure"}
    for file_id in (file.id, done.output_file_id, done.error_file_id):
        client.files.delete(file_id)
    assert provider.batches()["files"] == 0


def test_the_openai_package_meets_the_cap(provider: Provider) -> None:
    """A batch above the enqueued tokens is taken in, and fails later with the number in its text."""
    provider.reset(batches=BatchPlay(cap_tokens=2000).model_dump())
    client = openai_sdk.OpenAI(api_key=DEFAULT_KEY, base_url=provider.openai_url, max_retries=0)
    file = client.files.create(file=("a.jsonl", io.BytesIO(our_lines(provider.openai_url))), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    failed = client.batches.retrieve(batch.id)
    assert (failed.status, failed.errors.data[0].code) == ("failed", "token_limit_exceeded")
    assert "Limit: 2,000 enqueued" in failed.errors.data[0].message


def test_the_google_package_runs_a_batch(provider: Provider, tmp_path: Path) -> None:
    """Resumable upload, create by file, list with a page size, and the results by their long name."""
    provider.reset(batches=BatchPlay(run_s=3600).model_dump())
    path = tmp_path / "in.jsonl"
    path.write_bytes(our_lines(""))
    client = genai.Client(api_key=DEFAULT_KEY, http_options={"base_url": provider.gemini_url, "api_version": "v1beta"})
    file = client.files.upload(file=str(path), config={"display_name": "oo-tag", "mime_type": "application/jsonl"})
    job = client.batches.create(model="m", src=file.name, config={"display_name": "oo-tag"})
    assert job.state.name in {"JOB_STATE_PENDING", "JOB_STATE_RUNNING"}
    provider.turn_clock(3700)
    done = client.batches.get(name=job.name)
    assert done.state.name == "JOB_STATE_SUCCEEDED"
    found: Any = client.files.download(file=done.dest.file_name)
    assert read_lines("gemini", found) == GOOD
    assert [each.display_name for each in client.batches.list(config={"page_size": 10})] == ["oo-tag"]
    other = client.batches.create(model="m", src=file.name, config={"display_name": "oo-other"})
    client.batches.cancel(name=other.name)
    assert client.batches.get(name=other.name).state.name == "JOB_STATE_CANCELLED"
    client.files.delete(name=file.name)
    assert provider.batches()["files"] == 0


@pytest.mark.parametrize("name", ["openai", "gemini"])
def test_the_check_of_doctor(name: str, provider: Provider) -> None:
    """It lists batches and uploads a file that it deletes; a wrong key is told, and no batch is created."""
    provider.reset()
    base_url = provider.openai_url if name == "openai" else provider.gemini_url
    options = EngineOptions(name=name, model="m", base_url=base_url, api_key=SecretStr(DEFAULT_KEY))
    assert fault_of_batches(options) is None
    assert (provider.batches()["files"], provider.batches()["batches"]) == (0, 0)
    assert {row.operation for row in provider.rows()} >= {"list", "upload", "delete"}
    told = fault_of_batches(replace(options, api_key=SecretStr("another")))
    assert told is not None
    assert "key" in told

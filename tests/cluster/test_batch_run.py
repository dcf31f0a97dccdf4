"""A whole run in provider batches: rendered on Ray, asked at half the price, ended and gone on with."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from PIL import Image, ImageDraw

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.reading.batch.history import GONE
from tests.cluster.outputs import pages_by_source, read
from tests.pdfs import scan_pdf, text_pdf
from tests.provider import BatchPlay, Identity, ProviderProcess, write_identity_pdfs

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary


def test_a_route_whose_last_reader_answers_in_batches(tmp_path: Path, ray_cluster: None) -> None:
    """Only pages that need the model are uploaded; the run may leave, and the next one collects and commits."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "text.pdf").write_bytes(text_pdf(2))
    sheet = Image.new("RGB", (850, 1100), "white")
    ImageDraw.Draw(sheet).rectangle((100, 100, 500, 140), fill="black")
    encoded = io.BytesIO()
    sheet.save(encoded, "JPEG")
    (source / "scan.pdf").write_bytes(scan_pdf(encoded.getvalue(), 850, 1100, colour=True))
    with ProviderProcess(keys=(), batches=BatchPlay(run_s=3600).model_dump()) as provider:
        stopped: list[RunSummary] = []
        flags: dict[str, Any] = {
            "engine": "openai", "base_url": provider.openai_url, "model": uuid4().hex, "route": "text-layer,openai",
            "batch": True, "prices": {},
        }  # fmt: skip
        with pytest.raises(StoppedError, match=r"run the same command again before .* UTC"):
            read(output, source, batch_wait=0, on_stop=stopped.append, **flags)
        told = stopped[0].as_json()["batch"]
        assert (told["parcels"], told["live"], told["pages_live"]) == (1, 1, 1)
        provider.turn_clock(3700)
        summary = read(output, source, **flags)
        assert summary.exit_code == 0
        assert summary.as_json()["batch"]["live"] == 0
        found = {name: row["engine"] for name, row in pages_by_source(output).items()}
        assert found == {("text.pdf", 1): "text-layer", ("text.pdf", 2): "text-layer", ("scan.pdf", 1): "openai"}
        assert pages_by_source(output)["scan.pdf", 1]["route_reason"] == "no_text"
        assert sum(row.operation == "line" for row in provider.rows()) == 1
        assert provider.batches()["files"] == 0


def test_batches_that_end_badly(tmp_path: Path, ray_cluster: None) -> None:
    """Results that are gone are asked for again; where hardly any first page is good, no more batches are made."""
    source, said = tmp_path / "in", list[str]()
    source.mkdir()
    (source / "1.pdf").write_bytes(text_pdf(6))
    with ProviderProcess(keys=(), batches=BatchPlay(run_s=3600).model_dump()) as provider:
        flags: dict[str, Any] = {
            "engine": "openai", "base_url": provider.openai_url, "model": uuid4().hex, "batch": True, "prices": {},
            "longest_side": 800,
        }  # fmt: skip
        gone = tmp_path / "gone"
        with pytest.raises(StoppedError, match="--batch-wait"):
            read(gone, source, batch_wait=0, **flags)
        for seconds in (3700, 60 * 86_400.0):  # they are kept from the end of a batch
            provider.turn_clock(seconds)
        assert read(gone, source, say=said.append, **flags).exit_code == 0
        assert GONE.format(pages=6) in said
        bad = tmp_path / "bad"
        provider.reset(keys=(), batches=BatchPlay(run_s=3600).model_dump(), rules=[{"fault": "refusal"}])
        with pytest.raises(StoppedError, match="--batch-wait"):
            read(bad, source, batch_wait=0, batch_rest="batch", **flags)
        provider.turn_clock(3700)
        with pytest.raises(StoppedError, match="first pages fail with refused, so that no more batches are made"):
            read(bad, source, batch_rest="batch", **flags)


def test_a_committed_shard_is_left_alone_while_others_go_on(tmp_path: Path, ray_cluster: None) -> None:
    """A page that is refused is asked for once, however many rounds of batches another shard takes."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_identity_pdfs(source, (1, 2), 1)
    rules = [
        {"fault": "refusal", "page": str(Identity(1, 1))},
        {"fault": "server_error", "page": str(Identity(2, 1)), "times_per_page": 1},
    ]
    with ProviderProcess(keys=(), batches=BatchPlay(run_s=0.5).model_dump(), rules=rules) as provider:
        summary = read(
            output, source, engine="openai", base_url=provider.openai_url, model=uuid4().hex, batch=True,
            batch_rest="batch", prices={}, longest_side=800, shard_pages=1,
        )  # fmt: skip
        lines = Counter(row.page for row in provider.rows() if row.operation == "line")
        assert lines == {str(Identity(1, 1)): 1, str(Identity(2, 1)): 2}
        assert provider.batches()["files"] == 0
    assert summary.counts.pages == {"ok": 1, "failed": 1, "blank": 0}

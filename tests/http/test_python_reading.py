"""`ocr.read` and `ocr.PageReader` without a cluster: a fake provider reads the pages, or nobody needs to."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import one_ocr_ray as ocr
from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.policy.ratelimit.messages import LimiterClient, Limits
from one_ocr_ray.reading.limits.own_limiter import OwnLimiter
from one_ocr_ray.reading.limits.permits import LeasedPermits
from one_ocr_ray.reading.page.answer_places import words_of
from tests import archives, pdfs, pictures
from tests.provider import Identity, identity_pdf
from tests.scans import scan, share_in_place

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider import Provider


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A document of three pages that say who they are."""
    path = tmp_path / "doc.pdf"
    path.write_bytes(identity_pdf(7, 3))
    return path


def test_a_file_is_read_in_this_process(provider: Provider, file: Path) -> None:
    """Each page once, in order, with the route's reader; only the wanted pages; Ray is not loaded."""
    provider.change(keys=())
    code = f"""
import asyncio, sys
import one_ocr_ray as ocr

async def as_in_a_notebook():
    return ocr.read({str(file)!r}, engine="openai", base_url={provider.openai_url!r}, model="m", pages="2-3")

document = asyncio.run(as_in_a_notebook())
assert "ray" not in sys.modules
print([(page.number, page.status, page.row.engine, page.text.splitlines()[0]) for page in document.pages])
print(document.name, document.page_count, document.pages[0].markdown in document.markdown)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0] == str([(n, "ok", "openai", f"doc-0007 page {n}") for n in (2, 3)])
    assert said[1] == "doc.pdf 3 True"
    assert sorted(row.page for row in provider.rows()) == ["doc-0007 page 2", "doc-0007 page 3"]


def test_words_of_a_model_get_their_places_from_the_picture(provider: Provider, tmp_path: Path) -> None:
    """A scan without a text layer: 95 of 100 words have the right box, and the model is asked once."""
    picture, truth = scan(Identity(3, 1), 1500)
    (tmp_path / "scan.png").write_bytes(picture)
    provider.change(keys=(), text_chars=1500)
    asked = {"engine": "openai", "base_url": provider.openai_url, "model": "m"}
    page = ocr.read(tmp_path / "scan.png", positions="words", **asked).pages[0]
    assert page.row.page_box is not None
    assert share_in_place(words_of(page.blocks), truth, page.row.page_box) >= 0.95
    assert {block.source for block in page.blocks} == {"llm"}
    assert (page.row.engine, page.row.attempts, len(provider.rows())) == ("openai", 1, 1)


def test_what_stops_an_account_stops_the_call(provider: Provider, file: Path) -> None:
    """A wrong key is one error, not three failed pages."""
    provider.change(keys=("another",))
    with pytest.raises(StoppedError, match="key"):
        ocr.read(file, engine="openai", base_url=provider.openai_url, model="m")


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, file: Path) -> None:
    """A file that does not open has the dataset's code; a folder and a ZIP are several files; settings of a run."""
    (tmp_path / "locked.pdf").write_bytes(pdfs.encrypted_pdf())
    with pytest.raises(ocr.DocumentError) as error:
        ocr.read(tmp_path / "locked.pdf")
    assert (error.value.code, "locked.pdf: " in str(error.value)) == ("pdf_encrypted", True)
    with pytest.raises(ocr.DocumentError, match="There is no such file"):
        ocr.read(tmp_path / "nothing.pdf")
    (tmp_path / "in.zip").write_bytes(archives.packed({"a.pdf": b"", "b.pdf": b""}))
    with pytest.raises(UsageError, match="2 files"):
        ocr.read(tmp_path / "in.zip")
    with pytest.raises(UsageError, match="output is for"):
        ocr.read(file, output="out")
    with pytest.raises(UsageError, match="vllm"):
        ocr.PageReader(engine="vllm", model="org/model")


def test_a_stage_gives_a_row_for_each_page() -> None:
    """With the other columns of its file; one that does not open is a row, too. It travels to other processes."""
    stage = pickle.loads(pickle.dumps(ocr.PageReader(max_pages=10)))
    batch = {
        "bytes": [pdfs.content_pdf(b"", b""), b"words", pictures.png_bomb()],
        "path": ["/in/two.pdf", "/in/notes.txt", "/in/large.png"],
        "owner": ["a", "b", "c"],
    }
    rows = stage(batch).to_pylist()
    found = [(row["owner"], row["source_name"], row["page_number"], row["status"]) for row in rows]
    assert found == [
        ("a", "two.pdf", 1, "blank"),
        ("a", "two.pdf", 2, "blank"),
        ("b", "notes.txt", 0, "failed"),
        ("c", "large.png", 1, "failed"),
    ]
    assert [row["error"] and row["error"]["code"] for row in rows[2:]] == ["unsupported_file", "image_too_large"]
    assert "path" in rows[0]
    assert "bytes" not in rows[0]


def test_a_stage_reads_files_by_name(tmp_path: Path) -> None:
    """Where there are no bytes; the files of an archive each. Without any name it is a mistake."""
    path = tmp_path / "in.zip"
    path.write_bytes(archives.packed({"a.pdf": pdfs.content_pdf(b""), "b.pdf": pdfs.content_pdf(b"")}))
    stage = ocr.PageReader()
    rows = stage({"uri": [str(path), str(tmp_path / "none.pdf")]}).to_pylist()
    assert [row["source_uri"].rpartition("/")[2] for row in rows] == ["in.zip#a.pdf", "in.zip#b.pdf", "none.pdf"]
    assert stage({"uri": []}).num_rows == 0
    with pytest.raises(UsageError, match="column"):
        stage({"text": ["a"]})
    with pytest.raises(UsageError, match="max_cost"):
        ocr.PageReader(engine="openai", max_cost=1)


async def test_a_process_alone_keeps_the_rate() -> None:
    """Its own gate spaces requests as the cluster's does."""
    permits = LeasedPermits(OwnLimiter(), LimiterClient("read", "read", limits=Limits(requests_per_minute=1200)))
    await permits.acquire(1)
    began_s = time.monotonic()
    await asyncio.gather(*(permits.acquire(1) for _ in range(6)))
    assert time.monotonic() - began_s >= 0.9 * 6 / 20
    await permits.close()

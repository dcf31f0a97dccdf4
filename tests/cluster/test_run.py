"""Whole runs with the embedded engine on a real Ray: what stands in the dataset afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.cli import main
from one_ocr_ray.errors import OneOcrError, UsageError
from one_ocr_ray.storage.dataset.verify import verify
from tests import pdfs
from tests.cluster.outputs import file_bytes, pages_by_source, read, rows
from tests.provider import Provider
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.policy.progress import RunProgress

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, bad and hostile documents, two of them with the same bytes."""
    root = tmp_path_factory.mktemp("pdfs")
    files = {
        "good.pdf": pdfs.text_pdf(2, "good"),
        "twin.pdf": pdfs.text_pdf(2, "good"),
        "blank.pdf": pdfs.content_pdf(b"", pdfs.text("between blanks"), b""),
        "bad-page.pdf": pdfs.bad_page_pdf(3, bad_page=2),
        "locked.pdf": pdfs.encrypted_pdf("open sesame"),
        "empty.pdf": pdfs.zero_pages_pdf(),
        "text.pdf": b"not a PDF at all",
        "nothing.pdf": b"",
        "cut.pdf": pdfs.truncated_pdf(),
        "long.pdf": pdfs.text_pdf(9, "long"),
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, Any]]:
    """Flags of a model that answers at once, for what does not depend on the engine: those of OCR start slowly."""
    with Provider(keys=()) as provider:
        yield {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000, "longest_side": 400}


@pytest.fixture(scope="module")
def output(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, read once, with a missing file among the inputs and at most 8 pages a document."""
    target = tmp_path_factory.mktemp("out") / "dataset"
    summary = read(target, folder, folder / "missing.pdf", max_pages=8)
    assert summary.exit_code == 3
    told = summary.as_json()
    assert told["documents"] == {"total": 11, "ok": 3, "partial": 1, "failed": 7}
    assert told["pages"] == {"total": 8, "ok": 5, "blank": 2, "failed": 1}
    assert told["requests"]["sent"] == 5
    assert summary.pages_read == 8
    return target


def test_what_ray_prints_meanwhile_stays_out_of_the_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray's threads print warnings on stdout, such as of many workers; stdout has one JSON object and nothing else."""
    out = tmp_path / "out"

    def print_like_ray() -> None:  # whose threads are there while a run is at work, not before it and not after it
        until((out / "_run").exists, "a run at work")
        print("(raylet) WARNING: 12 PYTHON worker processes have been started", file=sys.stdout)

    printing = threading.Thread(target=print_like_ray)
    printing.start()
    try:
        code = main(["run", str(folder / "good.pdf"), "--output", str(out), "--json"])
    finally:
        printing.join()
    told = capsys.readouterr()
    assert code == json.loads(told.out)["exit_code"] == 0
    assert "(raylet) WARNING" in told.err


def test_every_page_is_read_once_and_is_itself(output: Path) -> None:
    """The text on each page says which page it is; none is swapped, missing or doubled."""
    pages = pages_by_source(output)
    for number in (1, 2):
        row = pages["good.pdf", number]
        assert row["status"] == "ok"
        assert pdfs.identity("good", number, 2) in row["markdown"]
        assert 0.5 < row["confidence"] <= 1
        assert max(row["image_width"], row["image_height"]) == 1600
        assert (row["attempts"], row["cost_usd"], row["engine"]) == (1, 0.0, "local")
    assert ("twin.pdf", 1) not in pages


def test_blank_pages_are_blank_and_ask_no_engine(output: Path) -> None:
    """Decided by the image; the empty string, not null."""
    pages = pages_by_source(output)
    assert [pages["blank.pdf", n]["status"] for n in (1, 2, 3)] == ["blank", "ok", "blank"]
    assert (pages["blank.pdf", 1]["markdown"], pages["blank.pdf", 1]["attempts"]) == ("", 0)


def test_a_bad_page_leaves_the_others_good(output: Path) -> None:
    """It is a row with a code; its document is partial."""
    pages = pages_by_source(output)
    assert [pages["bad-page.pdf", n]["status"] for n in (1, 2, 3)] == ["ok", "failed", "ok"]
    assert pages["bad-page.pdf", 2]["error"]["code"] == "render_failed"
    assert pages["bad-page.pdf", 2]["markdown"] is None


def test_documents_that_cannot_be_opened_have_a_coded_row(output: Path) -> None:
    """One row each, and no pages."""
    codes = {row["source_name"]: row["error"]["code"] for row in rows(output, "documents") if row["error"]}
    assert codes == {
        "locked.pdf": "pdf_encrypted",
        "empty.pdf": "pdf_empty",
        "text.pdf": "not_pdf",
        "nothing.pdf": "not_pdf",
        "cut.pdf": "pdf_corrupt",
        "missing.pdf": "pdf_not_found",
        "long.pdf": "too_many_pages",
    }
    missing = next(row for row in rows(output, "documents") if row["source_name"] == "missing.pdf")
    assert missing["document_id"].startswith("uri-sha256:")
    assert not {source for source, _ in pages_by_source(output)} & set(codes)


def test_files_with_the_same_bytes_share_one_reading(output: Path) -> None:
    """Both have their row, one document id, the same text; the pages stand once."""
    documents = {row["source_name"]: row for row in rows(output, "documents")}
    good, twin = documents["good.pdf"], documents["twin.pdf"]
    assert good["document_id"] == twin["document_id"]
    assert good["markdown"] == twin["markdown"]
    assert twin["source_uri"].endswith("twin.pdf")


def test_nothing_is_left_of_the_work(output: Path) -> None:
    """Journals go after the commit."""
    assert not [path for path in output.rglob("_work/**/*") if path.is_file()]


def test_a_rerun_reads_nothing_and_changes_nothing(output: Path, folder: Path) -> None:
    """Failed documents and pages stay as they are; committed files are the same bytes."""
    before = file_bytes(output)
    summary = read(output, folder, folder / "missing.pdf", max_pages=8)
    assert (summary.pages_read, summary.exit_code) == (0, 3)
    assert file_bytes(output) == before


def test_new_files_are_added(tmp_path: Path, model: dict[str, Any]) -> None:
    """What is there stays; a new copy of known bytes costs no reading."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "a.pdf").write_bytes(pdfs.text_pdf(1, "first"))
    read(output, source, **model)
    before = file_bytes(output)
    (source / "b.pdf").write_bytes(pdfs.content_pdf(b""))
    (source / "c.pdf").write_bytes(pdfs.text_pdf(1, "first"))
    summary = read(output, source, **model)
    assert (summary.pages_read, summary.exit_code) == (1, 0)
    assert before.items() <= file_bytes(output).items()
    assert sorted(row["source_name"] for row in rows(output, "documents")) == ["a.pdf", "b.pdf", "c.pdf"]


def test_another_configuration_is_refused(output: Path, folder: Path) -> None:
    """The sentence names what differs."""
    with pytest.raises(UsageError, match="--longest-side 1600 before, 800 now"):
        read(output, folder, longest_side=800)


def test_a_password_opens_a_locked_document(tmp_path: Path, model: dict[str, Any]) -> None:
    """And a wrong one is told apart from none."""
    locked = tmp_path / "locked.pdf"
    locked.write_bytes(pdfs.encrypted_pdf("open sesame"))
    assert read(tmp_path / "right", locked, password="open sesame", **model).exit_code == 0
    read(tmp_path / "wrong", locked, password="close sesame", **model)
    (row,) = rows(tmp_path / "wrong", "documents")
    assert row["error"]["code"] == "pdf_bad_password"


def test_selected_pages_only(tmp_path: Path, model: dict[str, Any]) -> None:
    """Rows, counts and page_ends speak of the selected pages; page_count is the document's."""
    document = tmp_path / "d.pdf"
    document.write_bytes(pdfs.content_pdf(b"", pdfs.text("second"), b"", b"", b""))
    read(tmp_path / "out", document, pages="2-3,9-", **model)
    assert [number for _, number in pages_by_source(tmp_path / "out")] == [2, 3]
    (row,) = rows(tmp_path / "out", "documents")
    assert (row["page_count"], row["pages_ok"], row["pages_blank"], row["outcome"]) == (5, 1, 1, "complete")
    assert row["page_ends"] == [len(row["markdown"])] * 2


def test_many_shards_over_several_workers(tmp_path: Path, model: dict[str, Any]) -> None:
    """Every document is in the output once, however the work is cut."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(30):
        (source / f"{number:02d}.pdf").write_bytes(pdfs.content_pdf(b"", b"", b"%d 0 m" % number))
    summary = read(tmp_path / "out", source, shard_pages=12, workers=3, **model)
    assert summary.as_json()["pages"] == {"total": 90, "ok": 0, "blank": 90, "failed": 0}
    assert len(list((tmp_path / "out" / "pages").glob("*.parquet"))) == 8
    assert len(pages_by_source(tmp_path / "out")) == 90


def test_every_input_ends_as_a_row_and_the_next_run_knows_it(tmp_path: Path, model: dict[str, Any]) -> None:
    """Names that are no UTF-8, files of another kind, names with brackets that are not there, unlistable folders."""
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(source) + "/报告.pdf".encode("gbk"))).write_bytes(pdfs.content_pdf(b""))
    (source / "scan.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (source / "0a1b2c3d").write_bytes(pdfs.content_pdf(b"", b""))
    at = os.open(source / "deep", os.O_RDONLY)
    for _ in range(20):  # deeper than a path can say: nobody can list it, root neither
        os.mkdir("n" * 250, dir_fd=at)
        at = os.open("n" * 250, os.O_RDONLY, dir_fd=at)
    listing = tmp_path / "list.txt"
    listing.write_text(f"{source}\n{source}/scan.jpg\n{source}/0a1b2c3d\n{source}/missing [1].pdf\n", encoding="utf-16")
    told = read(output, f"@{listing}", **model).as_json()
    found = {row["source_uri"]: row for row in rows(output, "documents")}
    codes = {row["source_name"]: (row["error"] or {}).get("code") for row in found.values()}
    folder = codes.pop("n" * 250)
    assert codes == {
        "%B1%A8%B8%E6.pdf": None,
        "scan.jpg": "pdf_corrupt",
        "0a1b2c3d": None,
        "missing [1].pdf": "pdf_not_found",
    }
    assert (folder, told["exit_code"], told["pages"]["blank"]) == ("pdf_not_found", 3, 3)
    assert next(uri for uri in found if "%B1" in uri) == f"file://{source}/%B1%A8%B8%E6.pdf"
    before = file_bytes(output)
    assert read(output, f"@{listing}", **model).pages_read == 0
    assert file_bytes(output) == before
    shutil.rmtree(source / "deep")
    (source / "deep").mkdir()
    read(output, f"@{listing}", retry_failed=True, **model)
    assert not list(verify(str(output)))


def test_rows_that_are_missing_at_the_end_are_exit_1(tmp_path: Path, model: dict[str, Any]) -> None:
    """Here somebody takes a committed file away; a folder that a worker's node does not share looks the same."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(2):
        (source / f"{number}.pdf").write_bytes(pdfs.content_pdf(*[b""] * 20, pdfs.text(f"{number}")))
    told: list[RunSummary] = []
    taken: list[Path] = []

    def take_away(_: RunProgress) -> None:
        for file in (output / "documents").glob("*.parquet"):
            if not taken:
                taken.append(file)
                file.unlink()

    with pytest.raises(OneOcrError, match="1 documents where 2 are planned, and 42 pages where 42") as ended:
        read(output, source, on_stop=told.append, on_progress=take_away, **model)
    assert "\n" not in str(ended.value)
    assert ended.value.exit_code == told[0].exit_code == 1
    assert told[0].as_json()["inputs"] == {"found": 2, "committed": 1}
    again = read(output, source, **model)
    assert (again.exit_code, again.as_json()["inputs"]) == (0, {"found": 2, "committed": 2})

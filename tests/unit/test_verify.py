"""Checking a dataset: each invariant of the contract, broken once, is found; a sound dataset has no findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from one_ocr_ray.cli import main
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import ErrorCode, Failure, Outcome, PageStatus
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.export import ExportFormat
from one_ocr_ray.policy.dataset.selection import ALL_PAGES, parse_selection
from one_ocr_ray.policy.dataset.verify import duplicate_findings, shard_findings
from one_ocr_ray.storage.dataset.export import export
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.run_dir import CONFIG
from one_ocr_ray.storage.store.objects import Objects
from tests import datasets
from tests.books import book
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from one_ocr_ray.model import DocumentResult, PageResult

PAPER = document(1, page_count=3)
PAGES = (page(PAPER, 1), page(PAPER, 2, status=PageStatus.BLANK, markdown=""), page(PAPER, 3, failure=TIMED_OUT))
ROW = document_result(PAPER, PAGES, RunIdentity("run", "config"), NOON)
LOCKED = Failure(ErrorCode.PDF_ENCRYPTED, "Locked.")


def findings(row: DocumentResult, *pages: PageResult, selection: str = "all") -> list[str]:
    return list(shard_findings([row], pages, parse_selection(selection), copies=False))


def test_a_sound_shard_has_no_findings() -> None:
    """Good, blank and failed pages; a document that could not be opened; pages that were not wanted."""
    assert findings(ROW, *PAGES) == []
    assert findings(document_result(PAPER, PAGES[1:2], RunIdentity("r", "c"), NOON), PAGES[1], selection="2") == []
    locked = document(2, page_count=None, failure=LOCKED)
    assert findings(document_result(locked, [], RunIdentity("r", "c"), NOON)) == []


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (1, {"markdown": None}, "is ok, and its markdown is null"),
        (3, {"markdown": "x"}, "is failed, and its markdown is not null"),
        (1, {"failure": TIMED_OUT}, "is ok, and its error is not null"),
        (3, {"failure": None}, "is failed, and its error is null"),
        (2, {"markdown": "x"}, "is blank and has text"),
        (3, {"page_count": 2}, "is outside its document of 2 pages"),
    ],
)
def test_a_page_that_contradicts_itself_is_found(number: int, changes: dict[str, Any], words: str) -> None:
    """Status, markdown and error belong together; a page lies inside its document."""
    pages = [replace(each, **changes) if each.page_number == number else each for each in PAGES]
    assert any(words in finding for finding in findings(ROW, *pages))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pages_ok": 2}, "states (2, 1, 1)"),
        ({"pages_failed": 0}, "states (1, 1, 0)"),
        ({"markdown": "other"}, "markdown or page_ends"),
        ({"page_ends": (0, 0, 14)}, "markdown or page_ends"),
        ({"page_ends": (14,)}, "markdown or page_ends"),
        ({"cost_usd": 1.0}, "another cost"),
        ({"page_count": 4}, "has 3 of 4 page rows"),
        ({"failure": LOCKED}, "has 3 of 0 page rows"),
    ],
)
def test_a_document_that_contradicts_its_pages_is_found(changes: dict[str, Any], words: str) -> None:
    """Counts, text, ends, cost and the rows themselves follow from the pages."""
    assert any(words in finding for finding in findings(replace(ROW, **changes), *PAGES))


def test_pages_out_of_order_missing_or_too_many_are_found() -> None:
    """A document has each wanted page once, in order."""
    first, second, third = PAGES
    for pages in ((second, first, third), (first, third), (first, second, second, third)):
        assert any("page rows, or they are out of order" in finding for finding in findings(ROW, *pages))


def test_an_error_with_another_outcome_is_found() -> None:
    """A document that could not be opened has failed, whatever its row says."""
    locked = document_result(document(2, page_count=None, failure=LOCKED), [], RunIdentity("r", "c"), NOON)
    assert any("has an error and is partial" in each for each in findings(replace(locked, outcome=Outcome.PARTIAL)))


def test_pages_without_a_document_are_found() -> None:
    """And pages of a shard of copies, which has none."""
    orphan = page(document(9), 1)
    (finding,) = shard_findings([ROW], [*PAGES, orphan], ALL_PAGES, copies=False)
    assert finding == f"pages of {orphan.document_id} stand without a document"


def test_a_page_in_two_rows_is_found() -> None:
    """Over all shards, by document and number."""
    assert list(duplicate_findings(Counter({("sha256:a", 1): 1, ("sha256:a", 2): 2}))) == [
        "page 2 of sha256:a stands in 2 rows"
    ]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A dataset with a shard of its own and one of copies."""
    datasets.write(tmp_path, [PAPER], PAGES, copies=[replace(PAPER, uri="/pdfs/copy.pdf")])
    return tmp_path


def test_a_sound_dataset_is_sound(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No finding, exit 0."""
    assert list(verify(str(output))) == []
    assert main(["verify", str(output)]) == 0
    assert capsys.readouterr().out == "The dataset is sound.\n"


def test_a_dataset_of_version_1_is_sound_and_exported(output: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What earlier releases wrote stays readable; its pages have no warnings."""
    datasets.to_version_1(output)
    assert list(verify(str(output))) == []
    texts = tmp_path_factory.mktemp("md")
    assert export(str(output), texts, ExportFormat.MD).documents == 2
    assert {row.warnings for row in Dataset(Objects(str(output)), {}).pages(datasets.SHARD)} == {()}


def test_a_dataset_of_a_later_version_is_left_to_a_later_release(output: Path) -> None:
    """One sentence, for its columns are not known here."""
    config = output / CONFIG
    config.write_bytes(config.read_bytes().replace(b'"schema_version": "2"', b'"schema_version": "3"'))
    with pytest.raises(UsageError, match="version 3; a newer release reads it"):
        list(verify(str(output)))


def remove_pages(output: Path) -> None:
    (output / "pages" / f"{datasets.SHARD}.parquet").unlink()


def cut_documents(output: Path) -> None:
    file = output / "documents" / f"{datasets.SHARD}.parquet"
    file.write_bytes(file.read_bytes()[:-10])


def overwrite_rows(output: Path) -> None:
    file = output / "pages" / f"{datasets.SHARD}.parquet"
    data = file.read_bytes()
    file.write_bytes(data[:4] + bytes(200) + data[204:])


def change_schema(output: Path) -> None:
    file = output / "pages" / f"{datasets.SHARD}.parquet"
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["confidence"]), file)


def drop_footer(output: Path) -> None:
    file = output / "pages" / f"{datasets.SHARD}.parquet"
    pq.write_table(pq.ParquetFile(file).read().replace_schema_metadata({}), file)


def add_stranger(output: Path) -> None:
    file = output / "pages" / f"{datasets.SHARD}.parquet"
    file.with_name("000009-stranger.parquet").write_bytes(file.read_bytes())


def leave_journal(output: Path) -> None:
    (output / "_work" / "s").mkdir(parents=True)
    (output / "_work" / "s" / "0").write_bytes(b"")


def repeat_pages(output: Path) -> None:
    pages = output / "pages"
    (pages / f"{datasets.COPIES}.parquet").write_bytes((pages / f"{datasets.SHARD}.parquet").read_bytes())


def exchange_documents(output: Path) -> None:
    folder = output / "documents"
    table = pq.ParquetFile(folder / f"{datasets.COPIES}.parquet").read()
    at = table.schema.get_field_index("source_uri")
    other = table.set_column(at, table.schema.field(at), pa.array(["/pdfs/other.pdf"]))
    pq.write_table(other, folder / f"{datasets.COPIES}.parquet")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_pages, "is missing: the run is not finished"),
        (cut_documents, "is not a whole Parquet file"),
        (overwrite_rows, "is not a whole Parquet file"),
        (change_schema, "has another schema"),
        (drop_footer, "has other footer keys"),
        (add_stranger, "is not in the plan"),
        (leave_journal, "is left over"),
        (repeat_pages, "stands in 2 rows"),
        (exchange_documents, "has other documents than the plan says"),
    ],
)
def test_a_damaged_dataset_is_found(
    damage: Callable[[Path], None], words: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each damage by its own words, and exit 1."""
    damage(output)
    found = list(verify(str(output)))
    assert any(words in finding for finding in found), found
    assert main(["verify", str(output)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(("finding.", "findings."))


def test_what_is_no_dataset_is_said(tmp_path: Path) -> None:
    """A wrong path and an empty folder are the user's mistake, and nothing is created."""
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "gone", tmp_path / "empty"):
        with pytest.raises(UsageError, match="no dataset"):
            list(verify(str(path)))
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("with_places", [True, False])
def test_a_book_without_its_running_heads_is_sound(tmp_path: Path, with_places: bool) -> None:
    """What the text of a document leaves out and joins is not taken for damage."""
    made = book(60, with_places=with_places, numbers_in_heads=True)
    datasets.write(tmp_path, [document(page_count=60)], made.pages)
    assert list(verify(str(tmp_path))) == []

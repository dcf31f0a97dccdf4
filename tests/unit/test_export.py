"""Files from a dataset: their names, their text, their lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.cli import main
from one_ocr_ray.errors import OneOcrError, UsageError
from one_ocr_ray.model import ErrorCode, Failure, PageStatus
from one_ocr_ray.policy.dataset.export import ExportFormat, FileNames
from one_ocr_ray.storage.dataset.export import export
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests import datasets
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "../../etc/passwd.pdf", "/etc/shadow.pdf", "..", "...pdf", "C:\\windows\\a.pdf", "a\0b.pdf", "line\nbreak.pdf", "",
    "-rf.pdf", "x" * 400 + ".pdf", "字" * 200 + ".pdf", "CON.pdf", " .pdf", "~/a.pdf", "$(id).pdf",
)  # fmt: skip


def test_hostile_names_stay_inside_the_folder(tmp_path: Path) -> None:
    """Whatever a source is called, its file is one new file directly in the folder."""
    documents = [document(number, name=name, page_count=1) for number, name in enumerate(HOSTILE)]
    datasets.write(tmp_path / "out", documents)
    before = sorted(tmp_path.rglob("*"))
    report = export(str(tmp_path / "out"), tmp_path / "md", ExportFormat.MD)
    new = sorted(set(tmp_path.rglob("*")) - set(before))
    assert report.documents == len(HOSTILE)
    assert new[0] == tmp_path / "md"
    assert len(new) == 1 + len(HOSTILE)
    assert all(path.parent == tmp_path / "md" and path.suffix == ".md" for path in new[1:])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("report #1.pdf", "report #1.md"),
        ("what? really.pdf", "what_ really.md"),
        ("[final] v2.pdf", "[final] v2.md"),
        ("plus+sign & 100%25.pdf", "plus+sign & 100%25.md"),
        ("it's {a};b.PDF", "it's {a};b.md"),
        (r"\xb1\xa8\xb8\xe6.pdf", "_xb1_xa8_xb8_xe6.md"),
        ("报告 🙂.pdf", "报告 🙂.md"),
        (".hidden.pdf", "hidden.md"),
        ("scan.jpg", "scan.jpg.md"),
    ],
)
def test_odd_names_stay_recognisable(source: str, name: str, tmp_path: Path) -> None:
    """A file system takes nearly all that a name may hold; nothing of it is taken for a URL or a pattern."""
    datasets.write(tmp_path / "out", [document(1, name=source, page_count=1)])
    export(str(tmp_path / "out"), tmp_path / "md", ExportFormat.MD)
    assert [path.name for path in (tmp_path / "md").iterdir()] == [name]


@given(st.lists(st.text(max_size=300).filter(lambda name: name.isprintable()), max_size=20))
def test_names_differ_in_any_case_and_fit_a_file_system(sources: list[str]) -> None:
    """No two are the same where upper and lower case are; none is longer than 255 bytes, none is a path."""
    names = FileNames(".md")
    given_names = [names.next(source) for source in sources]
    assert len({name.casefold() for name in given_names}) == len(sources)
    for name in given_names:
        assert len(name.encode()) <= 255
        assert not set(name) & set('/\\:*?"<>|\0')
        assert name not in {".md", "..md"}


def test_sources_of_one_name_get_files_of_their_own() -> None:
    """In the order of the plan; the ending .pdf goes in any case."""
    names = FileNames(".txt")
    assert [names.next(each) for each in ("a.pdf", "A.PDF", "a-2.pdf", "a.pdf", "b.pdf.pdf")] == [
        "a.txt", "A-2.txt", "a-2-2.txt", "a-3.txt", "b.pdf.txt",
    ]  # fmt: skip


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A document with a heading, a blank and a failed page; a copy of it; one that could not be opened."""
    good = document(1, page_count=3, name="good.pdf")
    pages = [
        page(good, 1, markdown="# Title\n\n**bold** text", data='{"total": 7}'),
        page(good, 2, status=PageStatus.BLANK, markdown=""),
        page(good, 3, failure=TIMED_OUT),
    ]
    failure = Failure(ErrorCode.PDF_ENCRYPTED, "Locked.")
    locked = document(2, page_count=None, name="locked.pdf", failure=failure)
    copy = document(1, page_count=3, name="copy.pdf", uri="/pdfs/copy.pdf")
    datasets.write(tmp_path / "out", [good, locked], pages, copies=[copy])
    return tmp_path / "out"


def test_markdown_and_plain_text_are_a_file_for_each_document(output: Path, tmp_path: Path) -> None:
    """With text that ends in one line break; what could not be opened has no file, and is counted."""
    for kind, text in ((ExportFormat.MD, "# Title\n\n**bold** text\n"), (ExportFormat.TXT, "Title\n\nbold text\n")):
        report = export(str(output), tmp_path / kind, kind)
        assert (report.documents, report.left_out) == (2, 1)
        files = {path.name: path.read_text() for path in (tmp_path / kind).iterdir()}
        assert files == {f"good.{kind}": text, f"copy.{kind}": text}


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


def test_json_lines_hold_documents_with_their_pages(output: Path, tmp_path: Path) -> None:
    """Every document, the failed one with its code; extracted data as JSON, not as text; a copy with its pages."""
    export(str(output), tmp_path / "j", ExportFormat.JSONL)
    good, locked, copy = lines(tmp_path / "j", "documents.jsonl")
    assert [(each["page_number"], each["status"], each["error"]) for each in good["pages"]] == [
        (1, "ok", None),
        (2, "blank", None),
        (3, "failed", "render_timeout"),
    ]
    assert (good["outcome"], good["pages"][0]["data"], good["pages"][2]["markdown"]) == ("partial", {"total": 7}, None)
    assert (locked["error"], locked["markdown"], locked["pages"]) == ("pdf_encrypted", None, [])
    assert (copy["source_name"], copy["document_id"]) == ("copy.pdf", good["document_id"])
    assert copy["pages"] == good["pages"]


def test_dolma_lines_say_which_text_is_which_page(output: Path, tmp_path: Path) -> None:
    """`pdf_page_numbers` cuts `text` into its pages; a document without text has no line."""
    report = export(str(output), tmp_path / "d", ExportFormat.DOLMA)
    good, copy = lines(tmp_path / "d", "dolma.jsonl")
    assert (report.documents, report.left_out) == (2, 1)
    assert good["metadata"]["Source-File"] == "/pdfs/00001.pdf"
    assert copy["metadata"]["Source-File"] == "/pdfs/copy.pdf"
    spans = good["attributes"]["pdf_page_numbers"]
    assert [(good["text"][start:end], number) for start, end, number in spans] == [
        ("# Title\n\n**bold** text", 1),
        ("", 2),
        ("", 3),
    ]
    assert {"id", "text", "source", "added", "created"} <= good.keys()


def test_exporting_again_replaces_the_files(output: Path, tmp_path: Path) -> None:
    """The same names, not numbered ones."""
    for _ in range(2):
        export(str(output), tmp_path / "md", ExportFormat.MD)
    assert sorted(path.name for path in (tmp_path / "md").iterdir()) == ["copy.md", "good.md"]


def test_nothing_to_export_and_nowhere_to_write_are_said(tmp_path: Path, output: Path) -> None:
    """An empty folder is no dataset; a file in the place of the folder is a mistake."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no finished document"):
        export(str(tmp_path / "empty"), tmp_path / "md", ExportFormat.MD)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="file is not a folder"):
        export(str(output), tmp_path / "file", ExportFormat.MD)


@pytest.mark.parametrize("kind", [ExportFormat.MD, ExportFormat.JSONL])
def test_a_shard_that_was_mended_is_exported_once(kind: ExportFormat, output: Path, tmp_path: Path) -> None:
    """--retry-failed writes it to the plan again when a file of it can be opened now."""
    before = export(str(output), tmp_path / "before", kind)
    run_dir = RunDirectory(Objects(str(output)))
    (shard,), _ = run_dir.plan()
    run_dir.add_to_plan(2, [shard])
    assert export(str(output), tmp_path / "after", kind) == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "after").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "before").iterdir()
    }


def test_a_damaged_file_is_one_sentence(output: Path, tmp_path: Path) -> None:
    """It is named; nobody reads a traceback."""
    file = output / "documents" / f"{datasets.SHARD}.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(OneOcrError, match=f"documents/{datasets.SHARD}.parquet of this output is damaged"):
        export(str(output), tmp_path / "md", ExportFormat.MD)


def test_file_uris_name_the_dataset_and_the_folder(output: Path, tmp_path: Path) -> None:
    """As they do for `run`; a store is no folder to write files to."""
    folder = tmp_path / "with space"
    assert main(["export", output.as_uri(), "--to", folder.as_uri()]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["copy.md", "good.md"]
    assert main(["verify", output.as_uri()]) == 0


@pytest.mark.parametrize("to", ["s3://bucket/md", "https://host/md"])
def test_files_go_to_a_folder_only(to: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not into a folder named `s3:`."""
    assert main(["export", str(output), "--to", to]) == 2
    assert to in capsys.readouterr().err


def test_the_command_says_what_it_wrote(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, nothing on stdout."""
    assert main(["export", str(output), "--to", str(tmp_path / "md")]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"Wrote 2 documents to {tmp_path / 'md'}; 1 document without text left out.\n"
    assert not shown.out

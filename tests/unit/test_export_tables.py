"""Tables and figures of a dataset as files: CSV, workbooks, HTML, pictures cut from the pages."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import openpyxl
import pytest
from PIL import Image

from one_ocr_ray.blocks import Block, BlockKind, Box, Cell, PageBox, Positions, TableGrid
from one_ocr_ray.policy.dataset.export import ExportFormat
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.writers.cells import to_csv
from one_ocr_ray.reading.figures import export_figures
from one_ocr_ray.reading.inspection import document_id_of
from one_ocr_ray.storage.dataset.export import export
from tests import datasets, pdfs
from tests.values import document, page

if TYPE_CHECKING:
    from pathlib import Path

GRID = TableGrid(
    3,
    3,
    (
        Cell(0, 0, "Item", 2, 1, is_header=True),
        Cell(0, 1, "Year", 1, 2, is_header=True),
        Cell(1, 1, "2025", is_header=True),
        Cell(1, 2, "2026", is_header=True),
        Cell(2, 0, "=1+1"),
        Cell(2, 1, "-12.5%"),
        Cell(2, 2, "two\nlines"),
    ),
    header_rows=2,
)
ROWS = [["Item", "Year", ""], ["", "2025", "2026"], ["=1+1", "-12.5%", "two\nlines"]]
QUOTED = ("=1+1", "+SUM(A1)", "-2+3", "@cmd", " =1", "\t=1", "＝1", "=HYPERLINK('x')")
PLAIN = ("-", "+", "+/-", "-12.5%", "+3", "-1,234.50", "a=b", "1-2", "", "12 345")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A document with a table on each of two pages, one of them from Markdown; one without tables."""
    known = pack([Block(1, BlockKind.TABLE, "", table=GRID)], Positions.BLOCKS)
    good = document(1, page_count=2, name="good.pdf")
    pages = [
        page(good, 1, markdown="a table", blocks=known),
        page(good, 2, markdown="Text\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"),
    ]
    bare = document(2, page_count=1, name="bare.pdf")
    datasets.write(tmp_path / "out", [good, bare], [*pages, page(bare, 1, markdown="no table")])
    return tmp_path / "out"


def test_cells_of_spans_stand_in_their_first_place() -> None:
    """A row of the file for each row of the table, as many fields as columns."""
    assert GRID.texts() == ROWS


@pytest.mark.parametrize("text", QUOTED)
def test_no_cell_becomes_a_formula(text: str) -> None:
    """An apostrophe stands before what a spreadsheet program would take for one."""
    assert next(csv.reader(io.StringIO(to_csv([[text]]), newline=""))) == [f"'{text}"]


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_text_stay_what_they_are(text: str) -> None:
    """A number with a sign is no formula."""
    assert next(csv.reader(io.StringIO(to_csv([[text, "x"]]), newline=""))) == [text, "x"]


def test_csv_is_a_file_for_each_table(output: Path, tmp_path: Path) -> None:
    """Named by document, page and number; UTF-8 with the mark that spreadsheet programs need."""
    report = export(str(output), tmp_path / "csv", ExportFormat.CSV)
    files = {path.name: path.read_bytes() for path in (tmp_path / "csv").iterdir()}
    assert sorted(files) == ["good-p1-t1.csv", "good-p2-t1.csv"]
    assert files["good-p2-t1.csv"] == "\ufeffa,b\r\n1,2\r\n".encode()
    assert (report.documents, report.pieces, report.left_out, report.lacking) == (1, 2, 1, "tables")


def test_a_workbook_has_a_sheet_for_each_table(output: Path, tmp_path: Path) -> None:
    """All cells are text, what looks like a formula too; head rows are bold."""
    export(str(output), tmp_path / "x", ExportFormat.XLSX)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["good.xlsx"]
    book = openpyxl.load_workbook(tmp_path / "x" / "good.xlsx")
    assert book.sheetnames == ["page 1 table 1", "page 2 table 1"]
    sheet = book["page 1 table 1"]
    assert [[cell or "" for cell in row] for row in sheet.iter_rows(values_only=True)] == ROWS
    formula = sheet["A3"]
    assert (formula.data_type, formula.quotePrefix, formula.font.bold) == ("s", True, False)
    assert sheet["A1"].font.bold


def test_html_is_a_file_for_each_document(output: Path, tmp_path: Path) -> None:
    """With the spans of its tables."""
    report = export(str(output), tmp_path / "h", ExportFormat.HTML)
    text = (tmp_path / "h" / "good.html").read_text(encoding="utf-8")
    assert '<th rowspan="2">Item</th><th colspan="2">Year</th>' in text
    assert "<title>good.pdf</title>" in text
    assert (report.documents, report.left_out) == (2, 0)


@pytest.mark.parametrize("turn", [0, 90])
def test_figures_are_cut_from_the_pages(turn: int, tmp_path: Path) -> None:
    """From the upright page, beside the Markdown that refers to them."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdfs.content_pdf(b"1 0 0 rg 100 600 200 100 re f"))  # of 612 x 792 pt, from the bottom left
    box, page_box = Box(100, 92, 300, 192), PageBox(612, 792)
    if turn:
        box, page_box = Box(600, 100, 700, 300), PageBox(792, 612, turn)
    blocks = pack([Block(2, BlockKind.FIGURE, "", box=box)], Positions.BLOCKS)
    source = document(1, page_count=1, name="a.pdf", uri=str(file), document_id=document_id_of(file))
    one = page(source, 1, markdown="![](figures/p1-2.png)", blocks=blocks, page_box=page_box, rotation=turn)
    datasets.write(tmp_path / "out", [source], [one])
    report = export_figures(str(tmp_path / "out"), tmp_path / "f")
    assert (tmp_path / "f" / "a" / "a.md").read_text() == "![](figures/p1-2.png)"
    with Image.open(tmp_path / "f" / "a" / "figures" / "p1-2.png") as picture:
        middle = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        corner = picture.convert("RGB").getpixel((1, 1))
        wide = picture.width > picture.height
    assert isinstance(middle, tuple)
    assert isinstance(corner, tuple)
    assert middle[0] > 200
    assert middle[1] < 60
    assert min(corner) > 200
    assert wide is (turn == 0)
    assert (report.documents, report.pieces) == (1, 1)


def test_figures_of_files_that_are_gone_are_counted(tmp_path: Path) -> None:
    """Nothing is written for a document whose file has other bytes by now."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdfs.text_pdf())
    blocks = pack([Block(1, BlockKind.FIGURE, "", box=Box(0, 0, 10, 10))], Positions.BLOCKS)
    source = document(1, page_count=1, name="a.pdf", uri=str(file))
    datasets.write(tmp_path / "out", [source], [page(source, 1, blocks=blocks, page_box=PageBox(612, 792))])
    report = export_figures(str(tmp_path / "out"), tmp_path / "f")
    assert (report.documents, report.unopened, list((tmp_path / "f").iterdir())) == (0, 1, [])

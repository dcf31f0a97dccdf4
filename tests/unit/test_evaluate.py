"""`one-ocr eval`: a dataset against a truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.blocks import Block, BlockKind, Cell, Positions, TableGrid
from one_ocr_ray.cli import main
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.evaluation.html_report import html_report
from one_ocr_ray.policy.evaluation.page_score import Truth, score_page
from one_ocr_ray.policy.evaluation.report import EvalReport, ScoredPage
from one_ocr_ray.policy.evaluation.table_similarity import teds
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests import datasets
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "# Sales 2025\n\n| Region | Units |\n|---|---|\n| North | 12 |\n\nThe north leads.\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two documents of two pages: read well, read badly, failed, and without a truth."""
    one, two = document(1, name="a.pdf", page_count=2), document(2, name="b.pdf", page_count=2)
    pages = [
        page(one, 1, markdown="The quick brown fox"),
        page(one, 2, markdown="fox quick <b>brawn</b>"),
        page(two, 1, failure=TIMED_OUT),
        page(two, 2, markdown="whatever"),
    ]
    datasets.write(tmp_path / "out", [one, two], pages)
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "a.p1.txt").write_text("The quick brown\nfox")
    (truth / "a.pdf.p2.md").write_text("quick brown fox")
    (truth / "b.p1.txt").write_text("lost")
    (truth / "gone.p1.txt").write_text("no such document")
    return tmp_path / "out"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """What `eval --json` prints."""
    assert main(["eval", *map(str, arguments), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_errors_are_counted_by_document_and_reader(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed page counts as empty; what has no counterpart is counted and not compared."""
    report = told(capsys, output, "--truth", output.parent / "truth")
    assert report["all"]["pages"] == 3
    assert report["documents"]["a.pdf"]["pages"] == 2
    assert report["documents"]["b.pdf"] == report["documents"]["b.pdf"] | {"pages": 1, "cer": 1.0, "wer": 1.0}
    assert report["worst"][0]["source_name"] == "a.pdf"
    assert (report["without_truth"], report["unread"]) == (1, 1)
    assert set(report["readers"]) == {"local"}


@pytest.mark.parametrize("truth", ["Annual report\nIt was a good year.\n7", "It was a good year."])
def test_a_true_text_may_hold_what_belongs_to_the_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], truth: str
) -> None:
    """Heads, feet and numbers stand in the blocks alone; a page is not wrong for that, whether its truth has them."""
    blocks = [
        Block(1, BlockKind.PAGE_HEADER, "Annual report"),
        Block(2, BlockKind.PARAGRAPH, "It was a good year."),
        Block(3, BlockKind.PAGE_NUMBER, "7"),
    ]
    one = document(1, name="a.pdf", page_count=1)
    read = page(one, 1, markdown=to_markdown(blocks), blocks=pack(blocks, Positions.BLOCKS))
    datasets.write(tmp_path / "out", [one], [read])
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.p1.txt").write_text(truth)
    assert told(capsys, tmp_path / "out", "--truth", tmp_path / "truth")["all"]["cer"] == 0.0


def test_a_dataset_is_the_truth_of_itself(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages of the same bytes go together; those that failed in the truth are left out."""
    report = told(capsys, output, "--truth", output)
    assert report["all"] == report["all"] | {"pages": 3, "cer": 0.0, "wer": 0.0, "order": 1.0}


def test_the_html_page_marks_what_differs_and_runs_nothing(output: Path) -> None:
    """Text of documents is escaped."""
    file = output.parent / "report.html"
    assert main(["eval", str(output), "--truth", str(output.parent / "truth"), "--html", str(file)]) == 0
    page_html = file.read_text()
    assert "<del>brown" in page_html
    assert "<b>" not in page_html
    assert "<script" not in page_html
    nowhere = str(output.parent / "nowhere" / "report.html")
    assert main(["eval", str(output), "--truth", str(output.parent / "truth"), "--html", nowhere]) == 2


def test_without_spaces_between_words_each_character_is_one() -> None:
    """Else a Chinese line with one wrong character would be wrong as a whole, in the figures and where it is shown."""
    score = score_page("今天天气好 Ray 2", Truth("今天天気好 Ray 2", is_markdown=False))
    assert (score.words, score.word_errors, score.words_found) == (7, 1, 6)
    report = EvalReport()
    assert "No page has an error." in "".join(html_report(report))
    report.add(ScoredPage("a.pdf", 1, "local", None, score, "天气好", Truth("天気好", is_markdown=False)))
    assert "天<del>気</del>好" in "".join(html_report(report))


@pytest.mark.parametrize("truth", ["nowhere", "empty"])
def test_nothing_to_compare_is_the_users_mistake(output: Path, truth: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and a sentence that says what to do."""
    (output.parent / "empty").mkdir()
    assert main(["eval", str(output), "--truth", str(output.parent / truth)]) == 2
    assert "--truth" in capsys.readouterr().err


def test_tables_and_headings_are_measured_by_themselves() -> None:
    """A lost table costs TEDS and no characters; a heading with one wrong letter is found."""
    score = score_page("# Salas 2025\n\nThe north leads.", Truth(TABLE, is_markdown=True))
    assert score.tables == (0.0,)
    assert (score.headings_true, score.headings_found, score.headings_right) == (1, 1, 1)
    assert score.character_errors == 1
    assert score_page(TABLE, Truth(TABLE, is_markdown=True)).tables == (1.0,)


def test_letters_of_formulas_and_numbers_of_lists_count() -> None:
    """How a formula in a line is written does not, nor does a bullet; prices are no formulas."""
    true = Truth("An area of $ 8.5 km^{2} $, by $\\alpha_{1}$.\n\n2. second\n\n- third", is_markdown=True)
    assert score_page("An area of 8.5 km², by alpha1.\n\n2. second\n\n* third", true).character_errors == 0
    assert score_page("An area of 8.5 km², by alpha1.\n\n3. second\n\n* third", true).character_errors == 1
    price = Truth("From $5 to $6", is_markdown=True)
    assert score_page("From $5 to $6", price).character_errors == 0
    assert score_page("From $5 to $8", price).character_errors == 1


def test_order_is_told_apart_from_recognition() -> None:
    """The right words in another order: none is missing, half of them stand out of place."""
    score = score_page("three four one two", Truth("one two three four", is_markdown=False))
    assert (score.words_found, score.words_in_order) == (4, 2)


def grid(*rows: str) -> TableGrid:
    """A table with a cell for each word."""
    cells = [Cell(y, x, text) for y, row in enumerate(rows) for x, text in enumerate(row.split())]
    return TableGrid(len(rows), len(rows[0].split()), tuple(cells))


def test_teds_counts_cells_and_their_text() -> None:
    """A missing row of two cells costs three nodes of ten; half a cell's letters cost half a node."""
    truth = grid("a b", "c d", "e f")
    assert teds(truth, truth) == 1
    assert teds(grid("a b", "c d"), truth) == pytest.approx(1 - 3 / 10)
    assert teds(grid("ax b", "c d", "e f"), truth) == pytest.approx(1 - 0.5 / 10)
    assert teds(None, truth) == 0


@given(st.text(max_size=200), st.text(max_size=200), st.booleans())
def test_any_two_texts_can_be_compared(read: str, true: str, is_markdown: bool) -> None:
    """Figures stay in their ranges whatever stands on a page."""
    score = score_page(read, Truth(true, is_markdown))
    assert 0 <= score.words_in_order <= score.words_found <= score.words
    assert score.cer >= 0

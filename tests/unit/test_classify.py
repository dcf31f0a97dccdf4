"""Formulas, captions, footnotes, figures and headings: what is taken for one and what is not."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import BlockKind, Positions
from one_ocr_ray.policy.dataset.packing import pack, unpack
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent, Region
from one_ocr_ray.policy.layout.geometry import TextLine, Word
from one_ocr_ray.policy.layout.kinds.formulas import latex, may_be_formula
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.page_lines import PAGE_HEIGHT_PX, PAGE_WIDTH_PX, column, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block

PROSE = ["some lines of text that fill the page and go on,", "one after the other, down to its very end here"] * 4


def blocks(lines: Sequence[TextLine], *regions: Region) -> tuple[Block, ...]:
    """The blocks of a page."""
    return page_blocks(PageContent(PAGE_WIDTH_PX, PAGE_HEIGHT_PX, tuple(lines), regions=regions))


def of(kind: BlockKind, found: Sequence[Block]) -> list[str]:
    """The texts of the blocks of a kind."""
    return [block.text for block in found if block.kind is kind]


@pytest.mark.parametrize(
    "text", ["E = mc² + p²/2m", "∇·B=0", "sin(x) ≤ x + 1", "∂i Σi = µ4δik(x − y).", "+ 2m[V · (A)]"]
)
def test_lines_that_may_be_formulas(text: str) -> None:
    """A relation or a leading operator, no word but the names of functions."""
    assert may_be_formula(text)


@pytest.mark.parametrize("text", ["the rate is = 5", "a < b", "2024", "name = value", "速度 = 距离/时间", "x1 y1"])
def test_lines_that_are_none(text: str) -> None:
    """Words, too little, no relation."""
    assert not may_be_formula(text)


def test_a_numbered_formula_is_one_without_a_model() -> None:
    """It stands between paragraphs and its number becomes a tag; a dollar sign of the text does not end it."""
    formula = [line("a² + b² = c²", 400, 450), line("(13)", 1000, 450)]
    found = blocks([*column(PROSE, 200, 200), *formula, *column(PROSE, 200, 500)])
    assert of(BlockKind.FORMULA, found) == [r"a^{2} + b^{2} = c^{2} \tag{13}"]
    assert "$$\na^{2} + b^{2} = c^{2} \\tag{13}\n$$" in to_markdown(found)
    assert latex("∇ × E = −∂B/∂t, πr ≤ α₀") == r"\nabla \times E = -\partial B/\partial t, \pi r \leq \alpha_{0}"
    assert latex("5% of {x} = $1 \\ y") == r"5\% of \{x\} = \$1 \backslash  y"


def test_a_formula_without_a_number_needs_the_model() -> None:
    """Code and sums in a letter look the same."""
    lines = [*column(PROSE, 200, 200), line("a² + b² = c²", 400, 450), *column(PROSE, 200, 500)]
    assert of(BlockKind.FORMULA, blocks(lines)) == []
    assert of(BlockKind.FORMULA, blocks(lines, Region("equation", 390, 445, 560, 475, 0.5))) != []


def test_captions_are_told_from_sentences_that_name_a_figure() -> None:
    """By the mark after the number, or by what stands near."""
    lines = [line("Figure 3: Rainfall by month", 200, 600), line("in both years", 200, 626), *column(PROSE, 200, 700)]
    assert of(BlockKind.CAPTION, blocks(lines)) == ["Figure 3: Rainfall by month in both years"]
    sentence = [line("Table 1 shows what we have found", 200, 600), *column(PROSE, 200, 700)]
    assert of(BlockKind.CAPTION, blocks(sentence)) == []
    near = blocks(sentence, Region("table", 190, 300, 900, 590, 0.9))
    assert of(BlockKind.CAPTION, near) == ["Table 1 shows what we have found"]


def test_footnotes_are_in_small_type_at_the_foot() -> None:
    """Each is a block of its own; a numbered list in the type of the text is none."""
    notes = [
        line("1 The first of the notes on this page.", 200, 1300, 15),
        line("2 And the second one.", 200, 1320, 15),
    ]
    found = blocks([*column(PROSE * 4, 200, 200), *notes])
    assert of(BlockKind.FOOTNOTE, found) == ["1 The first of the notes on this page.", "2 And the second one."]
    assert to_markdown(found).endswith("And the second one.")
    large = [line("1 The first of the points we make.", 200, 1300), line("2 And the second one.", 200, 1326)]
    assert of(BlockKind.FOOTNOTE, blocks([*column(PROSE * 4, 200, 200), *large])) == []


def test_a_note_whose_sign_stands_in_the_text_is_a_footnote_in_any_type() -> None:
    """A star above and a star below."""
    lines = [*column([*PROSE * 4, "decidedly unfavourable *."], 200, 200), line("* Report, p. 8.", 400, 1300)]
    assert of(BlockKind.FOOTNOTE, blocks(lines)) == ["* Report, p. 8."]


def test_a_footnote_knows_the_block_that_refers_to_it() -> None:
    """By a raised number or a star; where none refers to it, or two do, it is not known."""

    def parents(*texts: str) -> list[str | None]:
        paragraphs = [line(text, 200, 150 + 80 * number) for number, text in enumerate(texts)]
        notes = [line("1 The first of the notes.", 200, 1300, 15), line("* Another note.", 200, 1330, 15)]
        found = blocks([*paragraphs, *column(PROSE, 200, 600), *notes])
        by_id = {block.id: block.text for block in found}
        return [by_id.get(block.parent or 0) for block in found if block.kind is BlockKind.FOOTNOTE]

    assert parents("It was said¹ before.", "So it was *.", "In 11 cases.") == ["It was said¹ before.", "So it was *."]
    assert parents("It was said¹¹ before.", "So it was **.") == [None, None]
    assert parents("It was said¹ before.", "And¹ again.") == [None, None]


def test_the_letters_of_a_figure_stand_in_it() -> None:
    """In the order of the page, with its caption; nothing of it is text of the page."""
    labels = [line("May", 250, 700), line("June", 500, 700), line("12 %", 300, 600)]
    lines = [*column(PROSE, 200, 200), *labels, line("Figure 1: Rain", 200, 780), *column(PROSE, 200, 900)]
    found = blocks(lines, Region("figure", 200.123, 500.456, 800.123, 750, 0.9))
    packed = pack(found, Positions.WORDS)
    assert packed is not None
    assert unpack(packed) == found
    assert [block.kind for block in found] == [
        BlockKind.PARAGRAPH, BlockKind.FIGURE, BlockKind.CAPTION, BlockKind.PARAGRAPH,
    ]  # fmt: skip
    assert found[1].text == "12 % May June"
    assert found[1].box is not None
    assert found[1].box.x1 - found[1].box.x0 == pytest.approx(600)
    assert "![12 % May June](figures/" in to_markdown(found)


def test_a_figure_that_holds_the_text_of_the_page_is_none() -> None:
    """Models take pages on coloured grounds for pictures."""
    found = blocks(column(PROSE, 200, 200), Region("figure", 0, 0, 1200, 1600, 0.95))
    assert [block.kind for block in found] == [BlockKind.PARAGRAPH]


def test_a_bold_line_of_its_own_is_a_heading() -> None:
    """Without a gap before the text; a label with a colon is none."""
    for title, is_heading in (("General rights", True), ("Address:", False)):
        lines = [*column(PROSE, 200, 200), line(title, 200, 408, bold=True), *column(PROSE, 200, 434, bold=False)]
        assert of(BlockKind.HEADING, blocks(lines)) == ([title] if is_heading else [])


def test_a_chapter_label_and_its_title_are_one_heading() -> None:
    """Bold, with a wide gap between them; the heads of two columns are none."""
    for label, is_heading in (("Part 1", True), ("Item", False)):
        title = [line(label, 200, 408, bold=True), line("Multiple Choice", 400, 408, bold=True)]
        found = of(BlockKind.HEADING, blocks([*column(PROSE, 200, 200), *title, *column(PROSE, 200, 450, bold=False)]))
        assert found == ([f"{label} Multiple Choice"] if is_heading else [])


def test_a_large_line_that_the_model_is_sure_of_is_a_heading() -> None:
    """Also one that ends with a colon or fills its line; not one in the text's size, and no formula."""
    title = Region("title", 190, 395, 700, 430, 0.94)

    def headings(text: str, height: float, *regions: Region) -> list[str]:
        lines = [*column(PROSE, 200, 150), line(text, 200, 400, height), *column(PROSE, 200, 500)]
        return of(BlockKind.HEADING, blocks(lines, *regions))

    assert headings("The Institute:", 26, title) == ["The Institute:"]
    assert headings("The Institute:", 26) == []
    assert headings("The Institute:", 20, title) == []
    assert headings("The Institute:", 26, title, Region("text", 190, 395, 700, 430, 0.4)) == []
    assert headings("a2 + 8 = 12", 26, title) == []


def test_a_title_in_two_sizes_is_one_heading() -> None:
    """The smaller part is close below the larger; two titles in one size are two, and so is one further down."""

    def headings(y: float, height: float) -> list[str]:
        lines = [line("Practice", 200, 100, 64), line("All of the chapters", 200, y, height)]
        return of(BlockKind.HEADING, blocks([*lines, *column(PROSE, 200, 400)]))

    assert headings(170, 40) == ["Practice All of the chapters"]
    assert headings(180, 60) == ["Practice", "All of the chapters"]
    assert headings(220, 40) == ["Practice", "All of the chapters"]


def test_a_large_title_written_downwards_is_a_heading() -> None:
    """Chinese beside columns; a label that is turned is none."""
    for text, is_heading in (("金农工程山东率先引入", True), ("TOTAL SALES", False)):
        corners = ((900.0, 200.0), (950.0, 200.0), (950.0, 700.0), (900.0, 700.0))
        found = blocks([*column(PROSE, 200, 200), TextLine(corners, (Word(text, 0.0, 1.0),))])
        assert of(BlockKind.HEADING, found) == ([text] if is_heading else [])


def test_section_numbers_give_levels() -> None:
    """Of headings in the type of the text."""
    lines = []
    for number, title in enumerate(["1 Methods", "1.2 Data", "1.2.3 Pages"]):
        lines += [line(title, 200, 200 + 300 * number, bold=True), *column(PROSE, 200, 240 + 300 * number, bold=False)]
    assert [block.level for block in blocks(lines) if block.kind is BlockKind.HEADING] == [2, 3, 4]


def test_text_beside_a_figure_is_kept() -> None:
    """Also where both are rows of one column: the letters of every line are in exactly one block."""
    beside = [line(f"{number}. A chapter", 200, 500 + 40 * number) for number in range(6)]
    lines = [*column(PROSE, 200, 200), *beside, *column(PROSE, 200, 900)]
    found = blocks(lines, Region("figure", 400, 500, 1000, 760, 0.9))
    text = " ".join(f"{block.marker or ''} {block.text}" for block in found)
    assert all(text.count(f"{number}. A chapter") == 1 for number in range(6))
    assert sum(block.kind is BlockKind.FIGURE for block in found) == 1


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_model_says_every_word_is_in_exactly_one_block(seed: int) -> None:
    """Regions anywhere, with any label and score, over a page in columns with tables, formulas and small type."""
    chance = random.Random(seed)
    names = ("figure", "table", "header", "footer", "equation", "title", "figure_caption", "table_caption", "reference")
    texts = ["some words of text", "Table 1: Rain", "a² + b² = c²", "(13)", "1 A note", "17", "* star", "12", "x"]
    lines = [
        line(chance.choice(texts), x, y, chance.choice((15, 20, 20, 20, 30)), bold=chance.choice((None, True, False)))
        for y in range(60, 1560, 28)
        for x in (100, 420, 760)
        if chance.random() < 0.7
    ]
    regions = []
    for _ in range(12):
        x, y = chance.uniform(0, 1000), chance.uniform(0, 1400)
        size = chance.uniform(20, 600), chance.uniform(20, 400)
        regions.append(Region(chance.choice(names), x, y, x + size[0], y + size[1], chance.uniform(0.3, 1)))
    found = blocks(lines, *regions)
    words = [word.text for block in found for printed in block.lines or () for word in printed.words]
    assert Counter(words) == Counter(word.text.strip() for each in lines for word in each.words)


@pytest.mark.parametrize(
    ("title", "second"),
    [
        ("An address such as the one above may do", line("for the option. The rest is text.", 200, 626)),
        ("Unreported social security and", line("Tax on wages. The text goes on.", 200, 626, starts_bold=True)),
    ],
)
def test_bold_type_that_runs_into_the_text_is_no_heading(title: str, second: TextLine) -> None:
    """The line after it begins in bold type, or a long one goes on in small letters; after a heading text begins."""
    above = [*column(PROSE, 200, 200), line(title, 200, 600, bold=True)]
    run_in = blocks([*above, second, *column(PROSE, 200, 652)])
    assert of(BlockKind.HEADING, run_in) == []
    assert any(block.text.startswith(f"{title} {second.words[0].text}") for block in run_in)
    assert of(BlockKind.HEADING, blocks([*above, *column([text.title() for text in PROSE], 200, 626)])) == [title]

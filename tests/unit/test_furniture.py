"""Page heads, page feet and page numbers: what is taken for one and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent, Region, Ruling
from one_ocr_ray.policy.layout.kinds.furniture import is_page_number
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.page_lines import PAGE_HEIGHT_PX, PAGE_WIDTH_PX, column, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block
    from one_ocr_ray.policy.layout.geometry import TextLine

LINES = ["some lines of text that fill the page and go on,", "one after the other, down to its very end here"]
TEXT = column(LINES * 12, 200, 200)


def blocks(lines: Sequence[TextLine], *regions: Region) -> tuple[Block, ...]:
    """The blocks of a page."""
    return page_blocks(PageContent(PAGE_WIDTH_PX, PAGE_HEIGHT_PX, tuple(lines), regions=regions))


def kinds(found: Sequence[Block]) -> dict[str, BlockKind]:
    """The kind of each block by its text."""
    return {block.text: block.kind for block in found}


def test_heads_and_feet_that_the_model_names_are_kept_out_of_the_markdown() -> None:
    """They come first and last among the blocks, and what stands beside a head is one too."""
    lines = [line("12", 200, 120), line("A Book on Pages", 500, 120), *TEXT, line("Draft of May", 500, 1500)]
    found = blocks(lines, Region("header", 495, 118, 660, 142, 0.7), Region("footer", 495, 1498, 640, 1522, 0.6))
    assert [block.kind for block in found][:2] == [BlockKind.PAGE_NUMBER, BlockKind.PAGE_HEADER]
    assert found[-1].kind is BlockKind.PAGE_FOOTER
    markdown = to_markdown(found)
    assert "some lines" in markdown
    assert not any(text in markdown for text in ("12", "Book", "Draft"))


def test_a_title_is_not_taken_for_a_head_at_a_doubtful_word() -> None:
    """Large type needs a sure model; the middle of the page is no place for a head however sure it is."""
    title = line("Unit 2", 200, 100, 60)
    assert kinds(blocks([title, *TEXT], Region("header", 195, 95, 400, 165, 0.7)))["Unit 2"] is BlockKind.HEADING
    assert kinds(blocks([title, *TEXT], Region("header", 195, 95, 400, 165, 0.97)))["Unit 2"] is BlockKind.PAGE_HEADER
    lines = [*TEXT, line("A line of the text", 200, 900), *column(["more of it"], 200, 1000)]
    found = blocks(lines, Region("header", 195, 895, 420, 925, 0.9))
    assert all(not block.kind.is_furniture for block in found)


def test_a_page_of_few_lines_begins_with_its_own_title() -> None:
    """A receipt has no running head; smaller type, a number and a notice are heads there, too."""
    head = Region("header", 195, 95, 500, 165, 0.9)
    for text, is_head in (("CORNER CAFE", False), ("12", True), ("Printed on 3 May", True)):
        few = kinds(blocks([line(text, 200, 120), *TEXT[:5]], head))
        assert few[text].is_furniture is is_head
        assert kinds(blocks([line(text, 200, 120), *TEXT], head))[text].is_furniture
    assert kinds(blocks([line("CORNER CAFE", 200, 120, 12), *TEXT[:5]], head))["CORNER CAFE"].is_furniture


@pytest.mark.parametrize(
    "number", ["17", "- 17 -", "[17]", "xvii", "Page 17", "17/30", "第 17 页", "一七", "Seite 17", "－ 17 －"]
)
def test_a_number_apart_from_the_text_is_that_of_the_page(number: str) -> None:
    """Without a word of the model."""
    assert kinds(blocks([*TEXT, line(number, 580, 1500)]))[number] is BlockKind.PAGE_NUMBER


@pytest.mark.parametrize("text", ["1989 was a good year", "I.", "17 apples", "Total", "1,136", ""])
def test_other_texts_are_no_page_numbers(text: str) -> None:
    """Words, amounts, nothing; a lone roman one may be one."""
    assert is_page_number(text) is (text == "I.")


def test_what_stands_beside_the_page_number_is_a_foot() -> None:
    """A running title in its row."""
    found = kinds(blocks([*TEXT, line("416", 200, 1500), line("Factors and Multiples", 400, 1500)]))
    assert found["416"] is BlockKind.PAGE_NUMBER
    assert found["Factors and Multiples"] is BlockKind.PAGE_FOOTER


def test_a_note_of_one_line_at_the_foot_is_no_page_foot() -> None:
    """Its number is small and raised, as that of a page is not."""
    number, note = (
        line("4", 200, 1500, 12),
        line("False positives are possible, but few have been seen.", 222, 1502, 18),
    )
    found = kinds(blocks([*TEXT, number, note]))
    assert not {kind for text, kind in found.items() if "False positives" in text} & {BlockKind.PAGE_FOOTER}
    assert "False positives are possible" in to_markdown(blocks([*TEXT, number, note]))


def test_a_number_alone_in_the_middle_may_stand_above_a_wide_margin() -> None:
    """At the left of the text it is text there."""
    middle = 200 + 10 * max(map(len, LINES)) / 2
    assert kinds(blocks([*TEXT, line("7", middle - 5, 1310)]))["7"] is BlockKind.PAGE_NUMBER
    assert kinds(blocks([*TEXT, line("7", 200, 1310)]))["7"] is BlockKind.PARAGRAPH


def test_a_number_far_below_the_text_ends_a_page_that_is_half_empty() -> None:
    """In the middle of the text's width; as near as a paragraph it is text."""
    middle = 200 + 10 * max(map(len, LINES)) / 2
    half = TEXT[:28]
    end = max(line.corners[2][1] for line in half)
    assert kinds(blocks([*half, line("62", middle - 10, end + 60)]))["62"] is BlockKind.PAGE_NUMBER
    assert "62" in to_markdown(blocks([*half, line("62", middle - 10, end + 20)]))
    assert "62" in to_markdown(blocks([*half, line("62", 200, end + 60)]))


def test_a_number_on_a_page_of_listings_is_that_of_the_page() -> None:
    """Its type is larger than that of the listing."""
    listing = [line("print(one, two)", 200, 300 + 20 * number, 14, mono=True) for number in range(40)]
    found = kinds(blocks([line("2. MORE EXAMPLES", 200, 200), *listing, line("99", 580, 1500)]))
    assert found["99"] is BlockKind.PAGE_NUMBER


@pytest.mark.parametrize(
    "notice",
    [
        "Download date: 28 Dec 2018",
        "Printed on 3 May 2026 by the library",
        "A service of the library (https://library.example.org)",
        "© 2014 Example Inc. All rights reserved.",
        "report-final.indd 71",
        "3/12/2024, 10:22 The Harbour News",
    ],
)
def test_a_notice_of_the_sheet_at_its_edge_is_furniture(notice: str) -> None:
    """Apart from the text; as its last line it is text, and so is what stands further in."""
    assert kinds(blocks([*TEXT, line(notice, 200, 1500)]))[notice] is BlockKind.PAGE_FOOTER
    assert notice in to_markdown(blocks([*column(LINES * 24, 200, 275), line(notice, 200, 275 + 48 * 26)]))
    assert notice in to_markdown(blocks([*TEXT, line(notice, 200, 1380)]))


@pytest.mark.parametrize("text", ["Amsterdam, 28 Dec 2018", "1 See https://example.org/notes", "Printed matter"])
def test_what_is_no_notice_stays_in_the_text(text: str) -> None:
    """A date below a letter, a footnote with an address, a word that notices have, too."""
    assert text.partition(" ")[2] in to_markdown(blocks([*TEXT, line(text, 200, 1500)]))


def test_a_row_in_the_lower_margin_of_a_page_with_margins_is_a_foot() -> None:
    """Whatever it says; a page cut close to its text has no margin."""
    text = [line(each, 200, 140 + 26 * number) for number, each in enumerate(LINES * 24)]
    assert kinds(blocks([*text, line("System 21.2", 200, 1550)]))["System 21.2"] is BlockKind.PAGE_FOOTER
    cut = [line(each, 10, 140 + 26 * number) for number, each in enumerate(LINES * 24)]
    assert "System 21.2" in to_markdown(blocks([*cut, line("System 21.2", 10, 1550)]))


def test_a_label_in_the_corner_of_a_slide_with_a_title_is_a_head() -> None:
    """Above a title in the middle and left of all text; the title of a slide is none, nor is the same on a page."""
    label, title = line("Background", 60, 60, 40), line("What was found", 563, 160, 32)
    text = column(
        ["a line that goes on over most of the slide and fills it", "as the next one does, too"] * 3, 400, 300
    )

    def heads(*lines: TextLine, size: tuple[int, int] = (1600, 900)) -> list[str]:
        found = page_blocks(PageContent(*size, (*lines, *text)))
        return [block.text for block in found if block.kind is BlockKind.PAGE_HEADER]

    assert heads(label, title) == ["Background"]
    assert heads(label) == []
    assert heads(label, line("What was found", 400, 160, 32)) == []
    assert heads(line("Background", 400, 60, 40), title) == []
    assert heads(label, title, size=(1600, 2200)) == []


def test_the_region_of_a_number_may_be_narrower_than_its_line() -> None:
    """As it is where a line is found wider than its digits; of words it says nothing."""
    region = Region("footer", 586, 1420, 598, 1440, 0.35)
    text = [*TEXT, *column(LINES * 9, 200, 940)]
    assert kinds(blocks([*text, line("10", 582, 1416)], region))["10"] is BlockKind.PAGE_NUMBER
    assert "word" in to_markdown(blocks([*text, line("word", 572, 1416)], region))


def test_the_last_row_of_a_table_is_no_foot() -> None:
    """Its rows are as far apart from each other as it is from them."""
    rows = [(line(name, 200, y), line(amount, 700, y)) for name, amount, y in
            [("Rent", "120", 1300), ("Food", "340", 1360), ("Books", "75", 1420), ("Total", "535", 1480)]]  # fmt: skip
    found = blocks([*TEXT, *(cell for row in rows for cell in row)])
    assert all(not block.kind.is_furniture for block in found)


@pytest.mark.parametrize(("top", "kind"), [(1420, BlockKind.PARAGRAPH), (1500, BlockKind.PAGE_FOOTER)])
def test_the_last_entry_of_the_contents_is_no_foot(top: float, kind: BlockKind) -> None:
    """Its number stands below those of the other entries, and it follows them as near as a new part of them does."""
    entries = [
        cell
        for row in range(40)
        for cell in (
            line(f"Section {row + 1} of the manual", 200, 200 + 30 * row),
            line(f"{row + 40}", 900, 200 + 30 * row),
        )
    ]
    found = blocks([*entries, line("Glossary", 200, top), line("80", 900, top)])
    assert next(block.kind for block in found if "Glossary" in block.text) is kind


def test_the_only_two_rows_of_a_sheet_are_no_paragraph() -> None:
    """However far apart they are: a running head and foot can be told from text by the other pages alone."""
    found = blocks([line("The Harbour News", 200, 60), line("12 On the Tides", 200, 1530)])
    assert [block.text for block in found] == ["The Harbour News", "12 On the Tides"]


def test_a_page_of_nothing_but_furniture_keeps_it_as_text() -> None:
    """A page with ink has text."""
    found = blocks([line("CONFIDENTIAL", 500, 60)], Region("header", 495, 55, 640, 85, 0.9))
    assert [block.kind for block in found] == [BlockKind.PARAGRAPH]


def test_what_a_rule_parts_from_the_text_at_the_edge_is_a_head() -> None:
    """A masthead in large type needs a word of the model; a rule further down, or a short one, parts nothing."""
    small, large = line("Vol. 12, May 2026", 200, 40), line("The Harbour News", 500, 20, 50)

    def heads(*lines: TextLine, rule: Ruling, regions: tuple[Region, ...] = ()) -> int:
        content = PageContent(PAGE_WIDTH_PX, PAGE_HEIGHT_PX, (*lines, *TEXT), rulings=(rule,), regions=regions)
        return sum(block.kind is BlockKind.PAGE_HEADER for block in page_blocks(content))

    across = Ruling(190, 90, 700, 90)
    assert heads(small, rule=across) == 1
    assert heads(small, large, rule=across) == 0
    assert heads(small, large, rule=across, regions=(Region("header", 490, 15, 910, 75, 0.6),)) == 2
    assert heads(small, rule=Ruling(190, 90, 300, 90)) == 0
    assert heads(small, rule=Ruling(190, 180, 700, 180)) == 0

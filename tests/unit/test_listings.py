"""Listings in a fixed-width font, and the lines that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.page_lines import PAGE_HEIGHT_PX, PAGE_WIDTH_PX, column, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block
    from one_ocr_ray.policy.layout.geometry import TextLine

PROSE = ["some lines of text that fill the page and go on,", "one after the other, down to its very end here."] * 3


def blocks(lines: Sequence[TextLine]) -> tuple[Block, ...]:
    """The blocks of a page."""
    return page_blocks(PageContent(PAGE_WIDTH_PX, PAGE_HEIGHT_PX, tuple(lines)))


def code(lines: Sequence[TextLine]) -> list[str]:
    """The texts of the listings of a page."""
    return [block.text for block in blocks(lines) if block.kind is BlockKind.CODE]


def listing(text: str, x: float, y: float) -> list[TextLine]:
    """Each word where a fixed-width font puts it, as a line of its own."""
    found = []
    for number, row in enumerate(text.split("\n")):
        at = 0
        for word in row.split(" "):
            if word:
                found.append(line(word, x + 10 * at, y + 26 * number, mono=True))
            at += len(word) + 1
    return found


def test_a_listing_keeps_its_gaps_indents_and_blank_lines() -> None:
    """Its wide gaps part no columns, and its aligned words make no table."""
    text = "alpha     = 1\nbeta      = 22\n    gamma = 333\n\ndelta     = 4"
    page = [*column(PROSE, 200, 200), *listing(text, 200, 400), *column(PROSE, 200, 600)]
    assert code(page) == [text]
    assert f"```\n{text}\n```" in to_markdown(blocks(page))


def test_a_listing_of_one_line_stands_after_the_end_of_a_sentence() -> None:
    """In a sentence a line in that font is a part of it."""
    after = [*column(PROSE, 200, 200), line("make install", 200, 356, mono=True), *column(PROSE, 200, 382)]
    assert code(after) == ["make install"]
    within = [*column(PROSE[:5], 200, 200), line("https://example.org/a/long/address", 200, 330, mono=True)]
    assert code([*within, *column(PROSE, 200, 356)]) == []


def test_a_listing_of_one_line_within_a_sentence_is_further_in() -> None:
    """What is shown apart is a listing though its sentence goes on; the rest of an address is none."""
    page = [*column(PROSE[:5], 200, 200), line("make install", 250, 330, mono=True), *column(PROSE, 200, 356)]
    assert code(page) == ["make install"]
    address = [line("as may be read at https://example.org/a.", 200, 330), line("org/b/c.", 200, 356, mono=True)]
    assert code([*column(PROSE[:5], 200, 200), *address, *column(PROSE, 200, 382)]) == []


def test_a_term_in_that_font_beside_its_explanation_is_no_listing() -> None:
    """The row has words in another font."""
    rows = [
        (line(f"name{at}", 200, 400 + 26 * at, mono=True), line("says what it does", 400, 400 + 26 * at))
        for at in range(4)
    ]
    assert code([*column(PROSE, 200, 200), *(each for row in rows for each in row)]) == []


def test_a_page_typed_in_that_font_has_no_listings() -> None:
    """There its prose is in a fixed-width font, too."""
    assert code(column(PROSE, 200, 200, mono=True)) == []


def test_numbers_of_lines_belong_to_the_listing() -> None:
    """They may be in another font."""
    numbered = [
        each
        for at in (0, 1)
        for each in (line(f"{at + 1}", 200, 400 + 26 * at), line("x = f(y)", 240, 400 + 26 * at, mono=True))
    ]
    assert code([*column(PROSE, 200, 200), *numbered]) == ["1   x = f(y)\n2   x = f(y)"]


def test_listings_in_two_columns_stay_apart() -> None:
    """A line does not reach over the gutter of the running text."""
    narrow = [text[:30] for text in PROSE * 2]
    sides = [[*column(narrow, x, 200), *listing("a = 1\nb = 2", x, 540), *column(narrow, x, 620)] for x in (100, 500)]
    assert code([each for side in sides for each in side]) == ["a = 1\nb = 2"] * 2


def test_the_title_of_a_listing_is_no_heading() -> None:
    """In bold type of the text's size; a heading in larger type stays one."""
    below = listing("cat file\nls", 200, 430)
    title = [*column(PROSE, 200, 200), line("Add to the file", 200, 400, bold=True), *below]
    assert not any(block.kind is BlockKind.HEADING for block in blocks(title))
    large = [*column(PROSE, 200, 200), line("Add to the file", 200, 390, 30, bold=True), *below]
    assert any(block.kind is BlockKind.HEADING for block in blocks(large))


def test_the_label_of_a_remark_in_a_box_is_no_heading() -> None:
    """Its text stands far to the right of it, and it does not stand at the margin."""
    remark = [line("Note", 220, 400, 26), *column(["Think of it before you go on."], 320, 440)]
    page = [*column(PROSE, 200, 200), *remark, *column(PROSE, 200, 540)]
    assert not any(block.kind is BlockKind.HEADING for block in blocks(page))
    heading = [*column(PROSE, 200, 200), line("Note", 200, 400, 26), *column(PROSE, 200, 440)]
    assert any(block.kind is BlockKind.HEADING for block in blocks(heading))


def test_a_large_line_that_ends_in_a_colon_is_no_heading() -> None:
    """It goes on in what follows it."""
    page = [*column(PROSE, 200, 200), line("Here:", 200, 400, 26), *column(PROSE, 200, 440)]
    assert not any(block.kind is BlockKind.HEADING for block in blocks(page))


def test_a_caption_belongs_to_the_listing_beside_it() -> None:
    """Text between the two parts them."""
    caption, below = line("Listing 1: How to call it", 200, 400), listing("a = 1\nb = 2", 200, 440)
    for lines, has_parent in (([], True), (column(PROSE, 200, 460), False)):
        found = blocks(
            [*column(PROSE, 200, 200), caption, *lines, *(below if has_parent else listing("a\nb", 200, 660))]
        )
        named = next(block for block in found if block.kind is BlockKind.CAPTION)
        of_code = next(block.id for block in found if block.kind is BlockKind.CODE)
        assert named.parent == (of_code if has_parent else None)

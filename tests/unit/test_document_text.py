"""The text of a document from its pages: without running heads, its own lines all there, cut paragraphs whole."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import Block, BlockKind, Box, PackedBlocks, PageBox, Positions
from one_ocr_ray.policy.dataset.packing import pack, unpack
from one_ocr_ray.policy.document import document_text, document_texts, with_continuations
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.books import HEIGHT_PT, TITLE, WIDTH_PT, book
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult


@pytest.mark.parametrize("with_places", [True, False], ids=["with places", "Markdown alone"])
@pytest.mark.parametrize("numbers_in_heads", [True, False], ids=["numbers in the heads", "numbers below"])
def test_a_book_loses_its_running_heads_and_none_of_its_lines(with_places: bool, numbers_in_heads: bool) -> None:
    """300 pages: no head of a left or right page is left, every line and every chapter's title is."""
    made = book(300, with_places=with_places, numbers_in_heads=numbers_in_heads)
    text = document_text(made.pages)
    lines = text.markdown.split("\n")
    assert TITLE.upper() not in text.markdown
    heads = [line for line in lines if re.fullmatch(r"On the .* [\dlO]+|[\dlO]+", line)]
    assert heads == []
    assert [line for line in made.own if line not in text.markdown] == []
    for chapter in made.chapters:
        assert text.markdown.count(chapter) == 1
    assert "\n\n\n" not in text.markdown
    assert [whole for whole in made.cut if whole not in text.markdown] == []
    for each, (start, end) in zip(made.pages, pairwise((0, *text.page_ends)), strict=True):
        assert " ".join(text.markdown[start:end].lstrip("\n# ").split()) in " ".join((each.markdown or "").split())


def test_what_most_pages_leave_out_goes_from_the_others() -> None:
    """A layout model has not known the head on one page; on the others it is known, and proves what it is."""
    paper, box = document(page_count=5), PageBox(WIDTH_PT, HEIGHT_PT)
    pages = []
    for number in range(1, 6):
        kind = BlockKind.PARAGRAPH if number == 3 else BlockKind.PAGE_HEADER
        head = Block(1, kind, "Of Mills", Box(50, 30, 120, 40))
        blocks = [head, Block(2, BlockKind.PARAGRAPH, f"Of {number} things.", Box(50, 200, 300, 260))]
        text = to_markdown(blocks, number)
        pages.append(page(paper, number, markdown=text, blocks=pack(blocks, Positions.BLOCKS), page_box=box))
    assert document_text(pages).markdown == "\n\n".join(f"Of {number} things." for number in range(1, 6))


def markdown_of(*texts: str) -> str:
    """The text of a document whose pages say `texts`."""
    paper = document(page_count=len(texts))
    return document_text([page(paper, n, markdown=text) for n, text in enumerate(texts, 1)]).markdown


def body(number: int) -> str:
    """Running text that no other page has."""
    return "\n\n".join(f"Line {chr(96 + part)} of what stands on sheet {number * 31} alone." for part in (1, 2, 3, 4))


def test_a_head_in_the_first_line_of_a_paragraph_goes() -> None:
    """Models put a running head right above the text."""
    pages = [f"The History of Mills {n + 40}\n{body(n)}" for n in range(1, 8)]
    assert markdown_of(*pages) == "\n\n".join(body(n) for n in range(1, 8))


@pytest.mark.parametrize("joint", ["  \n", " "], ids=["lines", "running text"])
def test_a_head_that_is_set_like_the_text_goes(joint: str) -> None:
    """With places, too: it is the first line of the first block; where that is running text, its first words."""
    paper, box, where = document(page_count=12), PageBox(WIDTH_PT, HEIGHT_PT), Box(50, 80, 370, 500)
    pages = []
    for number in range(1, 13):
        between = joint if number % 3 == 0 else "  \n"
        text = f"Page {number} of 12{between}{body(number)}"
        blocks = pack([Block(1, BlockKind.PARAGRAPH, text, where)], Positions.BLOCKS)
        pages.append(page(paper, number, markdown=text, blocks=blocks, page_box=box))
    assert document_text(pages).markdown == "\n\n".join(body(number) for number in range(1, 13))


def placed(number: int, count: int, *parts: tuple[BlockKind, str, float]) -> PageResult:
    """A page of a document with blocks of one line, each with its height on the page."""
    blocks = [Block(at, kind, text, Box(50, top, 370, top + 12)) for at, (kind, text, top) in enumerate(parts, 1)]
    blocks = [replace(block, level=2) if block.kind is BlockKind.HEADING else block for block in blocks]
    row = page(document(page_count=count), number, markdown=to_markdown(blocks, number))
    return replace(row, blocks=pack(blocks, Positions.BLOCKS), page_box=PageBox(WIDTH_PT, HEIGHT_PT))


def test_sections_that_begin_pages_are_no_running_heads() -> None:
    """Their titles differ by their numbers alone; the head above them goes."""
    heading, text = BlockKind.HEADING, BlockKind.PARAGRAPH
    pages = [
        placed(n, 8, (text, "A Manual", 20), (heading, f"22.{n + 40} Version 3.5.{n}", 50), (text, body(n), 200))
        for n in range(1, 9)
    ]
    found = document_text(pages).markdown
    assert "A Manual" not in found
    assert all(f"22.{n + 40} Version 3.5.{n}\n" in found for n in range(1, 9))


def test_notes_that_count_with_the_pages_stay() -> None:
    """One at the foot of each page: a page's number has the same words beside it on other pages, or none."""
    notes = [f"{n + 3} What some have said of sheet {chr(96 + n)} and of no other" for n in range(1, 9)]
    text = BlockKind.PARAGRAPH
    pages = [placed(n, 8, (text, body(n), 200), (text, note, 540)) for n, note in enumerate(notes, 1)]
    found = document_text(pages).markdown
    assert all(note in found for note in notes)


def test_words_of_the_text_may_end_several_pages() -> None:
    """They stand on some pages of many, as high as on others, and once as a heading before."""
    text = BlockKind.PARAGRAPH
    pages = [
        placed(n, 60, (text, body(n), 200), (text, "Syntax:" if n % 5 == 0 else f"End {chr(96 + n % 26)} it", 550))
        for n in range(1, 61)
    ]
    pages[1] = placed(2, 60, (BlockKind.HEADING, "Syntax", 150), (text, body(2), 200))
    assert document_text(pages).markdown.count("Syntax:") == 12


def test_numbered_sections_are_no_page_numbers() -> None:
    """One a page, they count with the pages; so do the items of a list."""
    sections = [f"# {n} About thing {chr(96 + n)}\n\n{body(n)}" for n in range(1, 8)]
    items = [f"{n}. Item {chr(96 + n)} of the list\n\n{body(n)}" for n in range(1, 8)]
    assert markdown_of(*sections) == "\n\n".join(sections)
    assert markdown_of(*items) == "\n\n".join(items)


def test_a_title_stays_where_later_pages_repeat_it() -> None:
    """The first time it is the chapter's own."""
    pages = [f"# Of the Mill\n\n{body(1)}", *(f"Of the Mill\n\n{body(n)}" for n in range(2, 6))]
    assert markdown_of(*pages).count("Of the Mill") == 1
    assert markdown_of(*pages).startswith("# Of the Mill\n\n")


def test_pages_that_all_say_the_same_are_kept() -> None:
    """Where nothing else would be left, what repeats is the text."""
    assert markdown_of(*["Page of nothing"] * 5) == "\n\n".join(["Page of nothing"] * 5)


HEAD = "| Month | Water |\n| --- | --- |\n"


def test_a_table_over_three_pages_is_one() -> None:
    """A head that each page repeats stands once; rows of a page without one are rows."""
    first, second, third = f"{HEAD}| May | 1 |", f"{HEAD}| June | 2 |", "| July | 3 |\n| --- | --- |\n| August | 4 |"
    assert markdown_of(first, second, third) == f"{HEAD}| May | 1 |\n| June | 2 |\n| July | 3 |\n| August | 4 |"


def test_an_html_table_over_two_pages_is_one() -> None:
    """Its spans stay; another table, of other columns, does not join it."""
    pages = [f"<table>\n<tr><td>{a}</td><td>b</td></tr>\n</table>" for a in "ac"]
    assert markdown_of(*pages) == ("<table>\n<tr><td>a</td><td>b</td></tr>\n<tr><td>c</td><td>b</td></tr>\n</table>")
    other = "<table><tr><td>alone</td></tr></table>"
    assert markdown_of(pages[0], other) == f"{pages[0]}\n\n{other}"


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        ("The paper of the towns says that the har-", "bour was closed.", "says that the harbour was closed."),
        ("The paper of all the towns says that", "it was closed.", "says that it was closed."),
        ("这一年共布设监测断面二十六个采集水样一千二百四十八份并", "测定了水温。", "八份并测定了水温。"),
    ],
)
def test_a_paragraph_that_a_page_break_cuts_is_one(before: str, after: str, whole: str) -> None:
    """With its hyphen gone, with a blank, or with none in Chinese."""
    assert markdown_of(before, after).endswith(whole)


def test_a_block_that_goes_on_says_so() -> None:
    """In the rows of a book, the first block of the text after a page break that has cut one; and only there."""
    made = book(40, with_places=True, numbers_in_heads=True)
    going_on = [
        block.text
        for each in with_continuations(made.pages, document_texts(made.pages))
        for block in unpack(each.blocks or PackedBlocks(b""))
        if block.continues
    ]
    assert going_on == [whole[-len(text) :] for whole, text in zip(made.cut, going_on, strict=True)]
    assert len(going_on) > 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The paper of the towns says that it was so.", "it was closed."),
        ("The paper of the towns says that", "- it was closed"),
        ("The paper of the towns says that", "# it was closed"),
        ("A label", "it was closed."),
        ("The paper of the towns says that", "```\nit was closed\n```"),
    ],
)
def test_what_ends_with_its_page_stays_apart(before: str, after: str) -> None:
    """A sentence that has ended, a list, a heading, a label, a listing."""
    assert markdown_of(before, after) == f"{before}\n\n{after}"


def test_a_failed_page_joins_nothing() -> None:
    """What stood on it is not known."""
    paper, cut = document(page_count=3), "The paper of all the towns says that"
    pages = [page(paper, 1, markdown=cut), page(paper, 2, failure=TIMED_OUT), page(paper, 3, markdown="it was so.")]
    text = document_text(pages)
    assert (text.markdown, text.page_ends) == (f"{cut}\n\nit was so.", (len(cut), len(cut), len(cut) + 12))


def test_a_blank_page_between_two_halves_ends_where_the_first_ends() -> None:
    """The hyphen that goes moves both ends."""
    paper = document(page_count=3)
    texts = ["The paper of the towns says that the har-", "", "bour was closed."]
    text = document_text([page(paper, n, markdown=each) for n, each in enumerate(texts, 1)])
    assert [text.markdown[:end] for end in text.page_ends] == [texts[0][:-1], texts[0][:-1], text.markdown]
    assert text.continuing == {3: None}


def test_ranks_of_numbered_headings_agree_over_the_document() -> None:
    """A model that ranks each page by itself is put right by most of its own answers."""
    levels = ["## 1 One", "### 1.1 Two", "## 2 Three", "## 2.1 Four", "# 3 Five", "### 3.1 Six", "## Seven"]
    text = markdown_of(*(f"{each}\n\n{body(n)}" for n, each in enumerate(levels)))
    wanted = ["## 1 One", "### 1.1 Two", "## 2 Three", "### 2.1 Four", "## 3 Five", "### 3.1 Six", "## Seven"]
    assert re.findall(r"^#.*", text, re.MULTILINE) == wanted

"""A book made of page results: chapters, running heads, page numbers, paragraphs and tables over page breaks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, BlockKind, Box, PageBox, Positions
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.values import document, page

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult

WIDTH_PT, HEIGHT_PT = 420.0, 595.0
TITLE = "The Harbour and the Mill"
LINE_PT = 12.0


@dataclass
class Book:
    """Pages, the lines that are the book's own, and the heads that are not."""

    pages: list[PageResult] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    chapters: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)  # paragraphs over a page break, whole


def book(page_count: int, *, with_places: bool, numbers_in_heads: bool, seed: int = 1) -> Book:
    """Left pages have the book's title and the number above them, right pages the chapter's; the first page of a
    chapter has its title larger and the number below. Every fourth paragraph is cut by the page break.
    """
    rng = random.Random(seed)
    made = Book()
    paper = document(page_count=page_count)
    left_in_chapter = 0
    cut = ""
    for number in range(1, page_count + 1):
        blocks: list[tuple[BlockKind, str, float, float, int | None]] = []  # kind, text, top, height, level
        printed = str(number)
        if with_places and rng.random() < 0.1:  # misread
            printed = printed.replace("1", "l").replace("0", "O")
        if left_in_chapter == 0:
            left_in_chapter = rng.choice([1, 2, 3, 8, 15])
            chapter = f"On the {_words(rng, 2)} of {_words(rng, 1).title()}"
            made.chapters.append(chapter)
            if cut:  # a chapter begins on a new page, so the one before has ended
                cut = ""
            blocks.append((BlockKind.HEADING, f"{len(made.chapters)} {chapter}", 120, 24, rng.choice([1, 2])))
            made.own.append(chapter)
        elif number % 2:
            head = f"{made.chapters[-1]} {printed}" if numbers_in_heads else made.chapters[-1]
            blocks.append((BlockKind.PARAGRAPH, head, 30, 10, None))
        else:
            head = f"{printed} {TITLE.upper()}" if numbers_in_heads else TITLE.upper()
            blocks.append((BlockKind.PARAGRAPH, head, 30, 10, None))
        first_of_chapter = blocks[0][0] is BlockKind.HEADING
        left_in_chapter -= 1
        top = 160.0
        if cut:
            blocks.append((BlockKind.PARAGRAPH, cut, top, 5 * LINE_PT, None))
            made.own.append(cut)
            top += 70
            cut = ""
        for _ in range(3):
            text = _sentence(rng, number)
            blocks.append((BlockKind.PARAGRAPH, text, top, 5 * LINE_PT, None))
            made.own.append(text)
            top += 70
        if left_in_chapter and number % 2 == 0 and number < page_count:
            first, cut = _sentence(rng, number).removesuffix("."), f"{_words(rng, 30)} at last."
            blocks.append((BlockKind.PARAGRAPH, first, top, 5 * LINE_PT, None))
            made.own.append(first)
            made.cut.append(f"{first} {cut}")
        if first_of_chapter or not numbers_in_heads:
            blocks.append((BlockKind.PARAGRAPH, printed, 560, 10, None))
        made.pages.append(_page(paper, number, blocks, with_places=with_places))
    return made


def _page(of, number: int, parts, *, with_places: bool) -> PageResult:  # type: ignore[no-untyped-def]
    blocks = [
        Block(at, kind, text, Box(50.0, top, 50 + min(320.0, 5.5 * len(text)), top + height), level=level)
        for at, (kind, text, top, height, level) in enumerate(parts, 1)
    ]
    row = page(of, number, markdown=to_markdown(blocks, number))
    if not with_places:
        return row
    return replace(row, blocks=pack(blocks, Positions.BLOCKS), page_box=PageBox(WIDTH_PT, HEIGHT_PT))


def _words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices("abdefghklmnoprstuvw", k=rng.randint(4, 9))) for _ in range(count))


def _sentence(rng: random.Random, number: int) -> str:
    return f"{_words(rng, 1).title()} {_words(rng, 20)} as it is told of year {1500 + number}."

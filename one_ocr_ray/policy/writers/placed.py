"""Gives every word of a page a place, for PDF layers, hOCR and ALTO.

Places that are not known are guessed: the words of a block without lines are spread evenly over its box, a block
without a box stands below the one before it, and a page without any box is filled from its top.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, BlockLine, BlockSource, BlockWord, Box, PageBox
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.layout.places import around, part_of, turned
from one_ocr_ray.policy.layout.text import CJK_RANGE
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from one_ocr_ray.model import PageResult

PT_PER_PX = 72 / 200  # of a picture whose resolution is not known
LETTER = PageBox(612.0, 792.0)
MOST_LOST = 500  # words of an answer in a row that are not found on the page, before the next is taken for lost, too
LINE_PT = 12.0  # the height of a line of a block without a box

_CJK = re.compile(f"([{CJK_RANGE}])")
_EM_TO_LINE = 0.8  # an em against the height of its line
_RTL = frozenset({"R", "AL"})


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A block of which every word has a place."""

    block: Block
    box: Box
    lines: tuple[BlockLine, ...]


@dataclass(frozen=True, slots=True)
class PlacedPage:
    """A page as displayed, in points. `is_guessed`: no place was known of anything on it."""

    number: int
    box: PageBox
    blocks: tuple[PlacedBlock, ...]
    is_guessed: bool
    px_per_pt: float  # of the picture that was read
    failure: str | None = None  # its code, of a page that failed

    @property
    def lines(self) -> tuple[BlockLine, ...]:
        return tuple(line for placed in self.blocks for line in placed.lines)


def placed_page(page: PageResult) -> PlacedPage:
    """`page` with places for all its words; of a failed page there are none."""
    width_px, height_px = page.image_width or 0, page.image_height or 0
    of_picture = PageBox(width_px * PT_PER_PX, height_px * PT_PER_PX) if width_px and height_px else None
    box = page.page_box or (turned(of_picture, page.rotation or 0) if of_picture else LETTER)
    longest_px = max(width_px, height_px)
    px_per_pt = longest_px / max(box.width, box.height) if longest_px else 1 / PT_PER_PX
    if page.status is PageStatus.FAILED:
        code = page.failure.code if page.failure else "unknown"
        return PlacedPage(page.page_number, box, (), is_guessed=False, px_per_pt=px_per_pt, failure=code)
    blocks = unpack(page.blocks) if page.blocks else markdown_blocks(page.markdown or "", BlockSource.LLM)
    is_guessed = all(block.box is None for block in blocks)
    placed = tuple(_placed(blocks, box))
    return PlacedPage(page.page_number, box, placed, is_guessed=is_guessed and bool(placed), px_per_pt=px_per_pt)


def is_rtl(text: str) -> bool:
    """True if the first letter of `text` is of a script that runs left."""
    for char in text:
        direction = unicodedata.bidirectional(char)
        if direction == "L":
            return False
        if direction in _RTL:
            return True
    return False


def _placed(blocks: Sequence[Block], page: PageBox) -> Iterator[PlacedBlock]:
    """Blocks with boxes. One without a box stands below the block before it, as high as its text needs."""
    whole = Box(0.0, 0.0, page.width, page.height)
    if all(block.box is None for block in blocks):
        blocks = _stacked([block for block in blocks if block.text.strip() or block.table], page)
    last = replace(whole, y1=0.0)
    for block in blocks:
        top = min(last.y1, max(page.height - LINE_PT, 0.0))
        box = block.box or replace(last, y0=top, y1=min(top + LINE_PT, page.height))
        last = box
        if block.lines and block.source is BlockSource.LLM:
            lines = tuple(_completed(block, box))
        else:
            lines = block.lines if block.lines is not None else tuple(_spread_block(block, box))
        yield PlacedBlock(block, box, tuple(split for line in lines if (split := _split(line)).words))


def _completed(block: Block, box: Box) -> Iterator[BlockLine]:
    """The lines of a model's answer with all words, also those without a place.

    Those that follow a found word share the gap behind it, as far as the next found one or the end of the block.
    """
    lines = list(block.lines or ())
    answered, done = _pieces(block.text), 0
    for number, line in enumerate(lines, start=1):
        words: list[BlockWord] = []
        for word in line.words:
            ahead = range(done, min(done + MOST_LOST, len(answered)))
            place = next((place for place in ahead if answered[place][0] == word.text), done - 1)
            lost, done = answered[done:place], place + 1
            words += [*_between(lost, word.box, words[-1].box.x1 if words else box.x0, word.box.x0), word]
        if number == len(lines) and words:
            words += _between(answered[done:], words[-1].box, words[-1].box.x1, box.x1)
        yield replace(line, words=tuple(words))


def _between(lost: Sequence[tuple[str, bool]], beside: Box, start: float, end: float) -> tuple[BlockWord, ...]:
    """Words at the height of `beside`, from `start` to `end`, or beyond if too long."""
    if not lost:
        return ()
    width = max(end - start, 0.2 * _units(lost) * (beside.y1 - beside.y0))
    return _line(lost, Box(start, beside.y0, start + width, beside.y1), width).words


def _stacked(blocks: Sequence[Block], page: PageBox) -> list[Block]:
    """Spreads blocks without places over a page, each as high as it has characters."""
    margin = 0.08 * min(page.width, page.height)
    weights = [max(len(_text(block)), 40) for block in blocks]
    per_character, top = (page.height - 2 * margin) / max(sum(weights), 2000), margin
    stacked: list[Block] = []
    for block, weight in zip(blocks, weights, strict=True):
        bottom = top + weight * per_character
        stacked.append(replace(block, box=Box(margin, top, page.width - margin, bottom)))
        top = bottom
    return stacked


def _text(block: Block) -> str:
    if block.table is not None:
        return " ".join(cell.text for cell in block.table.cells)
    return f"{block.marker} {block.text}" if block.marker else block.text


def _spread_block(block: Block, box: Box) -> Iterator[BlockLine]:
    """The words of a block, or of each table cell, spread over its box."""
    if block.table is None:
        yield from spread(_text(block), box)
        return
    across, down = (box.x1 - box.x0) / max(block.table.cols, 1), (box.y1 - box.y0) / max(block.table.rows, 1)
    for cell in block.table.cells:
        left, top = box.x0 + cell.col * across, box.y0 + cell.row * down
        even = Box(left, top, left + cell.col_span * across, top + cell.row_span * down)
        yield from spread(cell.text, cell.box or even)


def spread(text: str, box: Box) -> Iterator[BlockLine]:
    """The words of `text` in as many lines as fill `box`. A word's share of its line follows its characters."""
    given = [words for line in text.split("\n") if (words := _pieces(line))]
    if not given:
        return
    width, height = max(box.x1 - box.x0, 0.1), max(box.y1 - box.y0, 0.1)
    units = sum(_units(words) for words in given)
    # A line of n holds width / (em / 2) half ems, and its em is height / n * 0.8: n lines hold them all.
    count = max(1, round(math.sqrt(units * _EM_TO_LINE / 2 * height / width)))
    lines = given
    if len(given) < count:
        lines, length = [[]], 0.0
        for word in (word for words in given for word in words):
            own = _units([word])
            if lines[-1] and length + own / 2 > units / count * len(lines):
                lines.append([])
            lines[-1].append(word)
            length += own
    step = height / len(lines)
    for number, words in enumerate(lines):
        line = Box(box.x0, box.y0 + number * step, box.x1, box.y0 + (number + 1) * step)
        size = min(step, 2 * width / max(_units(words), 1) / _EM_TO_LINE)  # a short last line is no wider than its text
        yield _line(words, line, min(width, _units(words) * size * _EM_TO_LINE / 2))


def _pieces(text: str) -> list[tuple[str, bool]]:
    """The words of `text`, each CJK character by itself, and whether a blank follows."""
    pieces: list[tuple[str, bool]] = []
    for word in text.split():
        parts = [part for part in _CJK.split(word) if part]
        pieces += [(part, False) for part in parts[:-1]] + [(parts[-1], not _CJK.match(parts[-1]))]
    return pieces


def _units(words: Iterable[tuple[str, bool]]) -> int:
    """The length in half ems."""
    return sum(width_units(text) + space for text, space in words)


def width_units(text: str) -> int:
    """The length of `text` in half ems. A CJK character is an em wide, any other half of one."""
    return len(text) + len(_CJK.findall(text))


def _line(words: Sequence[tuple[str, bool]], box: Box, width: float) -> BlockLine:
    unit = width / max(_units(words), 1)
    rtl = is_rtl("".join(text for text, _ in words))
    at, placed = 0.0, []
    for text, space in words:
        length = width_units(text) * unit
        left = box.x1 - at - length if rtl else box.x0 + at
        placed.append(BlockWord(text, Box(left, box.y0, left + length, box.y1), None, space))
        at += length + space * unit
    return BlockLine(around([word.box for word in placed]), tuple(placed))


def _split(line: BlockLine) -> BlockLine:
    """`line` with each of its words by itself. A reader may have taken several for one, as in Arabic.

    They have equal shares of the box by their characters.
    """
    if all(len(word.text.split()) == 1 for word in line.words):
        return line
    words: list[BlockWord] = []
    for word in line.words:
        texts = word.text.split()
        total, start = len(" ".join(texts)), 0
        for index, text in enumerate(texts):
            a, b = start / total, (start + len(text)) / total
            a, b = (1 - b, 1 - a) if is_rtl(word.text) else (a, b)
            part = part_of(word.box, a, b, runs_down=abs(line.angle) % 180 > 45)
            words.append(replace(word, text=text, box=part, space=index < len(texts) - 1 or word.space))
            start += len(text) + 1
    return replace(line, words=tuple(words))

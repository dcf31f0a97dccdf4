"""Where things are, in points of the page as displayed: of words from their lines, of lines and blocks from words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockLine, BlockWord, Box, PageBox
from one_ocr_ray.policy.layout.text import is_cjk, is_hyphenated, with_leaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from one_ocr_ray.blocks import Block, TableGrid
    from one_ocr_ray.policy.layout.geometry import Row, TextLine


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box around `boxes`, of which there is at least one."""
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )


def part_of(box: Box, start: float, end: float, *, runs_down: bool) -> Box:
    """A part of a text's box, from `start` to `end`, as shares 0-1 of its length."""
    if runs_down:
        height = box.y1 - box.y0
        return replace(box, y0=box.y0 + start * height, y1=box.y0 + end * height)
    width = box.x1 - box.x0
    return replace(box, x0=box.x0 + start * width, x1=box.x0 + end * width)


def turned(page: PageBox, turn_deg: int) -> PageBox:
    """`page` when it is turned clockwise by quarters."""
    width, height = round(page.width, 2), round(page.height, 2)
    return PageBox(*((height, width) if turn_deg % 180 else (width, height)), (page.rotate + turn_deg) % 360)


def without_lines(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """`blocks` without the places of their lines and words."""
    return tuple(replace(block, lines=None) for block in blocks)


def stood_up(blocks: Iterable[Block], laid_height: float) -> tuple[Block, ...]:
    """`blocks` of a page that was read lying on its left side, turned upright. `laid_height`: the page's, in points."""

    def box_of(box: Box) -> Box:
        return Box(round(laid_height - box.y1, 2), box.x0, round(laid_height - box.y0, 2), box.x1)

    def line_of(line: BlockLine) -> BlockLine:
        words = tuple(replace(word, box=box_of(word.box)) for word in line.words)
        return BlockLine(box_of(line.box), words, line.angle + 90)

    def table_of(table: TableGrid) -> TableGrid:
        return replace(table, cells=tuple(replace(cell, box=cell.box and box_of(cell.box)) for cell in table.cells))

    return tuple(
        replace(
            block,
            box=block.box and box_of(block.box),
            table=block.table and table_of(block.table),
            lines=block.lines and tuple(line_of(line) for line in block.lines),
        )
        for block in blocks
    )


def printed_words(line: TextLine, pt_per_unit: float) -> list[BlockWord]:
    """The words of `line`, each with the upright box around its part of the line."""
    confidence = None if line.confidence is None else round(line.confidence, 4)
    boxes = _upright_parts(line, pt_per_unit) if line.is_upright else _parts(line, pt_per_unit)
    return [
        BlockWord(with_leaders(word.text).strip(), box, confidence, word.text[-1:].isspace())
        for word, box in zip(line.words, boxes, strict=True)
    ]


def _upright_parts(line: TextLine, pt_per_unit: float) -> Iterator[Box]:
    (left, top), (right, _), (_, bottom), _ = line.corners
    top, bottom = (round(y * pt_per_unit, 2) for y in sorted((top, bottom)))
    for word in line.words:
        start, end = (left + min(max(part, 0.0), 1.0) * (right - left) for part in sorted((word.start, word.end)))
        yield Box(round(start * pt_per_unit, 2), top, round(end * pt_per_unit, 2), bottom)


def _parts(line: TextLine, pt_per_unit: float) -> Iterator[Box]:
    top_left, top_right, bottom_right, bottom_left = line.corners
    sides = (top_left, top_right), (bottom_left, bottom_right)
    if line.is_vertical:
        sides = (top_left, bottom_left), (top_right, bottom_right)
    for word in line.words:
        parts = [min(max(part, 0.0), 1.0) for part in (word.start, word.end)]
        xs = [(a[0] + part * (b[0] - a[0])) * pt_per_unit for a, b in sides for part in parts]
        ys = [(a[1] + part * (b[1] - a[1])) * pt_per_unit for a, b in sides for part in parts]
        yield Box(round(min(xs), 2), round(min(ys), 2), round(max(xs), 2), round(max(ys), 2))


def printed_line(row: Row) -> BlockLine:
    """The words of a row with their places; a blank follows the last one where text that goes on would need it."""
    words: list[BlockWord] = []
    for segment in row:
        words += [printed for placed in segment.words for printed in placed.printed]
        words[-1] = replace(words[-1], space=True)
    last = words[-1].text
    words[-1] = replace(words[-1], space=not (is_cjk(last[-1]) or is_hyphenated(last)))
    line = row[0].line
    angle_deg = line.angle
    if angle_deg is None:  # the direction of its corners
        (x0, y0), (x1, y1) = line.corners[0], line.corners[3 if line.is_vertical else 1]
        angle_deg = round(math.degrees(math.atan2(y1 - y0, x1 - x0)), 2)
    return BlockLine(around([word.box for word in words]), tuple(words), angle_deg)

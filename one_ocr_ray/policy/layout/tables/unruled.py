"""Tables without rulings: rows whose cells stand under each other.

A table here is three rows or more that share at least two columns. Those with rulings are found before (ruled.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import mean, median
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import Segment, gap
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.tables.alignment import (
    columns,
    first_head,
    fits,
    grouped,
    level_rows,
    overlap,
    placed,
    spans,
)
from one_ocr_ray.policy.layout.tables.grid import is_number
from one_ocr_ray.policy.layout.text import is_leader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import Row
    from one_ocr_ray.policy.layout.tables.alignment import Interval
    from one_ocr_ray.policy.layout.tables.grid import PrintedTable

MIN_ROWS = 3
FEW_CHARACTERS = 2.0  # a cell: answers to choose from, fractions, a puzzle
REACH = 3  # rows further down that a row may be aligned with: a heading of several rows lies between
ALIGNED = 0.5  # of the line height: edges or middles that differ by less are aligned
ROW_GAP = 2.5  # of the line height: what is further away belongs to another table
CELL_GAP = 1.0  # of the line height: usual distance of two cells; less is running text with wide spaces
LINE_GAP = 0.6  # of the line height: between the lines of a cell
MARKER_GAP = 2.5  # of the line height: a bullet or number is at most this far from its text


@dataclass(frozen=True, slots=True, eq=False)
class TableStrip(Segment):
    """A strip of a table that was found before; its word is no text."""

    table: PrintedTable = field(compare=False)


def find_tables(page: Sequence[Row], height: float) -> list[PrintedTable | tuple[Row, ...]]:
    """Part rows into tables and the text between them, in order. `height` is the page's usual line height."""
    parts: list[PrintedTable | tuple[Row, ...]] = []
    text: list[Row] = []
    for row in page:
        for strip in row:
            if isinstance(strip, TableStrip) and not any(part is strip.table for part in parts):
                parts += [*_parted(text, height), strip.table]
                text = []
        if rest := tuple(segment for segment in row if not isinstance(segment, TableStrip)):
            text.append(rest)
    return parts + _parted(text, height)


def _parted(page: Sequence[Row], height: float) -> list[PrintedTable | tuple[Row, ...]]:
    page = [_with_leaders(row, height) for row in page]
    parts: list[PrintedTable | tuple[Row, ...]] = []
    start = at = 0
    while at < len(page):
        end = _run_end(page, at, height)
        cols = _table_columns(page[at:end], height) if end > at else []
        if not cols:
            at += 1
            continue
        at, end = first_head(page[start:at], page[at], cols, height) + start, _last_line(page, end, cols, height)
        if start < at:
            parts.append(tuple(page[start:at]))
        parts.append(placed(grouped(level_rows(page[at:end]), cols, height), cols, height).table())
        start = at = end
    if start < len(page):
        parts.append(tuple(page[start:]))
    return parts


def _with_leaders(row: Row, height: float) -> Row:
    """Join a lone bullet or number with its text, and leader dots with the text before them."""
    if len(row) == 2 and marks.is_marker(row[0].text) and row[1].left - row[0].right <= MARKER_GAP * height:
        row = (_joined(*row),)
    cells: list[Segment] = []
    for cell in row:
        if cells and is_leader(cell.text):
            cells[-1] = _joined(cells[-1], cell)
        else:
            cells.append(cell)
    return tuple(cells)


def _joined(left: Segment, right: Segment) -> Segment:
    last = left.words[-1]
    words = (*left.words[:-1], replace(last, text=last.text.rstrip() + " "), *right.words)
    return replace(left, words=words, top=min(left.top, right.top), bottom=max(left.bottom, right.bottom))


def _run_end(page: Sequence[Row], start: int, height: float) -> int:
    """Where the rows that are aligned with the one at `start`, directly or through others, end."""
    linked = start
    at = start
    while at <= linked:
        for other in range(at + 1, min(at + 1 + REACH, len(page))):
            if gap(page[other - 1], page[other]) > ROW_GAP * height:
                break
            # A lone line between two rows is a part of a heading or of a cell, unless it is a title between two tables.
            lone = [line[0] for line in page[at + 1 : other] if len(line) == 1]
            if any(sum(overlap(cell, (line.left, line.right)) > 0 for cell in page[at]) > 1 for line in lone):
                break
            if _aligned(page[at], page[other], height):
                linked = max(linked, other)
        at += 1
    return linked + 1 if linked > start else start


def _aligned(a: Row, b: Row, height: float) -> bool:
    """True if two cells of each row stand under cells of the other: with the same left edge, right edge or middle."""
    near = ALIGNED * height

    def under(a: Segment, b: Segment) -> bool:
        left, right = a.left - b.left, a.right - b.right
        return abs(left) < near or abs(right) < near or abs(left + right) < 2 * near

    return all(sum(any(under(cell, other) for other in y) for cell in x) >= 2 for x, y in ((a, b), (b, a)))


def _table_columns(run: Sequence[Row], height: float) -> list[Interval]:
    """The columns of a table; none where the rows are no table."""
    gaps = [b.left - a.right for row in run for a, b in pairwise(row)]
    listing = sum(marks.ends_statement(row[-1].text) for row in run)
    if median(gaps) < CELL_GAP * height or 2 * listing >= len(run):
        return []
    if mean(len(cell.text) for row in run for cell in row) <= FEW_CHARACTERS:
        return []
    cols = columns(run)
    full = sum(len({first for first, _ in spans(row, cols, height)}) > 1 for row in run)
    count = len(run) if len(cols) < 3 else len(grouped(run, cols, height))  # a term and its explanation are no table
    return [] if len(cols) < 2 or full < MIN_ROWS or 2 * full < count else cols


def _last_line(page: Sequence[Row], end: int, cols: Sequence[Interval], height: float) -> int:
    """Where the lines end that go on with cells of the table's last row: near to it, within columns, not the first."""
    while end < len(page):
        row = page[end]
        found = spans(row, cols, height)
        near = gap(page[end - 1], row) <= LINE_GAP * height
        inside = fits(row, found, cols, height) and all(0 < a == b for a, b in found)
        above = [cell for cell in page[end - 1] if any(overlap(cell, cols[a]) > 0 for a, _ in found)]
        inside = inside and not any(is_number(cell.text) for cell in (*above, *row))
        if not near or not inside:
            break
        end += 1
    return end

"""Tables without rulings: rows whose cells stand under each other.

A table here is three rows or more that share at least two columns. Cells that span columns stand in the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Cell, TableGrid
from one_ocr_ray.policy.layout import marks
from one_ocr_ray.policy.layout.places import around
from one_ocr_ray.policy.layout.text import is_leader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import Row, Segment

MIN_ROWS = 3
REACH = 3  # rows further down that a row may be aligned with: a heading of several rows lies between
ALIGNED = 0.5  # of the line height: edges or middles that differ by less are aligned
ROW_GAP = 2.5  # of the line height: what is further away belongs to another table
CELL_GAP = 1.0  # of the line height: usual distance of two cells; less is running text with wide spaces
MARKER_GAP = 2.5  # of the line height: a bullet or number is at most this far from its text

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the printed rows that it was made of."""

    rows: tuple[Row, ...]
    grid: TableGrid


def find_tables(page: Sequence[Row], height: float) -> list[Table | tuple[Row, ...]]:
    """Part rows into tables and the text between them, in order. `height` is the page's usual line height in px."""
    page = [_with_leaders(_with_marker(row, height)) for row in page]
    parts: list[Table | tuple[Row, ...]] = []
    start = at = 0
    while at < len(page):
        end = _run_end(page, at, height)
        table = _table(page[at:end], height) if end > at else None
        if table is None:
            at += 1
            continue
        if start < at:
            parts.append(tuple(page[start:at]))
        parts.append(table)
        start = at = end
    if start < len(page):
        parts.append(tuple(page[start:]))
    return parts


def _with_marker(row: Row, height: float) -> Row:
    """Put a bullet or number that stands alone together with its text: a list is no table."""
    if len(row) != 2 or not marks.is_marker(row[0].text) or row[1].left - row[0].right > MARKER_GAP * height:
        return row
    return (_joined(*row),)


def _with_leaders(row: Row) -> Row:
    """Put dots that lead to a number together with the text that they come from: they are no column."""
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
            if not _near(page[other - 1], page[other], height) or not _within_columns(page[at + 1 : other], page[at]):
                break
            if _aligned(page[at], page[other], height):
                linked = max(linked, other)
        at += 1
    return linked + 1 if linked > start else start


def _near(above: Row, below: Row, height: float) -> bool:
    return min(s.top for s in below) - max(s.bottom for s in above) <= ROW_GAP * height


def _within_columns(between: Sequence[Row], row: Row) -> bool:
    """Whether the lines between two rows are parts of a heading or of a cell, not a title between two tables."""
    return all(
        len(line) > 1 or sum(_overlap(cell, (line[0].left, line[0].right)) > 0 for cell in row) <= 1 for line in between
    )


def _aligned(a: Row, b: Row, height: float) -> bool:
    """Whether two cells of each row stand under cells of the other."""
    near = ALIGNED * height
    return all(sum(any(_under(cell, other, near) for other in y) for cell in x) >= 2 for x, y in ((a, b), (b, a)))


def _under(a: Segment, b: Segment, near: float) -> bool:
    return (
        abs(a.left - b.left) < near
        or abs(a.right - b.right) < near
        or abs(a.left + a.right - b.left - b.right) < 2 * near
    )


def _table(run: Sequence[Row], height: float) -> Table | None:
    gaps = [b.left - a.right for row in run for a, b in pairwise(row)]
    listing = sum(marks.ends_statement(row[-1].text) for row in run)
    if median(gaps) < CELL_GAP * height or 2 * listing >= len(run):
        return None
    columns = _columns(run)
    grid = [_cells(row, columns) for row in run]
    full = sum(sum(map(bool, cells)) >= 2 for cells in grid)
    if len(columns) < 2 or full < MIN_ROWS or 2 * full < len(run):
        return None
    cells = tuple(_cell(at, col, parts) for at, row in enumerate(grid) for col, parts in enumerate(row))
    return Table(tuple(run), TableGrid(len(run), len(columns), cells))


def _columns(run: Sequence[Row]) -> list[Interval]:
    """The columns from left to right. Narrow cells come first and grow together where they overlap; a cell that covers
    several of these spans them. Neighbours that are more often spanned than apart are one column.
    """
    columns: list[Interval] = []
    for cell in sorted((cell for row in run for cell in row), key=lambda s: s.width):
        touched = [c for c in columns if _overlap(cell, c) > 0]
        if len(touched) <= 1:
            low = min([cell.left, *(c[0] for c in touched)])
            high = max([cell.right, *(c[1] for c in touched)])
            columns = [c for c in columns if c not in touched] + [(low, high)]
    columns.sort()
    at = 1
    while at < len(columns):
        a, b = columns[at - 1], columns[at]
        if _spanned(run, a, b) >= _apart(run, a, b):
            columns[at - 1 : at + 1] = [(a[0], max(a[1], b[1]))]
        else:
            at += 1
    return columns


def _spanned(run: Sequence[Row], a: Interval, b: Interval) -> int:
    return sum(any(_overlap(cell, a) > 0 and _overlap(cell, b) > 0 for cell in row) for row in run)


def _apart(run: Sequence[Row], a: Interval, b: Interval) -> int:
    return sum(
        any(_overlap(cell, a) > 0 and _overlap(cell, b) <= 0 for cell in row)
        and any(_overlap(cell, b) > 0 and _overlap(cell, a) <= 0 for cell in row)
        for row in run
    )


def _cells(row: Row, columns: Sequence[Interval]) -> list[list[Segment]]:
    """What stands in each column."""
    cells: list[list[Segment]] = [[] for _ in columns]
    for segment in row:
        cells[next((i for i, c in enumerate(columns) if _overlap(segment, c) > 0), 0)].append(segment)
    return cells


def _cell(row: int, col: int, parts: Sequence[Segment]) -> Cell:
    boxes = [printed.box for segment in parts for word in segment.words for printed in word.printed]
    return Cell(row, col, " ".join(segment.text for segment in parts), box=around(boxes) if boxes else None)


def _overlap(cell: Segment, column: Interval) -> float:
    return min(cell.right, column[1]) - max(cell.left, column[0])

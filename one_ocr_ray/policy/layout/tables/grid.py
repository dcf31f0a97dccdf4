"""From places that belong together to the cells of a table, and what they say."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Cell, TableGrid
from one_ocr_ray.policy.layout.geometry import rows
from one_ocr_ray.policy.layout.places import around
from one_ocr_ray.policy.layout.text import join_lines, without_leader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.policy.layout.geometry import Row, Segment

_NUMBER = re.compile(r"[\s\d.,:;%$€£¥+\-–—~()/*±<>≤≥]*\d[\s\d.,:;%$€£¥+\-–—~()/*±<>≤≥]*(?:[A-Za-z]{1,2})?")


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table, the printed rows that it was made of, and its frame on the page in points where one is drawn."""

    rows: tuple[Row, ...]
    grid: TableGrid
    box: Box | None = None


class Places:
    """The places of a grid and their text, while places are joined to cells."""

    def __init__(self, rows: int, cols: int) -> None:
        self.rows = rows
        self.cols = cols
        self.texts: list[list[list[Segment]]] = [[[] for _ in range(cols)] for _ in range(rows)]
        self._first = {(row, col): (row, col) for row in range(rows) for col in range(cols)}

    def cell(self, row: int, col: int) -> tuple[int, int]:
        """The first place, (row, col), of the cell that a place belongs to."""
        place = row, col
        while self._first[place] != place:
            self._first[place] = self._first[self._first[place]]
            place = self._first[place]
        return place

    def join(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        """Make two places, and all that were joined with them, one cell."""
        first, second = sorted((self.cell(*a), self.cell(*b)))
        self._first[second] = first

    def table(self, header_rows: int | None = None) -> PrintedTable:
        """The cells: rectangles of places that belong together. None: the header is looked for."""
        taken: set[tuple[int, int]] = set()
        cells: list[Cell] = []
        for row in range(self.rows):
            for col in range(self.cols):
                if (row, col) not in taken:
                    down, right = self._extent(row, col, taken)
                    part = [(r, c) for r in range(row, row + down) for c in range(col, col + right)]
                    taken.update(part)
                    texts = [segment for r, c in part for segment in self.texts[r][c]]
                    boxes = [printed.box for s in texts for word in s.words for printed in word.printed]
                    lines = [" ".join(segment.text for segment in line) for line in rows(texts)]
                    text, box = without_leader(join_lines(lines)) if lines else "", around(boxes) if boxes else None
                    cells.append(Cell(row, col, text, down, right, box))
        cells, rows_used, cols_used = _without_gaps(cells)
        head = _header_rows(cells, rows_used) if header_rows is None else header_rows
        cells = [replace(cell, is_header=cell.row < head) for cell in cells]
        everything = rows(segment for row_texts in self.texts for texts in row_texts for segment in texts)
        return PrintedTable(everything, TableGrid(rows_used, cols_used, tuple(cells), head))

    def _extent(self, row: int, col: int, taken: set[tuple[int, int]]) -> tuple[int, int]:
        """How many rows and columns the cell that starts here has; one that is no rectangle gives several."""
        cell = self.cell(row, col)
        right = 1
        while col + right < self.cols and self.cell(row, col + right) == cell and (row, col + right) not in taken:
            right += 1
        down = 1
        while row + down < self.rows and all(
            self.cell(row + down, c) == cell and (row + down, c) not in taken for c in range(col, col + right)
        ):
            down += 1
        return down, right


def _without_gaps(cells: Sequence[Cell]) -> tuple[list[Cell], int, int]:
    """The cells without rows and columns in which no cell begins; then the number of rows and of columns."""
    row_starts, col_starts = sorted({cell.row for cell in cells}), sorted({cell.col for cell in cells})

    def moved(cell: Cell) -> Cell:
        row, col = bisect_left(row_starts, cell.row), bisect_left(col_starts, cell.col)
        down = bisect_left(row_starts, cell.row + cell.row_span) - row
        right = bisect_left(col_starts, cell.col + cell.col_span) - col
        return replace(cell, row=row, col=col, row_span=down, col_span=right)

    return [moved(cell) for cell in cells], len(row_starts), len(col_starts)


def is_number(text: str) -> bool:
    """True if a cell says a number, an amount, a share."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _header_rows(cells: Sequence[Cell], count: int) -> int:
    """The first row and those that its cells reach into or are parted in; none where it has numbers or little."""
    first = [cell for cell in cells if cell.row == 0]
    filled = [cell.text for cell in first if cell.text]
    if count < 2 or not filled or 2 * sum(map(is_number, filled)) > len(filled):
        return 0
    rows_of_head = max(cell.row_span for cell in first)
    if rows_of_head == 1 and len(first) > 1 and any(cell.col_span > 1 for cell in first):
        rows_of_head = 2
    return rows_of_head if rows_of_head < count else 1

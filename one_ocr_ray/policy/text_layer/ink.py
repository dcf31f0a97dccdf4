"""Where the picture of a page has ink, in cells: asked for all characters of a page at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.policy.text_layer.layer import BoxPt

    Numbers = NDArray[Any]


def box_columns(boxes: Sequence[BoxPt]) -> Numbers:
    """The left, top, right and bottom sides of `boxes`, an array each."""
    return np.fromiter(chain.from_iterable(boxes), float, 4 * len(boxes)).reshape(-1, 4).T


@dataclass(frozen=True, slots=True, eq=False)
class InkGrid:
    """Where the page's image has ink: true or false for each cell of `cell_pt` points, row by row."""

    cells: Numbers
    cell_pt: float

    @classmethod
    def of(cls, packed: bytes, columns: int, width: float, height: float) -> InkGrid:
        """The grid of a page of `width` and `height`; a row is whole bytes whose highest bit is its left."""
        stride = (columns + 7) // 8
        rows = len(packed) // stride if stride else 0
        bits = np.unpackbits(np.frombuffer(packed, np.uint8)[: rows * stride])
        cell_pt = max(width / max(1, columns), height / max(1, rows))
        return cls(bits.view(bool).reshape(rows, 8 * stride), cell_pt)

    def has(self, sides: Numbers) -> Numbers:
        """For each box, true if any cell in it has ink; the boxes as `box_columns` gives them."""
        rows, columns = self.cells.shape
        sums = np.zeros((rows + 1, columns + 1), np.int32)  # of the cells above and left of a corner
        self.cells.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, out=sums[1:, 1:])
        left, top, right, bottom = self._touched(sides)
        found = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        inked: Numbers = (found > 0) & (left < right) & (top < bottom)
        return inked

    def count(self) -> int:
        return int(np.count_nonzero(self.cells))

    def without(self, boxes: Sequence[BoxPt]) -> InkGrid:
        """The ink outside of `boxes`."""
        cells = self.cells.copy()
        for left, top, right, bottom in _merged(self._touched(box_columns(boxes))).T.tolist():
            cells[top:bottom, left:right] = False
        return InkGrid(cells, self.cell_pt)

    def _touched(self, sides: Numbers) -> Numbers:
        """The columns and rows that boxes touch: the first ones, and those after the last."""
        left, top, right, bottom = sides
        limits = self.cells.shape[::-1]
        with np.errstate(all="ignore"):  # a page may be nothing wide
            first = [np.clip(side / self.cell_pt, 0, most) for side, most in zip((left, top), limits, strict=True)]
            last = [
                np.clip(-(-side // self.cell_pt), 0, most) for side, most in zip((right, bottom), limits, strict=True)
            ]
        touched: Numbers = np.nan_to_num(np.array([*first, *last])).astype(int)
        return touched


def _merged(sides: Numbers) -> Numbers:
    """Boxes that follow each other and touch in one row, as those of a word's characters do, as one."""
    left, top, right, bottom = sides
    follows = (left[1:] <= right[:-1]) & (left[1:] >= left[:-1]) & (top[1:] == top[:-1]) & (bottom[1:] == bottom[:-1])
    starts = np.flatnonzero(np.append(True, ~follows)[: len(left)])
    if not len(starts):
        return sides
    return np.array([left[starts], top[starts], np.maximum.reduceat(right, starts), bottom[starts]])

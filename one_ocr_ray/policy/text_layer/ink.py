"""Where the picture of a page has ink, in cells: asked for all characters of a page at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.policy.text_layer.layer import BoxPt

    Numbers = NDArray[Any]


def box_columns(boxes: Sequence[BoxPt]) -> Numbers:
    """The left, top, right and bottom sides of `boxes`, an array each."""
    return np.array(boxes, float).reshape(-1, 4).T


@dataclass(frozen=True, slots=True)
class InkGrid:
    """Where the page's image has ink, in cells of `cell_pt` points; a row is a number whose highest bit is its left."""

    rows: tuple[int, ...]
    columns: int  # with those that fill the last byte
    cell_pt: float

    def has(self, boxes: Sequence[BoxPt]) -> list[bool]:
        """For each box, true if any cell in it has ink."""
        sums = np.zeros((len(self.rows) + 1, self.columns + 1), np.int32)  # of the cells above and left of a corner
        self._cells().cumsum(axis=0, dtype=np.int32).cumsum(axis=1, out=sums[1:, 1:])
        left, top, right, bottom = self._touched(boxes)
        found = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        is_empty = (left >= right) | (top >= bottom)
        inked: list[bool] = ((found > 0) & ~is_empty).tolist()
        return inked

    def count(self) -> int:
        return sum(row.bit_count() for row in self.rows)

    def without(self, boxes: Sequence[BoxPt]) -> InkGrid:
        """The ink outside of `boxes`."""
        cells = self._cells()
        for left, top, right, bottom in _merged(self._touched(boxes)).T.tolist():
            cells[top:bottom, left:right] = False
        kept = np.packbits(cells, axis=1)
        return InkGrid(tuple(int.from_bytes(row) for row in kept), self.columns, self.cell_pt)

    def _cells(self) -> Numbers:
        packed = b"".join(row.to_bytes(self.columns // 8) for row in self.rows)
        bits = np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool)
        return bits.reshape(len(self.rows), self.columns)

    def _touched(self, boxes: Sequence[BoxPt]) -> Numbers:
        """The columns and rows that boxes touch: the first ones, and those after the last."""
        left, top, right, bottom = box_columns(boxes)
        limits = self.columns, len(self.rows)
        with np.errstate(all="ignore"):  # a page may be nothing wide
            first = [np.clip(side / self.cell_pt, 0, most) for side, most in zip((left, top), limits, strict=True)]
            last = [
                np.clip(-(-side // self.cell_pt), 0, most) for side, most in zip((right, bottom), limits, strict=True)
            ]
        sides: Numbers = np.nan_to_num(np.array([*first, *last])).astype(int)
        return sides


def _merged(sides: Numbers) -> Numbers:
    """Boxes that follow each other and touch in one row, as those of a word's characters do, as one."""
    left, top, right, bottom = sides
    follows = (left[1:] <= right[:-1]) & (left[1:] >= left[:-1]) & (top[1:] == top[:-1]) & (bottom[1:] == bottom[:-1])
    starts = np.flatnonzero(np.append(True, ~follows)[: len(left)])
    if not len(starts):
        return sides
    return np.array([left[starts], top[starts], np.maximum.reduceat(right, starts), bottom[starts]])

"""One row of text in one column, and what the lines of a column have in common."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import VERTICAL_RATIO, Row
from one_ocr_ray.policy.layout.text import is_cjk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import BlockKind

OFF_MIDDLE, INSET = 0.6, 0.4  # of the line height: of centred lines, from the middle at most and to each other's ends
SLACK = 0.5  # of the line height: room that is left over even on a full line


@dataclass(frozen=True, slots=True)
class Line:
    """One row of text in one column."""

    row: Row
    text: str
    top: float
    bottom: float

    @classmethod
    def of(cls, row: Row) -> Line:
        return cls(row, " ".join(s.text for s in row), min(s.top for s in row), max(s.bottom for s in row))

    @property
    def left(self) -> float:
        return self.row[0].left

    @property
    def right(self) -> float:
        return self.row[-1].right

    @property
    def height(self) -> float:
        return max(self.row, key=lambda s: s.width).height

    @property
    def is_tall(self) -> bool:
        return self.height >= VERTICAL_RATIO * (self.right - self.left)

    @property
    def is_bold(self) -> bool:
        """True if all of it is known to be bold, but for what is too short to tell."""
        known = [s.line.bold for s in self.row if s.line.bold is not None]
        return bool(known) and all(known)

    @property
    def starts_bold(self) -> bool:
        first = self.row[0]
        return bool(first.line.starts_bold) and first.text[:1] == first.line.words[0].text[:1]

    @property
    def is_term(self) -> bool:
        """True if a word in bold type and what explains it stand apart on the line."""
        bold, *explained = (s.line.bold for s in self.row)
        return bool(bold and explained) and explained[0] is False

    @property
    def kind(self) -> BlockKind | None:
        """Of its block, where that is known from the line alone."""
        return next((s.kind for s in self.row if s.kind is not None), None)

    @property
    def first_word_width(self) -> float:
        """What would have had to fit on the line above: all up to the first place where a line may break."""
        word = self.row[0].words[0]
        text = word.text.strip()
        unbroken = next((i for i, char in enumerate(text) if is_cjk(char)), len(text)) or 1
        return (word.right - word.left) * unbroken / len(text)


@dataclass(frozen=True, slots=True)
class Column:
    """What the lines of one column have in common."""

    height: float  # the page's usual line height
    left: float
    right: float
    gap: float  # usual distance of two lines
    width: float  # of all that stands in it, tables and figures too
    is_in_middle: bool = False  # its lines are centred
    is_lone: bool = False  # a single line, whose right end says nothing of a margin

    def full(self, line: Line, following: Line) -> bool:
        """True if `line` ended because the next word did not fit any more."""
        return self.right - line.right < following.first_word_width + SLACK * self.height

    def full_in_middle(self, line: Line, following: Line) -> bool:
        """The same for a line that is set in the middle."""
        return self.width - (line.right - line.left) < following.first_word_width + SLACK * self.height

    def is_centred(self, lines: Sequence[Line]) -> bool:
        """True if short lines stand about the middle of the column, or all of its lines do.

        Most of them end elsewhere than the one before.
        """
        if not self.is_in_middle and max(line.right - line.left for line in lines) > self.width - 2 * self.height:
            return False
        return are_centred(lines, (self.left + self.right) / 2, self.height)


def are_centred(lines: Sequence[Line], middle: float, height: float) -> bool:
    """True if lines stand about `middle`, and most of them end elsewhere than the one before."""
    if len(lines) < 2 or any(abs((line.left + line.right) / 2 - middle) > OFF_MIDDLE * height for line in lines):
        return False
    insets = [(b.left - a.left, a.right - b.right) for a, b in pairwise(lines)]
    near = INSET * height
    return 2 * sum(min(each) > near or max(each) < -near for each in insets) >= len(insets)

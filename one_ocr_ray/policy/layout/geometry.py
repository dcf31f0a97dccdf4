"""Shapes on a page: recognised lines, the straight segments cut from them, and rows of segments.

All lengths are in the unit of the page's content, pixels or points, x to the right and y down; every threshold is a
multiple of a line height, so that nothing here depends on resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.places import printed_words
from one_ocr_ray.policy.layout.text import with_leaders
from one_ocr_ray.policy.sequences import runs, weighted_median

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import BlockKind, BlockWord
    from one_ocr_ray.policy.layout.content import PageContent

Point = tuple[float, float]

WIDE_GAP = 0.65  # of the line height: two words further apart than this may stand in different columns
STRAIGHT_DEG = 0.05  # a smaller tilt moves no line into its neighbour
STRIP_PITCH = 1.25  # of the line height: the distance of the strips that stand for a table or a figure
VERTICAL_RATIO = 1.5  # height to width of a line that runs downwards; RapidOCR turns its crop at the same ratio


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a recognised line, as fractions 0-1 of the line's length. `text` keeps the space that follows it."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line as a reader gives it: corners clockwise from the top left, the words in order. None: not known."""

    corners: tuple[Point, Point, Point, Point]
    words: tuple[Word, ...]
    confidence: float | None = None  # 0-1
    size: float | None = None  # the em of its type, in the unit of the corners
    bold: bool | None = None
    starts_bold: bool | None = None
    mono: bool | None = None
    italic: bool | None = None
    angle: float | None = None  # degrees clockwise from the x axis; None: that of the corners
    latex: str | None = None  # of a line whose type is that of a formula

    @property
    def is_vertical(self) -> bool:
        return _runs_down(self.width, self.height) and _is_long("".join(word.text for word in self.words))

    @property
    def is_upright(self) -> bool:
        """True if its words stand side by side between two level edges."""
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = self.corners
        return y0 == y1 and y2 == y3 and x0 == x3 <= x1 == x2 and not self.is_vertical

    @property
    def width(self) -> float:
        return math.dist(self.corners[0], self.corners[1])

    @property
    def height(self) -> float:
        return math.dist(self.corners[0], self.corners[3])


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word with its place on the straightened page. `printed`: the word, or words, where they stand on the page."""

    text: str
    left: float
    right: float
    printed: tuple[BlockWord, ...] = field(compare=False)


@dataclass(frozen=True, eq=False)
class Segment:
    """A piece of a line without a wide gap in it, upright on the straightened page. It has at least one word.

    It is equal to itself alone: sets of segments are many, and comparing words takes long.
    """

    words: tuple[PlacedWord, ...]
    top: float
    bottom: float
    line: TextLine
    kind: BlockKind | None = field(default=None, kw_only=True)  # of its block, where it is known before

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return self.words[-1].right

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def is_vertical(self) -> bool:
        return _runs_down(self.width, self.height) and _is_long(self.text)

    @cached_property
    def text(self) -> str:
        return "".join([word.text for word in self.words]).strip()

    def stands_beside(self, other: Segment, share: float = 0.5) -> bool:
        """True if the two have more than `share` of the lower one's height in common."""
        common = min(self.bottom, other.bottom) - max(self.top, other.top)
        return common > share * min(self.height, other.height)

    def cut(self, at: float, near: float) -> tuple[Segment, ...]:
        """Two segments, cut at the widest gap between words within `near` of `at`; itself if there is none."""
        gaps = [
            (b.left - a.right, i)
            for i, (a, b) in enumerate(pairwise(self.words), start=1)
            if a.right < at + near and b.left > at - near
        ]
        if not gaps:
            return (self,)
        _, i = max(gaps)
        return replace(self, words=self.words[:i]), replace(self, words=self.words[i:])


Row = tuple[Segment, ...]


def straighten(content: PageContent, angle: float) -> tuple[Segment, ...]:
    """Turn the page back by `angle` and cut the lines into segments; lines without text are left out."""
    lines = [line for line in content.lines if any(word.text.strip() for word in line.words)]
    return tuple(segment for line in lines for segment in _segments(line, angle, content.pt_per_unit))


def line_height(segments: Iterable[Segment]) -> float:
    """The usual height of a line among `segments`: that of the middle character, so that titles count little."""
    height = weighted_median((segment.height, len(segment.text)) for segment in segments)
    if height is None:
        raise ValueError("a page without segments has no line height")
    return height


def rows(segments: Iterable[Segment]) -> tuple[Row, ...]:
    """Segments that stand side by side, from top to bottom, each row from left to right."""
    ordered = sorted(segments, key=lambda s: (s.middle, s.left))
    found = runs(ordered, lambda row, segment: row[0].stands_beside(segment))
    return tuple(tuple(sorted(row, key=lambda s: s.left)) for row in found)


def gap(above: Iterable[Segment], below: Iterable[Segment]) -> float:
    """The distance from the foot of one row to the head of another below it; negative where they overlap."""
    return min(s.top for s in below) - max(s.bottom for s in above)


def strips(left: float, top: float, right: float, bottom: float, height: float) -> tuple[str, list[float]]:
    """A box cut into strips as high as lines: a word as wide as the box, and the top of each strip.

    The reading order takes such strips, which stand for a table or a figure, for running text.
    """
    count = max(1, round((bottom - top) / (STRIP_PITCH * height)))
    pitch = (bottom - top) / count
    text = "x" * max(3, round(2 * (right - left) / height))
    return text, [top + (at + 0.5) * pitch - height / 2 for at in range(count)]


def _runs_down(width: float, height: float) -> bool:
    """True if a box is that of a line written downwards; "1." and "to" may be as narrow."""
    return height >= VERTICAL_RATIO * width


def _is_long(text: str) -> bool:
    """True for more than "1." or "to"."""
    return len(text.strip()) > 2


def skew(lines: Sequence[TextLine]) -> float:
    """The median tilt in radians, each line weighing as much as it is long; only lines of some length tell it."""
    tilts = []
    for line in lines:
        if line.width > 3 * line.height:
            (ax, ay), (bx, by), (cx, cy), (dx, dy) = line.corners
            tilts.append((math.atan2(by - ay + cy - dy, bx - ax + cx - dx), line.width))
    tilt = weighted_median(tilts) or 0.0
    return tilt if abs(math.degrees(tilt)) >= STRAIGHT_DEG else 0.0


def _segments(line: TextLine, angle: float, pt_per_unit: float) -> list[Segment]:
    cos, sin = math.cos(angle), math.sin(angle)
    turned = [(x * cos + y * sin, y * cos - x * sin) for x, y in line.corners]
    left, right = (turned[0][0] + turned[3][0]) / 2, (turned[1][0] + turned[2][0]) / 2
    top, bottom = (turned[0][1] + turned[1][1]) / 2, (turned[2][1] + turned[3][1]) / 2
    printed_ones = printed_words(line, pt_per_unit)
    words = [(word, printed) for word, printed in zip(line.words, printed_ones, strict=True) if printed.text]
    if line.is_vertical:  # a stray vertical line on a page of horizontal ones: its words share its whole width
        text = "".join(word.text for word in line.words)
        return [Segment((PlacedWord(text, left, right, tuple(printed for _, printed in words)),), top, bottom, line)]
    width = right - left
    placed = [
        PlacedWord(with_leaders(word.text), left + word.start * width, left + word.end * width, (printed,))
        for word, printed in words
    ]
    pieces = runs(placed, lambda piece, word: word.left - piece[-1].right <= WIDE_GAP * (bottom - top))
    return [Segment(tuple(piece), top, bottom, line) for piece in pieces]

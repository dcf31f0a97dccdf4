"""Shapes on a page: recognised lines, the straight segments cut from them, and rows of segments.

All lengths are in the unit of the page's content, pixels or points, x to the right and y down; every threshold is a
multiple of a line height, so that nothing here depends on resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.places import printed_word
from one_ocr_ray.policy.layout.text import with_leaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import BlockKind, BlockWord
    from one_ocr_ray.policy.layout.content import PageContent

Point = tuple[float, float]

WIDE_GAP = 0.65  # of the line height: two words further apart than this may stand in different columns
STRAIGHT_DEG = 0.05  # a smaller tilt moves no line into its neighbour
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
        return _runs_down(self.width, self.height, "".join(word.text for word in self.words))

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


@dataclass(frozen=True, slots=True, eq=False)
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
        return _runs_down(self.width, self.height, self.text)

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()

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
    return tuple(segment for line in lines for segment in _cut(_placed(line, angle, content.pt_per_unit)))


def line_height(segments: Iterable[Segment]) -> float:
    """The usual height of a line among `segments`: that of the middle character, so that titles count little."""
    heights = sorted((segment.height, len(segment.text)) for segment in segments)
    half = sum(chars for _, chars in heights) / 2
    for height, chars in heights:
        half -= chars
        if half <= 0:
            return height
    raise ValueError("a page without segments has no line height")


def rows(segments: Iterable[Segment]) -> tuple[Row, ...]:
    """Segments that stand side by side, from top to bottom, each row from left to right."""
    found: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.middle, s.left)):
        if found and _beside(found[-1][0], segment):
            found[-1].append(segment)
        else:
            found.append([segment])
    return tuple(tuple(sorted(row, key=lambda s: s.left)) for row in found)


def _runs_down(width: float, height: float, text: str) -> bool:
    """True if a box is that of a line written downwards; "1." and "to" may be as narrow."""
    return height >= VERTICAL_RATIO * width and len(text.strip()) > 2


def _beside(a: Segment, b: Segment) -> bool:
    overlap = min(a.bottom, b.bottom) - max(a.top, b.top)
    return overlap > 0.5 * min(a.height, b.height)


def skew(lines: Sequence[TextLine]) -> float:
    """The median tilt in radians, each line weighing as much as it is long; only lines of some length tell it."""
    tilts = sorted((_tilt(line), line.width) for line in lines if line.width > 3 * line.height)
    half = sum(width for _, width in tilts) / 2
    for tilt, width in tilts:
        half -= width
        if half <= 0:
            return tilt if abs(math.degrees(tilt)) >= STRAIGHT_DEG else 0.0
    return 0.0


def _tilt(line: TextLine) -> float:
    top_left, top_right, bottom_right, bottom_left = line.corners
    return math.atan2(
        top_right[1] - top_left[1] + bottom_right[1] - bottom_left[1],
        top_right[0] - top_left[0] + bottom_right[0] - bottom_left[0],
    )


def _placed(line: TextLine, angle: float, pt_per_unit: float) -> Segment:
    cos, sin = math.cos(angle), math.sin(angle)
    turned = [(x * cos + y * sin, y * cos - x * sin) for x, y in line.corners]
    left, right = (turned[0][0] + turned[3][0]) / 2, (turned[1][0] + turned[2][0]) / 2
    top, bottom = (turned[0][1] + turned[1][1]) / 2, (turned[2][1] + turned[3][1]) / 2
    words = [(word, printed_word(word, line, pt_per_unit)) for word in line.words if word.text.strip()]
    if line.is_vertical:  # a stray vertical line on a page of horizontal ones: its words share its whole width
        text = "".join(word.text for word in line.words)
        return Segment((PlacedWord(text, left, right, tuple(printed for _, printed in words)),), top, bottom, line)
    width = right - left
    placed = tuple(
        PlacedWord(with_leaders(word.text), left + word.start * width, left + word.end * width, (printed,))
        for word, printed in words
    )
    return Segment(placed, top, bottom, line)


def _cut(segment: Segment) -> tuple[Segment, ...]:
    """Cut at every wide gap."""
    pieces: list[list[PlacedWord]] = [[]]
    for word in segment.words:
        if pieces[-1] and word.left - pieces[-1][-1].right > WIDE_GAP * segment.height:
            pieces.append([])
        pieces[-1].append(word)
    return tuple(replace(segment, words=tuple(piece)) for piece in pieces)

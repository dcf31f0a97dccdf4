"""Chooses image sizes for the embedded engine's models, and windows for a second pass.

The detector misses a single short line on a white page, but finds it in a window around the ink. So ink that belongs
to no line gets a second pass, in windows. Lengths are px, or cells if the name says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# --- sizes: pixels, not sides, bound what goes into a model -----------------------------------------------------------

PASS_PX = 1600 * 1600  # in one pass of the detector: 0.8 GB
SHORT_SIDE_PX = 736  # pages smaller than this are enlarged, as the detector's authors do
MOST_ENLARGED = 3.0
NET_STEP_PX = 32  # sides of what goes into the detector
TILE_PX, OVERLAP_PX = 1280, 160
SMALL_LINE_PX = 16
MOST_SHRUNK = 0.9
LONGEST_LINE_PX = 4800  # at the height that lines are read in: 0.3 GB
SMALLEST_LETTERS_PX = 8  # of height; less are not read by people either
MOST_LINE_RATIO = 60  # width to height of so low a line: a rule


def pass_scale(width: int, height: int) -> float:
    """The scale of a page for one pass of the detector."""
    enlarged = min(max(1.0, SHORT_SIDE_PX / min(width, height)), MOST_ENLARGED)
    return min(enlarged, math.sqrt(PASS_PX / (width * height)))


def net_px(length: float) -> int:
    """The nearest side length that the detector accepts."""
    return max(NET_STEP_PX, round(length / NET_STEP_PX) * NET_STEP_PX)


def is_rule(width: float, height: float) -> bool:
    """True if a detected line is too low for letters: a rule, or dots."""
    short, long = sorted((width, height))
    return short < SMALLEST_LETTERS_PX and long > MOST_LINE_RATIO * short


def is_small(height: float, scale: float) -> bool:
    """True if a line of this height should be read at the page's full resolution."""
    return scale < MOST_SHRUNK and height < SMALL_LINE_PX


def tiles(length: int, other_length: int) -> list[tuple[int, int]]:
    """Starts and ends of overlapping tiles along one side of a page. One tile if all fits."""
    if length * other_length <= PASS_PX * 1.1 or length <= TILE_PX:
        return [(0, length)]
    count = math.ceil((length - OVERLAP_PX) / (TILE_PX - OVERLAP_PX))
    starts = [net_px(index * (length - TILE_PX) / (count - 1)) if index else 0 for index in range(count)]
    return [(min(start, length - TILE_PX), min(start, length - TILE_PX) + TILE_PX) for start in starts]


def pieces(width: int) -> int:
    """The number of pieces in which a line is read. `width`: in px, at the height that lines are read in."""
    return math.ceil(width / LONGEST_LINE_PX)


# --- ink without a line -----------------------------------------------------------------------------------------------

THIN_CELLS = 2
LONG_CELLS = 60
SPECK_CELLS = 5
LARGE_CELLS = 40  # a tenth of a page: letters of this size are found at the first look
MARGIN_CELLS = 12  # of white around the ink in a window, 48 px of a page of 1600 px
NEAR_CELLS = 10
CLOSER_PX = 800  # a window with a longer side is not enlarged


class BlotKind(Enum):
    """What a blot of ink looks like."""

    SPECK = auto()
    RULE = auto()
    DRAWING = auto()  # lines and frames with nothing between them
    PICTURE = auto()
    TEXT = auto()  # perhaps
    SMEAR = auto()  # all ink of a page: print out of focus, perhaps


@dataclass(frozen=True, slots=True)
class Blot:
    """Connected ink, in cells of 4 px of a page of 1600 px."""

    left: int
    top: int
    width: int
    height: int
    cells: int

    @property
    def kind(self) -> BlotKind:
        short, long = sorted((self.width, self.height))
        if self.cells < SPECK_CELLS:
            return BlotKind.SPECK
        if (short <= THIN_CELLS and long >= 2 * short) or (short <= THIN_CELLS + 1 and long > LONG_CELLS):
            return BlotKind.RULE
        if short > LARGE_CELLS / 5 and self.cells < 0.25 * short * long:
            return BlotKind.DRAWING
        return BlotKind.PICTURE if short > LARGE_CELLS else BlotKind.TEXT


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a page, in cells; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def around(self, cell_px: float) -> tuple[int, int, int, int]:
        """Left, top, width and height in px, with a margin. Few different sizes, since each new shape costs time."""
        wanted_px = [(length + 2 * MARGIN_CELLS) * cell_px for length in self.lengths]
        steps_px = [128 if length < 1024 else 512 for length in wanted_px]
        width, height = (math.ceil(px / step) * step for px, step in zip(wanted_px, steps_px, strict=True))
        middle_x, middle_y = (self.left + self.right) / 2 * cell_px, (self.top + self.bottom) / 2 * cell_px
        return round(middle_x - width / 2), round(middle_y - height / 2), width, height

    @property
    def lengths(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    def joined(self, other: Window) -> Window:
        """The smallest window that contains both."""
        return Window(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def is_near(self, other: Window) -> bool:
        return (
            self.left < other.right + NEAR_CELLS
            and other.left < self.right + NEAR_CELLS
            and self.top < other.bottom + NEAR_CELLS
            and other.top < self.bottom + NEAR_CELLS
        )


def worth_a_look(blots: Iterable[Blot], *, lines_found: bool) -> list[Blot]:
    """The blots that may be text. On a page without a line also drawings and pictures."""
    if lines_found:
        return [blot for blot in blots if blot.kind is BlotKind.TEXT]
    return [blot for blot in blots if blot.kind in {BlotKind.TEXT, BlotKind.DRAWING, BlotKind.PICTURE}]


def windows(blots: Sequence[Blot]) -> list[Window]:
    """Windows around the blots. Near blots share a window if it is not much larger than both."""
    found = [Window(b.left, b.top, b.left + b.width, b.top + b.height) for b in blots]
    joined = True
    while joined:
        joined = False
        rest, found = found, []
        for window in sorted(rest, key=lambda w: (w.top, w.left)):
            for index, other in enumerate(found):
                whole = window.joined(other)
                if window.is_near(other) and whole.area <= 2 * (window.area + other.area) + MARGIN_CELLS**2:
                    found[index] = whole
                    joined = True
                    break
            else:
                found.append(window)
    return found


def window_scale(width: int, height: int) -> float:
    """The scale of a window for the detector."""
    return min(max(1.0, CLOSER_PX / max(width, height)), 2.0)


# --- print out of focus -----------------------------------------------------------------------------------------------

LIGHT_LEVEL = 160  # of 255: paper, and no picture that fills the page
PAPER_SHARE = 0.4
DARKEST_LEVELS = 130  # below the paper: print in focus and photographs are darker
SMEARED_SHARE = 0.03  # of the page
MOST_SHARPNESS = 0.135  # what ends at an edge has 0.17
LINED_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Tones:
    """The tones of a page, slightly smoothed. Levels are of 255, shares of the page."""

    paper_level: int  # the most frequent one
    paper_share: float  # near that
    depth_levels: float  # of the darkest ink, below the paper
    sharpness: float  # of the sharpest edges: levels per px, in shares of the depth
    smeared_share: float  # a little darker than its surroundings
    lined_share: float  # of its parts: dark and light rows in turn, as lines of print are

    @property
    def is_smear(self) -> bool:
        """True if the ink may be print too blurred to read.

        It lies on light paper, and either has no edge and nothing dark, or makes lines.
        """
        on_paper = self.paper_level >= LIGHT_LEVEL and self.paper_share >= PAPER_SHARE
        blurred = self.depth_levels <= DARKEST_LEVELS and self.sharpness <= MOST_SHARPNESS
        return on_paper and self.smeared_share >= SMEARED_SHARE and (blurred or self.lined_share >= LINED_SHARE)

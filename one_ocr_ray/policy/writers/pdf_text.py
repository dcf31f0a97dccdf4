"""Writes a page's words as invisible text operators of a PDF, each where it stands.

The frame is that of the page as displayed, in points, origin at the bottom left, y upwards. The font has one blank
glyph for every character: as high as the line, half an em wide, an em for East Asian characters. A code is the
character's own UTF-16 number; characters that have none take the numbers of halves of surrogate pairs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from one_ocr_ray.blocks import BlockWord
    from one_ocr_ray.policy.writers.placed import PlacedPage

WIDE = ((0x2E80, 0x312F), (0x31A0, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
FIRST_SPARE, LAST_SPARE = 0xD800, 0xDFFF
DESCENT = 0.2  # the baseline above the bottom of a line, against its height
FONT = "OneOCR"  # the font's name among the page's resources

_REPLACEMENT = 0xFFFD
_MOST_SKEW_DEG = 30.0  # beyond it an upright box says nothing of the word in it
_RTL_LETTERS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"
_RTL = re.compile(f"[{_RTL_LETTERS}]")
_RTL_RUNS = re.compile(
    r"[0-9\u0660-\u0669\u06f0-\u06f9][0-9\u0660-\u0669\u06f0-\u06f9.,:/%-]*|[A-Za-z\u00c0-\u024f]+|.", re.DOTALL
)
_WIDE = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in WIDE) + "]")


_DIRECTIONS = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}  # by clockwise turn: its cosine and sine


@dataclass(frozen=True, slots=True)
class _Run:
    """A string in one direction: baseline start, length, height, and quarter turns clockwise."""

    text: str
    x: float
    y: float
    length: float
    size: float
    turn: int
    space: bool  # a blank follows

    @classmethod
    def of(cls, word: BlockWord, angle: float, page_height: float) -> _Run:
        """`word` with its line's direction to the nearest quarter.

        Skewed words are drawn straight, each at its own place: at 10 degrees poppler finds few words along the slope.
        """
        box = word.box
        turn = round(angle / 90) * 90
        length, size = max(box.x1 - box.x0, 0.1), max(box.y1 - box.y0, 0.1)
        if turn % 180:
            length, size = size, length
        skew = math.radians(min(abs(angle - turn), _MOST_SKEW_DEG))
        cos, sin = math.cos(skew), math.sin(skew)
        # The box is upright: around a skewed word it is larger than the word.
        straight = (length * cos - size * sin) / (cos**2 - sin**2), (size * cos - length * sin) / (cos**2 - sin**2)
        if min(straight) > 0:
            length, size = straight
        # From the middle, which is the same for the word and for its box: back along the line, down to the baseline.
        along, across = _DIRECTIONS[turn % 360]
        x, y = (box.x0 + box.x1) / 2, page_height - (box.y0 + box.y1) / 2
        down = (0.5 - DESCENT) * size
        x, y = x - along * length / 2 - across * down, y + across * length / 2 - along * down
        text = word.text
        if _RTL.search(text):  # as it stands on the page, from left to right: readers turn it about themselves
            text = "".join(reversed(_RTL_RUNS.findall(text)))
        return cls(text, x, y, length, size, turn, word.space)

    def distance(self, other: _Run) -> float:
        """How far `other` begins behind the begin of this one, along the line."""
        cos, sin = _DIRECTIONS[self.turn % 360]
        return (other.x - self.x) * cos - (other.y - self.y) * sin

    def joins(self, other: _Run) -> bool:
        """True if `other` goes on where this ends, both East Asian and equally large."""
        if self.space or self.turn != other.turn or not (_WIDE.match(self.text[-1]) and _WIDE.match(other.text[0])):
            return False
        is_near = abs(self.distance(other) - self.length) < 0.5 * self.size
        return is_near and abs(self.size - other.size) < 0.2 * self.size


class PdfText:
    """Writes the pages of one document. Its font has a spare number for each character outside the first 65,536."""

    def __init__(self) -> None:
        self._spare: dict[str, int] = {}

    @property
    def spare(self) -> dict[str, int]:
        """The numbers of characters that have none of their own."""
        return dict(self._spare)

    def body(self, page: PlacedPage) -> bytes:
        """The words of `page` between BT and ET; empty for a page without words."""
        operators: list[str] = []
        state = ("", "")
        for line in page.lines:
            runs = _merged([_Run.of(word, line.angle, page.box.height) for word in line.words if word.text])
            for run in _with_blanks(runs):
                natural = (len(run.text) + len(_WIDE.findall(run.text))) / 2 * run.size
                stretch = min(max(100 * run.length / natural, 0.01), 100_000.0)  # per cent
                wanted = (f"/{FONT} {run.size:.2f} Tf", f"{stretch:.2f} Tz")
                operators += [new for new, old in zip(wanted, state, strict=True) if new != old]
                state = wanted
                cos, sin = _DIRECTIONS[run.turn % 360]
                matrix = f"{cos} {-sin} {sin} {cos} {run.x:.2f} {run.y:.2f}"
                codes = "".join(f"{self._code(char):04X}" for char in run.text)
                operators.append(f"{matrix} Tm <{codes}> Tj")
        return "\n".join(operators).encode()

    def _code(self, char: str) -> int:
        code = ord(char)
        if code <= 0xFFFF:
            return _REPLACEMENT if FIRST_SPARE <= code <= LAST_SPARE else code
        if char not in self._spare and FIRST_SPARE + len(self._spare) > LAST_SPARE:
            return _REPLACEMENT
        return self._spare.setdefault(char, FIRST_SPARE + len(self._spare))


def _merged(runs: Sequence[_Run]) -> list[_Run]:
    """Join neighbouring runs with East Asian characters. They have no blanks, and readers join them."""
    merged: list[_Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last is not None and last.joins(run):
            length = max(last.distance(run) + run.length, last.length)
            merged[-1] = replace(last, text=last.text + run.text, length=length, space=run.space)
        else:
            merged.append(run)
    return merged


def _with_blanks(runs: Sequence[_Run]) -> Iterator[_Run]:
    """Each run, and a blank that fills the gap between two words. Without it readers join the words."""
    for run, following in pairwise(runs):
        yield run
        if run.space:
            way = run.distance(following)
            # After the word, or before it where the text runs to the left.
            start, length = (
                (run.length, way - run.length) if way >= 0 else (way + following.length, -way - following.length)
            )
            cos, sin = _DIRECTIONS[run.turn % 360]
            length = max(length, 0.05 * run.size)
            yield replace(run, text=" ", x=run.x + cos * start, y=run.y - sin * start, length=length)
    yield from runs[-1:]

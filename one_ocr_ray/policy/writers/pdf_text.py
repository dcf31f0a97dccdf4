"""Writing the words of a page as the text operators of a PDF: invisible, each word where it stands on the page.

The frame is that of the page as displayed, in points, origin at the bottom left, y upwards. The font has one blank
glyph for every character: as high as the line, half an em wide, an em for East Asian characters. A code is the
character's own UTF-16 number; characters that have none take the numbers of halves of surrogate pairs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Run:
    """A string in one direction: where its baseline begins, its length, its height."""

    text: str
    x: float
    y: float
    length: float
    size: float
    angle: float
    space: bool


class PdfText:
    """Writes the pages of one document, whose font has a spare number for each character outside the first 65,536."""

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
            runs = _merged([_run(word, line.angle, page.box.height) for word in line.words if word.text])
            for text, run, length in _with_blanks(runs):
                wanted = (f"/{FONT} {run.size:.2f} Tf", f"{_stretch(text, length, run.size):.2f} Tz")
                operators += [new for new, old in zip(wanted, state, strict=True) if new != old]
                state = wanted
                operators.append(f"{_matrix(run)} Tm <{self._codes(text)}> Tj")
        return "\n".join(operators).encode()

    def _codes(self, text: str) -> str:
        return "".join(f"{self._code(char):04X}" for char in text)

    def _code(self, char: str) -> int:
        code = ord(char)
        if code <= 0xFFFF:
            return _REPLACEMENT if FIRST_SPARE <= code <= LAST_SPARE else code
        if char not in self._spare and FIRST_SPARE + len(self._spare) > LAST_SPARE:
            return _REPLACEMENT
        return self._spare.setdefault(char, FIRST_SPARE + len(self._spare))


def _run(word: BlockWord, line_angle: float, page_height: float) -> _Run:
    """`word` with its line's direction to the nearest quarter.

    Skewed words are drawn straight, each at its own place: of words along a slope poppler finds a third at 10 degrees.
    """
    box = word.box
    angle = round(line_angle / 90) * 90
    length, size = max(box.x1 - box.x0, 0.1), max(box.y1 - box.y0, 0.1)
    if angle % 180:
        length, size = size, length
    skew = math.radians(min(abs(line_angle - angle), _MOST_SKEW_DEG))
    cos, sin = math.cos(skew), math.sin(skew)
    # The box is upright: around a skewed word it is larger than the word.
    straight = (length * cos - size * sin) / (cos**2 - sin**2), (size * cos - length * sin) / (cos**2 - sin**2)
    if min(straight) > 0:
        length, size = straight
    # From the middle, which is the same for the word and for its box: back along the line, down to the baseline.
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = (box.x0 + box.x1) / 2, page_height - (box.y0 + box.y1) / 2
    down = (0.5 - DESCENT) * size
    text = _visual(word.text)
    return _Run(
        text, x - cos * length / 2 - sin * down, y + sin * length / 2 - cos * down, length, size, angle, word.space
    )


def _visual(text: str) -> str:
    """`text` as it stands on the page, from left to right: readers turn what runs to the left about themselves."""
    if _RTL.search(text) is None:
        return text
    return "".join(reversed(_RTL_RUNS.findall(text)))


def _merged(runs: Sequence[_Run]) -> list[_Run]:
    """Runs with East Asian characters beside each other made one: they have no blanks, and readers join them."""
    merged: list[_Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last is not None and _joins(last, run):
            length = max(_distance(last, run) + run.length, last.length)
            merged[-1] = _Run(last.text + run.text, last.x, last.y, length, last.size, last.angle, run.space)
        else:
            merged.append(run)
    return merged


def _joins(a: _Run, b: _Run) -> bool:
    if a.space or a.angle != b.angle or not (_WIDE.match(a.text[-1]) and _WIDE.match(b.text[0])):
        return False
    return abs(_distance(a, b) - a.length) < 0.5 * a.size and abs(a.size - b.size) < 0.2 * a.size


def _distance(a: _Run, b: _Run) -> float:
    """How far `b` begins behind the begin of `a`, along the line."""
    cos, sin = math.cos(math.radians(a.angle)), math.sin(math.radians(a.angle))
    return (b.x - a.x) * cos - (b.y - a.y) * sin


def _with_blanks(runs: Sequence[_Run]) -> Iterator[tuple[str, _Run, float]]:
    """Each run, and between two words a blank that fills the gap: without it readers join the words."""
    for run, following in pairwise(runs):
        yield run.text, run, run.length
        if run.space:
            yield " ", *_gap(run, following)
    if runs:
        yield runs[-1].text, runs[-1], runs[-1].length


def _gap(a: _Run, b: _Run) -> tuple[_Run, float]:
    """The place of the blank between two words: after `a`, or before it where the text runs to the left."""
    distance = _distance(a, b)
    start, length = (a.length, distance - a.length) if distance >= 0 else (distance + b.length, -distance - b.length)
    cos, sin = math.cos(math.radians(a.angle)), math.sin(math.radians(a.angle))
    length = max(length, 0.05 * a.size)
    return _Run(" ", a.x + cos * start, a.y - sin * start, length, a.size, a.angle, space=False), length


def _stretch(text: str, length: float, size: float) -> float:
    """The horizontal scale, in per cent, with which `text` is `length` long."""
    natural = (len(text) + len(_WIDE.findall(text))) / 2 * size
    return min(max(100 * length / natural, 0.01), 100_000.0)


def _matrix(run: _Run) -> str:
    cos, sin = round(math.cos(math.radians(run.angle)), 5), round(math.sin(math.radians(run.angle)), 5)
    return f"{cos:g} {-sin:g} {sin:g} {cos:g} {run.x:.2f} {run.y:.2f}".replace("-0 ", "0 ")

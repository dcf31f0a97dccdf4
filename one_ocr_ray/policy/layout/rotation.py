"""Which way up a page is: decisions on the shapes of text boxes and on recognition scores.

A quarter turn shows in the boxes, which are then taller than wide; upside down shows in poor scores and few characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import VERTICAL_RATIO
from one_ocr_ray.policy.layout.text import is_cjk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SURE = 0.9  # text the right way up is read with a better score than this, even on most poor scans
LEGIBLE = 0.6  # below, nothing is text
CLEARLY_BETTER = 1.1
SOME_CHARACTERS = 20  # fewer may be read by chance in what is no text, or no text the right way up

Scored = tuple[float, int]  # the score 0-1 of a line and how many characters were read in it


def is_tall(box: tuple[float, float]) -> bool:
    """True if a line in a box of (width, height) px runs up or down the page."""
    return box[1] >= VERTICAL_RATIO * box[0]


def runs_sideways(boxes: Iterable[tuple[float, float]]) -> bool:
    """True if most of the boxes, by length, run up or down the page. `boxes` are (width, height) in px."""
    return sum(max(box) * (1 if is_tall(box) else -1) for box in boxes) > 0


def is_text(lines: Sequence[Scored]) -> bool:
    """True if lines are text the right way up; parts of pictures give few characters, or poor ones."""
    return sum(count for _, count in lines) >= SOME_CHARACTERS and mean_score(lines) >= SURE


def mean_score(lines: Sequence[Scored]) -> float:
    """The mean score of the characters; 0 when there are none."""
    chars = sum(count for _, count in lines)
    return _evidence(lines) / chars if chars else 0.0


def is_better_turned(lines: Sequence[Scored], turned: Sequence[Scored]) -> bool:
    """True if lines are text when turned by 180 degrees. By characters and scores they say clearly more than before."""
    return mean_score(turned) >= LEGIBLE and _evidence(turned) > CLEARLY_BETTER * _evidence(lines)


def _evidence(lines: Sequence[Scored]) -> float:
    return sum(score * count for score, count in lines)


def is_vertical_writing(line: str, characters: Sequence[str]) -> bool:
    """True if a downward line is vertical Chinese or Japanese, not a line of a page on its side.

    `line` was read along its length; `characters` are what single cells of it give when read the way they stand.
    """
    return is_cjk(line[:1]) and 2 * sum(char in line for char in characters if is_cjk(char[:1])) > len(characters)

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

Scored = tuple[float, int]  # the score 0-1 of a line and how many characters were read in it


def runs_sideways(boxes: Iterable[tuple[float, float]]) -> bool:
    """Whether most of the text, by length, runs up or down the page. `boxes` are (width, height) in px."""
    return sum(max(box) * (1 if box[1] >= VERTICAL_RATIO * box[0] else -1) for box in boxes) > 0


def mean_score(lines: Sequence[Scored]) -> float:
    """The mean score of the characters; 0 when there are none."""
    chars = sum(count for _, count in lines)
    return _evidence(lines) / chars if chars else 0.0


def is_better_turned(lines: Sequence[Scored], turned: Sequence[Scored]) -> bool:
    """Whether the same lines say clearly more when turned by 180 degrees: more characters, better scores."""
    return _evidence(turned) > CLEARLY_BETTER * _evidence(lines)


def _evidence(lines: Sequence[Scored]) -> float:
    return sum(score * count for score, count in lines)


def is_vertical_writing(line: str, characters: Sequence[str]) -> bool:
    """Whether a line that runs downwards is Chinese or Japanese written downwards, not a line of a page on its side.

    `line` was read along its length; `characters` are what single cells of it give when read the way they stand.
    """
    return is_cjk(line[:1]) and 2 * sum(char in line for char in characters if is_cjk(char[:1])) > len(characters)

"""Which lines of a scanned page are set in bold type: those whose strokes are thicker than the page's text has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.sequences import weighted_median

if TYPE_CHECKING:
    from collections.abc import Sequence

THICKER = 1.2  # times the strokes of the usual line, made as large; bold type has 1.2 to 2 times those of its family
LEAST_CHARACTERS = 2  # the strokes of one character say nothing
LEAST_HEIGHT_PX = 14  # strokes of smaller type are a pixel or two
LEAST_ON_A_PAGE = 60  # characters that make it known what is usual


@dataclass(frozen=True, slots=True)
class Strokes:
    """What a line's ink is like: the mean width of its strokes and its height in px, how many characters it has."""

    width_px: float
    height_px: float
    characters: int


def bold_lines(lines: Sequence[Strokes]) -> list[bool | None]:
    """For each line whether it is bold; None where too little is known."""
    usual_px = weighted_median((line.width_px, line.characters) for line in lines)
    height_px = weighted_median((line.height_px, line.characters) for line in lines)
    if sum(line.characters for line in lines) < LEAST_ON_A_PAGE or not usual_px or not height_px:
        return [None] * len(lines)
    return [
        line.width_px > THICKER * usual_px * max(1.0, line.height_px / height_px)
        if line.characters >= LEAST_CHARACTERS and line.height_px >= LEAST_HEIGHT_PX
        else None
        for line in lines
    ]

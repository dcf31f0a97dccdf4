"""Judges what the embedded engine read: which lines are text, what was lost.

Lines count by their lengths. A guess is ink in which the detector sees no line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageWarning
from one_ocr_ray.policy.page.looks import BlotKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MIN_SCORE = 0.5  # a line with a lower score is noise; RapidOCR's default
MIN_GUESS_SCORE = 0.8
LEAST_INK = 0.3  # of the columns of a line of text
WORD_RATIO = 2.5  # length to height of a short word
CONSIDERABLE = 0.1  # of the length of all lines
FOREIGN_LINE = 0.3  # of a line's ink without a character: most of its letters are not among the model's
POOR_SCORE = 0.85  # lines in a script that the models know are read with more, even on poor scans
FOREIGN_PAGE = 0.5  # of the length of all lines
FEW_CHARACTERS = 100  # a page with more is no picture, and no print out of focus
LARGE_BLOB = 1 / 12  # of the page's longer side

# How certain it is that a page without any line read has no text, by the look of its ink. Measured on the generated
# pages of benchmarks/sparse.py.
_SURE_OF_NO_TEXT = {
    BlotKind.SPECK: 0.99,
    BlotKind.RULE: 0.99,
    BlotKind.DRAWING: 0.95,
    BlotKind.PICTURE: 0.8,
    BlotKind.TEXT: 0.2,
    BlotKind.SMEAR: 0.2,
}


@dataclass(frozen=True, slots=True)
class LineRead:
    """A line that was read: size in px, score, and shares of ink."""

    length: float
    height: float
    score: float
    inked: float
    unread: float
    guessed: bool = False
    page_side: float = math.inf  # the longer one, px

    @property
    def is_text(self) -> bool:
        if self.height > LARGE_BLOB * self.page_side and self.length < WORD_RATIO * self.height:
            return self.score >= MIN_GUESS_SCORE  # as a letter of that size is; parts of photographs are read with less
        if self.guessed:
            return self.score >= MIN_GUESS_SCORE and self.unread <= FOREIGN_LINE
        return self.score >= MIN_SCORE

    @property
    def is_lost(self) -> bool:
        """True if it was not read but looks like text, as long as a word."""
        return not self.is_text and self.length >= WORD_RATIO * self.height and self.inked >= LEAST_INK

    @property
    def kind(self) -> BlotKind:
        """The look of a line without text: detectors take picture parts for lines."""
        return BlotKind.TEXT if self.guessed or self.is_lost else BlotKind.PICTURE

    @property
    def is_foreign(self) -> bool:
        """True if it looks like text in a script that the models do not know."""
        return not self.guessed and (self.score < POOR_SCORE or self.unread > FOREIGN_LINE)


def page_warnings(lines: Sequence[LineRead], other_ink: Collection[BlotKind] = ()) -> tuple[PageWarning, ...]:
    """The warnings that a page gets beside its text."""
    lines = [line for line in lines if line.is_text or line.is_lost]
    foreign = [line.length for line in lines if line.is_foreign]
    found = []
    if _lost_share(lines) > CONSIDERABLE or BlotKind.SMEAR in other_ink:
        found.append(PageWarning.LINES_DROPPED)
    if len(foreign) > 1 and sum(foreign) > FOREIGN_PAGE * sum(line.length for line in lines):
        found.append(PageWarning.SCRIPT_NOT_READ)
    return tuple(found)


def page_confidence(score: float | None, lines: Sequence[LineRead], other_ink: Collection[BlotKind]) -> float:
    """The confidence 0-1 of a page. `score`: the characters' mean; None where no line is text.

    Where lines are dropped, it falls by their share: a page that lost half of its text is not read well.
    """
    if score is None:
        return sure_of_no_text(other_ink)
    if BlotKind.SMEAR in other_ink:
        return min(score, _SURE_OF_NO_TEXT[BlotKind.SMEAR])
    lost = _lost_share(lines)
    return score * (1 - lost) if lost > CONSIDERABLE else score


def sure_of_no_text(kinds: Iterable[BlotKind]) -> float:
    """The certainty 0-1 that a page without lines has no text, by its ink."""
    return min((_SURE_OF_NO_TEXT[kind] for kind in kinds), default=_SURE_OF_NO_TEXT[BlotKind.SPECK])


def _lost_share(lines: Iterable[LineRead]) -> float:
    """The share of the length of all lines that was not read."""
    lines = [line for line in lines if line.is_text or line.is_lost]
    lost = sum(line.length * (line.unread if line.is_text else 1.0) for line in lines)
    return lost / length if (length := sum(line.length for line in lines)) else 0.0

"""What the embedded engine may say of a page: which lines are text, what got lost, how sure it is that there is none.

Lines count by their lengths. A guess is ink in which the detector sees no line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageWarning
from one_ocr_ray.policy.page.looks import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_SCORE = 0.5  # a line read with less is noise; RapidOCR's own default
MIN_GUESS_SCORE = 0.8
LEAST_INK = 0.3  # of the columns of a line of text
WORD_RATIO = 2.5  # length to height of a short word
CONSIDERABLE = 0.1  # of the length of all lines
FOREIGN_LINE = 0.3  # of a line's ink without a character: most of its letters are not among the model's
POOR_SCORE = 0.85  # lines in a script that the models know are read with more, even on poor scans
FOREIGN_PAGE = 0.5  # of the length of all lines

# How sure it is that a page from which nothing was read has no text, by what its ink looks like: measured on the
# generated pages of benchmarks/sparse.py.
_SURE_OF_NO_TEXT = {Kind.SPECK: 0.99, Kind.RULE: 0.99, Kind.DRAWING: 0.95, Kind.PICTURE: 0.8, Kind.TEXT: 0.2}


@dataclass(frozen=True, slots=True)
class LineRead:
    """A line as it was read: its size in px, the score 0-1, the share of its columns that have ink, and the share of
    those without a character near them.
    """

    length: float
    height: float
    score: float
    inked: float
    unread: float
    guessed: bool = False

    @property
    def is_text(self) -> bool:
        if self.guessed:
            return self.score >= MIN_GUESS_SCORE and self.unread <= FOREIGN_LINE
        return self.score >= MIN_SCORE

    @property
    def is_lost(self) -> bool:
        """Whether it is no text and looks like it: as long as a word, no picture, no frame, no row of dots."""
        return not self.is_text and self.length >= WORD_RATIO * self.height and self.inked >= LEAST_INK

    @property
    def kind(self) -> Kind:
        """What its ink looks like where it is no text: the detector takes parts of pictures for lines."""
        return Kind.TEXT if self.guessed or self.is_lost else Kind.PICTURE

    @property
    def is_foreign(self) -> bool:
        """Whether it looks like text in letters that the models do not know."""
        return not self.guessed and (self.score < POOR_SCORE or self.unread > FOREIGN_LINE)


def page_warnings(lines: Sequence[LineRead]) -> tuple[PageWarning, ...]:
    """What a page must say of itself beside its text."""
    lines = [line for line in lines if line.is_text or line.is_lost]
    length = sum(line.length for line in lines)
    lost = sum(line.length * (line.unread if line.is_text else 1.0) for line in lines)
    foreign = [line.length for line in lines if line.is_foreign]
    found = []
    if lost > CONSIDERABLE * length:
        found.append(PageWarning.LINES_DROPPED)
    if len(foreign) > 1 and sum(foreign) > FOREIGN_PAGE * length:
        found.append(PageWarning.SCRIPT_NOT_READ)
    return tuple(found)


def sure_of_no_text(kinds: Iterable[Kind]) -> float:
    """How sure it is (0-1) that a page whose ink is of these kinds, and gave no line, has no text."""
    return min((_SURE_OF_NO_TEXT[kind] for kind in kinds), default=_SURE_OF_NO_TEXT[Kind.SPECK])

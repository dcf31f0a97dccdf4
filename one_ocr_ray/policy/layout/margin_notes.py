"""Finds notes in the margin of running text. They are read after the text beside them, not in its lines.

A note has lines of its own, in a smaller type or at least at other heights. What stands in the lines of the text is no
note: a term beside its explanation, the number of a line, a cell of a table.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import Segment, line_height, rows
from one_ocr_ray.policy.layout.reading_order import (
    ALIGNED,
    LONE_COLUMN_WIDTH,
    OVERHANG,
    alignment,
    places,
    text_width,
)
from one_ocr_ray.policy.layout.tables.unruled import TableStrip
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTE_WIDTH = 0.4  # of the width of the text, at most
# Multiples of the line height.
NOTE_GAP = 1.0  # between notes and text, at least
LINE_GAP = 1.0  # lines that are further apart belong to two notes

MIN_ROWS = 2

Part = tuple[Segment, ...]


def part_notes(segments: Sequence[Segment]) -> tuple[Part, tuple[Part, ...]]:
    """The text of a page, and the notes beside it from top to bottom: those of one margin, then of the other."""
    text, notes = tuple(segments), tuple[Part, ...]()
    for _ in ("one margin", "the other"):
        margin = _best_margin(text)
        taken = set(margin)
        text = tuple(segment for segment in text if segment not in taken)
        notes += _notes(margin)
    return text, notes


def _best_margin(segments: Part) -> Part:
    """The segments in one margin beside the most rows of running text; none if there is no such margin."""
    level = [segment for segment in segments if not segment.is_vertical]
    best, found = 0, Part()
    if not level:
        return found
    height = line_height(level)
    by_left, by_right = sorted(level, key=lambda s: s.left), sorted(level, key=lambda s: s.right)
    lefts, rights = [s.left for s in by_left], [s.right for s in by_right]
    for place in places(level, height):
        left = tuple(by_right[: bisect_right(rights, place - NOTE_GAP * height)])
        right = tuple(by_left[bisect_left(lefts, place - OVERHANG * height) :])
        for margin, text in ((left, right), (right, left)):
            beside = _rows_beside(margin, text, height) if margin and text else 0
            if beside <= best:
                continue
            # What is in neither, a title over both, stands beside none of the notes, and seldom between two of them:
            # else these are the short lines of a column.
            others = set(level) - set(margin) - set(text)
            top, bottom = min(note.top for note in margin), max(note.bottom for note in margin)
            between = sum(top < other.middle < bottom for other in others)
            if between < len(margin) and not any(o.stands_beside(note, 0.0) for o in others for note in margin):
                best, found = beside, margin
    return found


def _rows_beside(margin: Part, text: Part, height: float) -> int:
    """How many rows of running text have `margin` as notes; 0 when it is something else."""
    if any(isinstance(s, TableStrip) for s in margin):
        return 0
    width, text_extent = (max(s.right for s in side) - min(s.left for s in side) for side in (margin, text))
    if width > NOTE_WIDTH * text_extent:
        return 0
    notes, lines = rows(margin), rows(text)
    if not MIN_ROWS <= len(notes) < len(lines) or text_width(lines) < LONE_COLUMN_WIDTH * height:
        return 0
    if any(note[0].middle < lines[0][0].top or note[0].middle > lines[-1][0].bottom for note in notes):
        return 0
    return len(lines) if alignment(notes, lines) < ALIGNED else 0


def _notes(margin: Part) -> tuple[Part, ...]:
    height = line_height(margin) if margin else 0.0
    found = runs(rows(margin), lambda note, row: row[0].top - note[-1][0].bottom < LINE_GAP * height)
    return tuple(tuple(segment for row in note for segment in row) for note in found)

"""Which lines are of a listing: those in a fixed-width font on a page whose text has another.

A line of a listing becomes one segment, whatever gaps it has: they are spaces of the listing and part no columns.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.geometry import Segment, gap, line_height, rows
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.reading_order import COLUMN_WIDTH, MIN_COLUMN_ROWS
from one_ocr_ray.policy.layout.tables.unruled import TableStrip
from one_ocr_ray.policy.layout.text import is_cjk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import PlacedWord, Row

TYPEWRITTEN = 0.9  # of the characters of a page in a fixed-width font say that its prose is, too
ONE_SPACE = 1.5  # of the width of a character: a gap that is narrower is one space
INDENT = 1.0  # of the line height: a line so much further in is no line of the paragraph above
LINE_GAP = 1.2  # of the line height: lines that are further apart do not show each other to be of a listing


def with_listings(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments with each line of a listing as one, whose kind is known."""
    fixed = sum(len(s.text) for s in segments if s.line.mono)
    if not 0 < fixed <= TYPEWRITTEN * sum(len(s.text) for s in segments):
        return tuple(segments)
    gutters = _Gutters.of(segments)
    pieces = [piece for row in rows(segments) for piece in gutters.parted(row)]
    height = line_height(segments)
    found: list[Segment] = []
    for at, piece in enumerate(pieces):
        if _is_fixed(piece) and _is_listing(pieces, at, height):
            found.append(_joined(piece))
        else:
            found += piece
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Gutters:
    """The left and the right edges of the page's running text, each in order."""

    lefts: tuple[float, ...]
    rights: tuple[float, ...]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> _Gutters:
        text = [s for s in segments if not s.line.mono and s.width >= COLUMN_WIDTH * s.height]
        return cls(tuple(sorted(s.left for s in text)), tuple(sorted(s.right for s in text)))

    def parted(self, row: Row) -> list[Row]:
        """A row cut where it reaches from one column of running text into the next."""
        pieces = [row[:1]]
        for a, b in pairwise(row):
            before, after = bisect_left(self.rights, b.left), len(self.lefts) - bisect_right(self.lefts, a.right)
            crossing = len(self.lefts) - before - after
            between = min(before, after) >= MIN_COLUMN_ROWS and crossing < min(before, after) / 2
            if between:
                pieces.append((b,))
            else:
                pieces[-1] += (b,)
        return pieces


def _is_fixed(row: Row) -> bool:
    """True if all words of a row are in a fixed-width font; the number of the line may be in another."""
    text = row[1:] if len(row) > 1 and marks.is_marker(row[0].text) else row
    if not text[0].line.mono or any(s.kind or s.is_vertical or isinstance(s, TableStrip) for s in row):
        return False
    return all(s.line.mono or not marks.has_words(s.text) for s in row)


def _is_listing(pieces: Sequence[Row], at: int, height: float) -> bool:
    """True if a line is none of a sentence.

    Another of its kind is near, it is further in than the text above, or that has come to an end.
    """
    piece = pieces[at]
    above = next((other for other in reversed(pieces[:at]) if _overlap(other, piece)), None)
    below = next((other for other in pieces[at + 1 :] if _overlap(piece, other)), None)
    if any(s.line.bold for s in piece) and (below is None or not _is_fixed(below)):
        return above is not None and _is_fixed(above) and gap(above, piece) < LINE_GAP * height
    if any(other and _is_fixed(other) for other in (above, below)) or above is None:
        return True
    if gap(above, piece) < LINE_GAP * height and piece[0].left > above[0].left + INDENT * height:
        return True  # it is shown apart within a sentence
    last = above[-1].text
    if "://" in last.split()[-1]:
        return False  # the rest of an address
    return marks.ends_sentence(last) or last.endswith((":", "：")) or gap(above, piece) >= LINE_GAP * height


def _overlap(a: Row, b: Row) -> bool:
    return a[0].left < b[-1].right and b[0].left < a[-1].right


def _joined(row: Row) -> Segment:
    """One segment whose words keep their columns: each is followed by as many spaces as lead to the next one."""
    words = [word for segment in row for word in segment.words]
    width = median((s.right - s.left) / max(1, _columns(s.text)) for s in row)
    spaced: list[PlacedWord] = []
    at = 0
    for word, following in pairwise(words):
        text = word.text.rstrip()
        start = round((following.left - words[0].left) / width) if width > 0 else 0
        is_one = following.left - word.right < ONE_SPACE * width  # also where a typesetter has stretched it
        spaces = 1 if is_one else max(1, start - at - _columns(text))
        spaced.append(replace(word, text=text + " " * spaces))
        at += _columns(text) + spaces
    top, bottom = min(s.top for s in row), max(s.bottom for s in row)
    return replace(row[0], words=(*spaced, words[-1]), top=top, bottom=bottom, kind=BlockKind.CODE)


def _columns(text: str) -> int:
    """How many columns of a listing a text takes."""
    return sum(2 if is_cjk(char) else 1 for char in text)

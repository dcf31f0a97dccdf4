"""Which segment comes after which: a page is cut at its gutters into columns, recursively.

A gutter is a vertical line that few segments cross and that has running text on both sides. The segments that cross it
(titles, wide tables, footers) part the page into bands; within a band the left column is read before the right one.
The idea is the recursive XY cut (Nagy and Seth, 1984), with the test for running text so that table columns stay rows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import Row, Segment, line_height, rows
from one_ocr_ray.policy.layout.kinds import marks

if TYPE_CHECKING:
    from collections.abc import Sequence

Region = tuple[Segment, ...]

# Multiples of the line height.
COLUMN_WIDTH = 8.0  # running text is at least this wide, about 20 letters
LONE_COLUMN_WIDTH = 14.0  # the same beside something that is not running text: a figure's labels, a margin note
OVERHANG = 0.4  # a box may reach this far over a gutter
JOINED_REACH = 2.5  # a line drawn across a gutter has lines in columns at most this far above and below
MARGIN_GAP = 1.0  # a page header or footer stands at least this far from the text
HEADING_GAP = 0.5  # a heading is at least this far from the column above it
SAME_MARGIN = 1.0  # left edges of one column differ by less

MIN_COLUMN_ROWS = 3
FILLED = 0.3  # of the height of a column of running text, double-spaced or with a figure in it, is covered by lines
INKED = 0.75  # of the width of a row of running text is covered by words
LONE_ROWS = 0.6  # of the rows of running text: fewer beside it are labels, to be read in their place
# Columns without running text, such as exercises, are told from the rows of a table by how few stand beside each other.
APART = 0.45  # of the rows of one side, at most
MIN_APART_ROWS, MANY_ROWS = 8, 15  # so many rows, or so many with up to ALIGNED
BETWEEN, MOSTLY = 0.25, 0.4  # of a row, of the rows of one side: less overlaps those of the other side
INDEXED = 0.5  # of the rows
ALIGNED = 0.6  # of the rows of one side stand beside one of the other side: the sides are the rows of a table

_NUMBERED = re.compile(r"[(（]?(\d{1,3})[.)）、](?=\D)")


@dataclass(frozen=True, slots=True)
class _Band:
    """What lies between two crossing lines, left and right of a gutter."""

    left: Region
    right: Region


def regions(segments: Sequence[Segment]) -> tuple[Region, ...]:
    """Cut a page into single columns, in reading order. Every segment is in exactly one region; upright text in the
    margin of a page of horizontal lines comes last.
    """
    level = tuple(segment for segment in segments if not segment.is_vertical)
    stray = tuple(segment for segment in segments if segment.is_vertical)
    ordered = [region for part in _without_margins(level) for region in _columns(part)]
    return tuple(ordered) + tuple((segment,) for segment in stray)


def _without_margins(segments: Region) -> tuple[Region, ...]:
    """Part the first and the last row from the rest where they stand well apart: a header is read as one row."""
    if not segments:
        return ()
    gap = MARGIN_GAP * line_height(segments)
    page = rows(segments)
    head, body, foot = page[:1], page[1:-1], page[-1:]
    if not body:
        return (segments,)
    text = tuple(segment for row in body for segment in row)
    top, bottom = min(s.top for s in text), max(s.bottom for s in text)
    if top - max(s.bottom for s in head[0]) < gap:
        text, head = head[0] + text, ()
    if min(s.top for s in foot[0]) - bottom < gap:
        text, foot = text + foot[0], ()
    return (*head, text, *foot)


def _columns(segments: Region) -> tuple[Region, ...]:
    """Cut at the best gutter and go on with each part; without a gutter the region is one column."""
    height = line_height(segments)
    # The left edge of a column that gives the most rows in columns; None when nothing is in columns.
    best, gutter = 0, None
    for place in places(segments, height):
        bands = (band for band in _bands(segments, place, height) if isinstance(band, _Band))
        score = sum(_rows_in_columns(band, height) for band in bands)
        if score > best:
            best, gutter = score, place
    if gutter is None:
        return (segments,)
    parts: list[Region] = []
    waiting: Region = ()  # what is not in columns of this gutter
    for band in _accepted(segments, gutter, height):
        if isinstance(band, _Band):
            # Left before right, but for a few lines beside running text: those in a picture come after it.
            left, right = rows(band.left), rows(band.right)
            few = len(left) < LONE_ROWS * len(right) and text_width(left) < COLUMN_WIDTH * height <= text_width(right)
            parts += [waiting, *((band.right, band.left) if few else _cards(band, height))]
            waiting = ()
        else:
            waiting += band
    return tuple(region for part in (*parts, waiting) if part for region in _columns(part))


def places(segments: Sequence[Segment], height: float) -> list[float]:
    """The left edges of segments, from left to right, where a column may begin: one of those close to each other."""
    found: list[float] = []
    for left in sorted({segment.left for segment in segments}):
        if not found or left - found[-1] >= OVERHANG / 2 * height:
            found.append(left)
    return found


def _bands(segments: Region, gutter: float, height: float) -> list[_Band | Region]:
    """From top to bottom: bands of two columns, and between them the segments that cross the gutter."""
    overhang = OVERHANG * height
    bands: list[_Band | Region] = []
    run: list[Segment] = []
    for segment in sorted(segments, key=lambda s: s.middle):
        if not _crosses(segment, gutter, overhang):
            run.append(segment)
        else:
            # What stands alone under two columns and above something that crosses them does not end its column.
            stands_alone = len(run) > 1 and run[-1].top - max(s.bottom for s in run[:-1]) > HEADING_GAP * height
            at = len(run) - stands_alone
            bands += [_band(tuple(run[:at]), gutter - overhang), tuple(run[at:]), (segment,)]
            run = []
    bands.append(_band(tuple(run), gutter - overhang))
    return [band for band in bands if band]


def _crosses(segment: Segment, gutter: float, overhang: float) -> bool:
    return segment.left < gutter - overhang and segment.right > gutter + overhang


def _band(run: Region, right_from: float) -> _Band | Region:
    left = tuple(s for s in run if s.left < right_from)
    right = tuple(s for s in run if s.left >= right_from)
    return _Band(left, right) if left and right else run


def _accepted(segments: Region, gutter: float, height: float) -> list[_Band | Region]:
    """The bands at the best gutter; those that are not in columns as plain regions. Where others are, a short band with
    the same margins is in columns too. Lines drawn across the gutter are cut, unless that leaves no band in columns:
    bands that such lines had parted become one, and that may be a table.
    """
    # Lines that a detector drew across a narrow gutter are cut. They stand below and above lines that do not cross it,
    # and have a gap between two words there.
    crossing = {s for s in segments if _crosses(s, gutter, OVERHANG * height)}
    columns = [s for s in segments if s not in crossing]
    reach = JOINED_REACH * height
    parts: list[Segment] = []
    for segment in segments:
        near = (s for s in columns if s.left < segment.right and s.right > segment.left) if segment in crossing else ()
        distances = [s.middle - segment.middle for s in near]
        if any(-reach < d < 0 for d in distances) and any(0 < d < reach for d in distances):
            parts += segment.cut(gutter, OVERHANG * height)
        else:
            parts.append(segment)
    bands = _bands(tuple(parts), gutter, height)
    sure = _sure(bands, height)
    if not sure:
        bands = _bands(segments, gutter, height)
        sure = _sure(bands, height)
    left_margin = median(s.left for band in sure for s in band.left)
    right_margin = median(s.left for band in sure for s in band.right)

    def same_margins(band: _Band) -> bool:
        return (
            abs(median(s.left for s in band.left) - left_margin) < SAME_MARGIN * height
            and abs(median(s.left for s in band.right) - right_margin) < SAME_MARGIN * height
        )

    return [
        band.left + band.right if isinstance(band, _Band) and band not in sure and not same_margins(band) else band
        for band in bands
    ]


def _cards(band: _Band, height: float) -> list[Region]:
    """Left before right, but for what is numbered row by row, as exercises and cards may be: 1 and 2, then 3 and 4."""
    starts = [
        {s.top: int(found[1]) for row in rows(side) if (found := _NUMBERED.match((s := row[0]).text))}
        for side in (band.left, band.right)
    ]
    pairs = [(a, b) for a in starts[0] for b in starts[1] if abs(a - b) < height / 2]
    numbers = [starts[side][top] for pair in pairs for side, top in enumerate(pair)]
    counted = [number for side in starts for number in side.values()]
    if len(pairs) < 2 or numbers != sorted(set(numbers)) or numbers != sorted(counted):
        return [band.left, band.right]
    tops = [min(pair) for pair in pairs[1:]]
    parts: list[list[Segment]] = [[] for _ in range(2 * len(pairs))]
    for side, segments in enumerate((band.left, band.right)):
        for segment in segments:
            parts[2 * bisect_right(tops, segment.middle) + side].append(segment)
    return [tuple(part) for part in parts]


def _sure(bands: Sequence[_Band | Region], height: float) -> list[_Band]:
    return [band for band in bands if isinstance(band, _Band) and _rows_in_columns(band, height)]


def _rows_in_columns(band: _Band, height: float) -> int:
    """How many rows of the band stand in two columns: those of the shorter side if both sides are running text, or if
    one is and the other does not stand in its rows; otherwise none.
    """
    if min(len(band.left), len(band.right)) < MIN_COLUMN_ROWS:
        return 0
    left, right = rows(band.left), rows(band.right)
    few, many = sorted((left, right), key=len)
    if len(few) < MIN_COLUMN_ROWS or _stand_between(left, right):
        return 0
    if all(_is_index(side) for side in (left, right)):
        return len(few)
    narrow, wide = sorted((text_width(left), text_width(right)))
    if narrow >= COLUMN_WIDTH * height:
        return len(few)
    together = alignment(few, many)
    if wide >= LONE_COLUMN_WIDTH * height and together < (ALIGNED if len(few) >= LONE_ROWS * len(many) else APART):
        return len(few)
    wide_enough = min(_extent(left), _extent(right)) >= LONE_COLUMN_WIDTH * height
    enough = MIN_APART_ROWS if together < APART else MANY_ROWS
    return len(few) if wide_enough and len(few) >= enough and together < ALIGNED else 0


def _stand_between(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """True if the left rows are not beside but between the right ones: terms, each above what explains it."""
    middles = [row[0].middle for row in right]

    def is_beside(row: Row) -> bool:
        top, bottom, at = row[0].top, row[0].bottom, bisect_right(middles, row[0].middle)
        near = (other[0] for other in right[max(0, at - 2) : at + 2])
        return any(min(bottom, other.bottom) - max(top, other.top) > BETWEEN * (bottom - top) for other in near)

    return sum(map(is_beside, left)) < MOSTLY * len(left)


def _is_index(side: Sequence[Row]) -> bool:
    """True if most rows are entries of an index: words, a comma, and the pages that they stand on."""
    return sum(marks.is_index_entry(row[-1].text) for row in side) > INDEXED * len(side)


def _extent(side: Sequence[Row]) -> float:
    return max(row[-1].right for row in side) - min(row[0].left for row in side)


def text_width(side: Sequence[Row]) -> float:
    """The usual width of the rows if they are running text, else 0: running text fills its column from top to bottom
    and leaves no holes in a line; labels and notes are far apart, cells of a table leave holes.
    """
    if sum(row[0].height for row in side) < FILLED * (side[-1][0].bottom - side[0][0].top):
        return 0.0
    inked = [(sum(s.width for s in row), row[-1].right - row[0].left) for row in side]
    return median(ink if ink >= INKED * width else 0.0 for ink, width in inked)


def alignment(few: Sequence[Row], many: Sequence[Row]) -> float:
    """The share of the rows of one side that stand beside a row of the other side."""
    near = min(row[0].height for row in few) / 4
    middles = sorted(row[0].middle for row in many)

    def is_beside(middle: float) -> bool:
        at = bisect_right(middles, middle - near)
        return at < len(middles) and middles[at] < middle + near

    return sum(is_beside(row[0].middle) for row in few) / len(few)

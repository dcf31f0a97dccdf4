"""What belongs to the sheet and not to the text: page heads, page feet, page numbers.

They stand at the edge of the page. A layout model that says so is believed of small type there; without it only a page
number is, which stands apart from the text, and what stands beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.drafts import Draft
from one_ocr_ray.policy.layout.geometry import line_height, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.policy.layout.content import Ruling
    from one_ocr_ray.policy.layout.geometry import Row, Segment
    from one_ocr_ray.policy.layout.kinds.labels import Labels

EDGE = 0.14  # of the page's height at its top and its bottom
WIDE_EDGE = 0.2  # the same for a page number alone in the middle
NUMBER, LIKELY, SURE = 0.3, 0.4, 0.95  # scores of a region: enough for a page number, for small type, for any
LARGE = 1.25  # times the line height: perhaps the type of a title
RULED = 0.08  # of the page's height: how far from its edge the rule below a head is
RULE_WIDTH, RULED_ROWS = 0.6, 4  # of the text's width, at least; rows above it, at most
NUMBER_GAP = 0.9  # of the line height: between a page number and the text
FOOT_GAP = 1.2  # the same for a row with more than the number
FARTHER = 1.6  # times the distance of the rows before: a row further away is not one of theirs

_NUMBER = re.compile(
    r"""[-–—·•~\[(（/|\s]*
    (?:(?:page|seite|p\.|pg\.)\s*)?
    (?:\d{1,4}|[ivxlc]{1,7}|[一二三四五六七八九十〇零百\s]{1,6}|第\s*\d{1,4}\s*[页頁]|(?:\d{1,4})\s*(?:/|of|von|de)\s*\d{1,4})
    [-–—·•~\])）/|.\s]*""",
    re.VERBOSE | re.IGNORECASE,
)


def is_page_number(text: str) -> bool:
    """Whether a text may be nothing but the number of a page."""
    return _NUMBER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page parted into its heads, its text and its feet."""

    heads: tuple[Segment, ...]
    text: tuple[Segment, ...]
    feet: tuple[Segment, ...]


def part_furniture(
    segments: Sequence[Segment], labels: Labels, page_height: float, rulings: Sequence[Ruling] = ()
) -> Sheet:
    """Part a page. One on which nothing else stands has no furniture."""
    if not segments:
        return Sheet((), (), ())
    height = line_height(segments)
    heads = _at_edge(segments, page_height, height, lambda s: _is_labelled(s, labels, "header", height), at_top=True)
    feet = _at_edge(segments, page_height, height, lambda s: _is_labelled(s, labels, "footer", height), at_top=False)
    heads |= _ruled_off(segments, rulings, RULED * page_height, height, labels)
    taken = heads | feet
    text = tuple(s for s in segments if s not in taken)
    if not text:
        return Sheet((), tuple(segments), ())
    return Sheet(tuple(s for s in segments if s in heads), text, tuple(s for s in segments if s in feet - heads))


def furniture_drafts(segments: Sequence[Segment], kind: BlockKind) -> list[Draft]:
    """A block for each piece of furniture, row by row; a page number is one of its own."""
    return [
        Draft(BlockKind.PAGE_NUMBER if is_page_number(s.text) else kind, s.text, ((s,),))
        for row in rows(segments)
        for s in row
    ]


def _ruled_off(
    segments: Sequence[Segment], rulings: Sequence[Ruling], depth: float, height: float, labels: Labels
) -> set[Segment]:
    """What a rule over most of the page's width parts from the text near the top edge.

    It is in small type, or the model takes some of it for a head.
    """
    width = max(s.right for s in segments) - min(s.left for s in segments)
    level = [r for r in rulings if abs(r.y1 - r.y0) < height and abs(r.x1 - r.x0) >= RULE_WIDTH * width]
    found: set[Segment] = set()
    top = min((max(r.y0, r.y1) for r in level), default=0.0)
    for rule in level:
        y = max(rule.y0, rule.y1)
        above = {s for s in segments if s.middle < y} if y < depth else set()
        if any(s.middle > top for s in above):  # between two rules, as the rows of a table
            continue
        is_small = all(s.height <= LARGE * height for s in above)
        if len(rows(above)) <= RULED_ROWS and (is_small or any(labels.score(s, "header") >= LIKELY for s in above)):
            found |= above
    return found


def _is_labelled(segment: Segment, labels: Labels, label: str, height: float) -> bool:
    """Whether the model says so, and nothing else of it with more certainty."""
    score = labels.score(segment, label)
    least = SURE if segment.height > LARGE * height else NUMBER if is_page_number(segment.text) else LIKELY
    return score >= max(least, labels.score(segment, "title", "text", "table_caption", "table"))


def _at_edge(
    segments: Sequence[Segment],
    page_height: float,
    height: float,
    is_labelled: Callable[[Segment], bool],
    *,
    at_top: bool,
) -> set[Segment]:
    """The furniture at one edge of the page: what is labelled and all beyond it, else the row of a page number."""
    page = rows(segments) if at_top else rows(segments)[::-1]
    outermost = set(page[0])
    depth = EDGE * page_height

    def is_near(segment: Segment) -> bool:
        return segment.middle < depth if at_top else segment.middle > page_height - depth

    sure = {s for s in segments if (is_near(s) or s in outermost) and is_labelled(s)}
    if sure:
        reach = max(s.bottom for s in sure) if at_top else min(s.top for s in sure)
        return sure | {
            s
            for s in segments
            if is_near(s) and s.height <= LARGE * height and (s.middle <= reach if at_top else s.middle >= reach)
        }
    if not all(is_near(s) for s in outermost) and (at_top or not _is_lone_number(page, page_height, height)):
        return set()
    return outermost if _has_number(page, height) else set()


def _is_lone_number(page: Sequence[Row], page_height: float, height: float) -> bool:
    """Whether the last row is a number in the middle below the text, whose lower margin may be a wide one."""
    number, text = page[0], [segment for row in page[1:] for segment in row]
    if len(number) > 1 or not text or not number[0].text.isdecimal():
        return False
    middle = (min(s.left for s in text) + max(s.right for s in text)) / 2
    is_centred = abs((number[0].left + number[0].right) / 2 - middle) < height
    return is_centred and number[0].middle > (1 - WIDE_EDGE) * page_height


def _has_number(page: Sequence[Row], height: float) -> bool:
    """Whether the outermost row, the first one, has a page number and stands apart from those behind it."""
    row = page[0]
    numbers = [is_page_number(segment.text) for segment in (row[0], row[-1])]
    if not any(numbers) or any(segment.height > LARGE * height for segment in row):
        return False
    if len(page) < 2:
        return True
    gaps = [_gap(a, b) for a, b in pairwise(page[:6])]
    least = NUMBER_GAP if len(row) == 1 else FOOT_GAP
    return gaps[0] >= max(least * height, FARTHER * median(gaps[1:] or [0.0]))


def _gap(a: Row, b: Row) -> float:
    """The distance of two rows, whichever is above."""
    return max(min(s.top for s in b) - max(s.bottom for s in a), min(s.top for s in a) - max(s.bottom for s in b))

"""What belongs to the sheet and not to the text: page heads, page feet, page numbers.

They stand at the edge of the page. A layout model that says so is believed of small type there. Without it a row must
stand apart from the text: one with a page number, one that says what happened to the sheet (downloaded, printed), one
in the lower margin.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.drafts import Draft
from one_ocr_ray.policy.layout.geometry import gap, line_height, rows
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.kinds.labels import COVERED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.policy.layout.content import PageContent, Ruling
    from one_ocr_ray.policy.layout.geometry import Row, Segment
    from one_ocr_ray.policy.layout.kinds.labels import Labels

EDGE = 0.14  # of the page's height at its top and its bottom
WIDE_EDGE = 0.2  # the same for a page number alone in the middle
NUMBER, LIKELY, SURE = 0.3, 0.4, 0.95  # scores of a region: enough for a page number, for small type, for any
NUMBER_COVERED = 0.4  # of the width of a number lies in its region: its line is found wider than its digits are
LARGE = 1.25  # times the line height: perhaps the type of a title
RULED = 0.08  # of the page's height: how far from its edge the rule below a head is
RULE_WIDTH, RULED_ROWS = 0.6, 4  # of the text's width, at least; rows above it, at most
NUMBER_GAP = 0.9  # of the line height: between a page number and the text
FOOT_GAP = 1.2  # the same for a row with more than the number
FARTHER = 1.6  # times the distance of the rows before: a row further away is not one of theirs
LOWER_HALF, FAR = 0.5, 2.5  # of the page's height, of the line height: a number there and so far below ends a page
NOTICE_EDGE = 0.08  # of the page's height at its edges, where an address or a printing date is not part of the text
MARGIN, TEXT_EDGE, SIDE = 0.05, 0.07, 0.03  # of the page's height: the lower margin; where text begins at most
MARGIN_ROWS = 24  # on a page that shows where its margins are
LANDSCAPE, LABELLED_ROWS = 1.2, 4  # width by height of a slide; its label, its title, and text below
FEW_ROWS = 8  # of text: such a page, as a receipt or a title page, begins with its own title
RAISED = 0.25  # of a line's height: how far above its foot the number of a note ends, at least
ENTRIES, SAME_END = 3, 0.5  # rows that end as the outermost one does; of the line height
NOTICE_ROWS = 2  # at one edge
NOTICE_CHARACTERS = 160

_NUMBER = re.compile(
    r"""[-–—·•~\[(（/|\s]*
    (?:(?:page|seite|p\.|pg\.)\s*)?
    (?:\d{1,4}|[ivxlc]{1,7}|[一二三四五六七八九十〇零百\s]{1,6}|第\s*\d{1,4}\s*[页頁]|(?:\d{1,4})\s*(?:/|of|von|de)\s*\d{1,4})
    [-–—·•~\])）/|.\s]*""",
    re.VERBOSE | re.IGNORECASE,
)


_NOTICE = re.compile(
    r"""\b(?:down\s?load(?:ed)?|print(?:ed|out)?|access(?:ed)?|retriev(?:ed|al)|generat(?:ed|ion)|export(?:ed)?)\b
        .{0,40}?(?:\b(?:date|on|from|by|at)\b|\d)
    |\b(?:heruntergeladen|gedruckt|ausdruck|téléchargé|imprimé|descargado|wydruk)\b|下载|打印|印刷日
    |https?://|\bwww\.\w
    |©|\(c\)\s*\d{4}|\ball\s+rights\s+reserved\b
    |\.(?:indd|indb|qxd|docx?|pptx?|xlsx?|tex|pdf)\b
    |^(?:strictly\s+)?confidential$
    |\d{1,4}[./-]\d{1,2}[./-]\d{1,4},?\s+\d{1,2}:\d{2}""",
    re.VERBOSE | re.IGNORECASE,
)


def is_page_number(text: str) -> bool:
    """True if a text may be nothing but the number of a page."""
    return _NUMBER.fullmatch(unicodedata.normalize("NFKC", text)) is not None


def is_notice(text: str) -> bool:
    """True if a text says where the sheet comes from or what happened to it: an address, a download, a printing."""
    return len(text) <= NOTICE_CHARACTERS and _NOTICE.search(text) is not None


@dataclass(frozen=True, slots=True)
class PageParts:
    """A page parted into its heads, its text and its feet."""

    heads: tuple[Segment, ...]
    text: tuple[Segment, ...]
    feet: tuple[Segment, ...]


def part_furniture(segments: Sequence[Segment], labels: Labels, content: PageContent) -> PageParts:
    """Part a page. One on which nothing else stands has no furniture."""
    if not segments:
        return PageParts((), (), ())
    page_height = content.height
    height = line_height([s for s in segments if not s.line.mono] or segments)  # listings are in smaller type
    heads = _at_edge(segments, page_height, height, lambda s: _is_labelled(s, labels, "header", height), at_top=True)
    feet = _at_edge(segments, page_height, height, lambda s: _is_labelled(s, labels, "footer", height), at_top=False)
    if len(rows([s for s in segments if s not in heads | feet])) < FEW_ROWS:
        # Its title: no smaller than the text, alone in its row, and neither a page number nor a notice.
        large = [
            s for s in heads if s.height * LARGE >= height and not is_page_number(s.text) and not is_notice(s.text)
        ]
        heads -= {s for s in large if all(o is s or o.middle < s.top or o.middle > s.bottom for o in heads)}
    heads |= _ruled_off(segments, content.rulings, RULED * page_height, height, labels)
    if content.width >= LANDSCAPE * page_height:
        heads |= _corner_label(rows(segments), page_height)
    taken = heads | feet
    text = tuple(s for s in segments if s not in taken)
    if not text:
        return PageParts((), tuple(segments), ())
    return PageParts(tuple(s for s in segments if s in heads), text, tuple(s for s in segments if s in feet - heads))


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


def _corner_label(page: Sequence[Row], page_height: float) -> set[Segment]:
    """The name of a section in the upper left corner of a slide with a title.

    The title stands alone in the middle of the text; the label ends left of it, and begins left of all text.
    """
    if len(page) < LABELLED_ROWS or len(page[0]) > 1 or len(page[1]) > 1:
        return set()
    label, title = page[0][0], page[1][0]
    text = [segment for row in page[2:] for segment in row]
    left, right = min(s.left for s in text), max(s.right for s in text)
    is_centred = abs(title.left + title.right - left - right) < 2 * title.height and title.left > left + title.height
    in_corner = label.middle < EDGE * page_height and label.right < title.left and label.left < left - label.height
    return {label} if is_centred and in_corner else set()


def _is_labelled(segment: Segment, labels: Labels, label: str, height: float) -> bool:
    """True if the model says so, and nothing else of it with more certainty."""
    is_number = is_page_number(segment.text)
    score = labels.score(segment, label, covered=NUMBER_COVERED if is_number else COVERED)
    least = SURE if segment.height > LARGE * height else NUMBER if is_number else LIKELY
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
    # Without a word of the model: the outermost row with a page number, then notices and what is in the lower margin.
    found: set[Segment] = set()
    for at, row in enumerate(page[:NOTICE_ROWS]):
        rest = page[at:]
        depth = max(s.middle if at_top else page_height - s.middle for s in row) / page_height
        is_in_place = depth < EDGE or (not at_top and _is_lone_number(rest, page_height, height))
        is_number = at == 0 and is_in_place and _has_number(rest, height)
        text = " ".join(s.text for s in row)
        is_of_sheet = (
            is_notice(text) and not marks.starts_footnote(text) and all(s.height <= LARGE * height for s in row)
        )
        is_notice_row = depth < NOTICE_EDGE and is_of_sheet and _is_apart(rest, FOOT_GAP * height)
        is_in_margin = not at_top and depth < MARGIN and _lies_in_margin(rest, page_height, height)
        if not (is_number or is_notice_row or is_in_margin):
            break
        found.update(row)
    return found


def _lies_in_margin(page: Sequence[Row], page_height: float, height: float) -> bool:
    """True if the last row is small and in the lower margin, and the others keep away from the edges."""
    row, text = page[0], [segment for row in page[1:] for segment in row]
    if len(page) <= MARGIN_ROWS or any(s.height > LARGE * height or s.is_vertical for s in row):
        return False
    depth = min(min(s.top, page_height - s.bottom) for s in text)
    has_margins = depth > TEXT_EDGE * page_height and min(s.left for s in text) > SIDE * page_height
    return has_margins and _is_apart(page, FAR * height)


def _is_lone_number(page: Sequence[Row], page_height: float, height: float) -> bool:
    """True if the last row is a centred number below the text. The lower margin may be wide.

    Above a margin that is wider still, such as that of half a page, the number stands far below the text.
    """
    number, text = page[0], [segment for row in page[1:] for segment in row]
    if len(number) > 1 or not text or not number[0].text.isdecimal():
        return False
    middle = (min(s.left for s in text) + max(s.right for s in text)) / 2
    if abs((number[0].left + number[0].right) / 2 - middle) >= height:
        return False
    least = LOWER_HALF if gap(page[1], page[0]) >= FAR * height else 1 - WIDE_EDGE
    return number[0].middle > least * page_height


def _has_number(page: Sequence[Row], height: float) -> bool:
    """True if the outermost row, `page[0]`, has a page number and stands apart from the next."""
    row = page[0]
    if not any(is_page_number(segment.text) for segment in (row[0], row[-1])):
        return False
    if any(segment.height > LARGE * height for segment in row) or _is_entry(page, height):
        return False
    mark, text = row[0], row[1:]  # a note begins with its number, which is small and raised
    if text and text[0].bottom - mark.bottom > RAISED * text[0].height and mark.height < text[0].height:
        return False
    return len(page) < 2 or _is_apart(page, (NUMBER_GAP if len(row) == 1 else FOOT_GAP) * height)


def _is_entry(page: Sequence[Row], height: float) -> bool:
    """True if the outermost row is an entry of the contents: its number is in line with those of the next rows."""
    if len(page[0]) < 2 or _is_apart(page, FAR * height):
        return False
    ends = [row[-1] for row in page[: 1 + ENTRIES]]
    return len(ends) > ENTRIES and all(
        each.text.isdecimal() and abs(each.right - ends[0].right) < SAME_END * height for each in ends
    )


def _is_apart(page: Sequence[Row], least: float) -> bool:
    """True if the outermost row is further from the next one than `least` and than the next ones from each other."""
    gaps = [max(gap(a, b), gap(b, a)) for a, b in pairwise(page[:6])]  # whichever is above
    return bool(gaps) and gaps[0] >= max(least, FARTHER * median(gaps[1:] or [0.0]))

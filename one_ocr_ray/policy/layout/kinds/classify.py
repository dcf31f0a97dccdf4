"""Which lines of a page are formulas, captions, footnotes or titles, and where its figures are.

What stands there decides, and a layout model helps: neither is believed alone. Lengths are in the unit of the page's
content; thresholds are multiples of the page's usual line height.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind, Box
from one_ocr_ray.policy.layout.geometry import PlacedWord, Segment, line_height, rows, strips
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.kinds.formulas import is_number, may_be_formula
from one_ocr_ray.policy.layout.kinds.headings import LARGE
from one_ocr_ray.policy.layout.reading_order import COLUMN_WIDTH, text_width
from one_ocr_ray.policy.layout.tables.unruled import TableStrip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.kinds.labels import Labels

TITLE = 0.85  # the score of a title whose type is larger than the text's, whatever else speaks against it
LIKELY = 0.3  # the score of a region that supports what the characters say
FIGURE = 0.5  # the score of a figure
LEAST_TEXT = 40  # characters of a page that has figures; less stands in a picture as large as the page
MOST_TEXT = 0.3  # of a page's characters stand in one figure
NEAR = 2.5  # a caption is at most this far from its figure or table
BESIDE = 0.3  # of its height have a formula and its number in common
SMALL = 0.93  # the type of footnotes against that of the page


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with the text in it: the letters of a chart, of a map."""

    box: Box  # in points of the page as displayed
    inside: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FigureStrip(Segment):
    """A strip of a figure, as high as a line: the reading order takes it for running text. Its word is no text."""

    figure: Figure = field(kw_only=True)


def with_kinds(segments: Sequence[Segment], labels: Labels) -> tuple[Segment, ...]:
    """The segments with the kinds of those that are formulas, captions, footnotes or surely titles."""
    if not segments:
        return ()
    height = line_height(segments)
    numbers = {s for s in segments if is_number(s.text)}

    def is_formula(s: Segment) -> bool:
        """True if it reads like a formula, and has its type, a number beside it, or is one to the model."""
        if is_typeset(s) or not may_be_formula(s.text):
            return is_typeset(s)
        numbered = any(number.stands_beside(s, BESIDE) and number.left > s.right for number in numbers)
        return numbered or labels.score(s, "equation") >= LIKELY

    formulas = {s for s in segments if s not in numbers and is_formula(s)}
    formulas |= {n for n in numbers if any(n.stands_beside(f, BESIDE) for f in formulas)}
    notes = _footnotes(segments, height)

    def kind(segment: Segment) -> BlockKind | None:
        if segment in formulas:
            return BlockKind.FORMULA
        # A sentence about "Table 1" starts as captions do: there the model decides.
        named = labels.score(segment, "figure_caption", "table_caption")
        near = labels.is_near(segment, NEAR * height, "figure", "table")
        if marks.starts_caption(segment.text):
            is_caption = near or named >= LIKELY or marks.ends_caption_number(segment.text)
        else:
            is_caption = near and named >= FIGURE and named > labels.score(segment, "text", "title")
        if is_caption:
            return BlockKind.CAPTION
        if segment in notes:
            return BlockKind.FOOTNOTE
        # A title if size and model agree, even if its line is full or ends with a colon.
        is_large = segment.height > LARGE * height and marks.has_words(segment.text) and not segment.is_vertical
        is_title = is_large and labels.score(segment, "title") >= TITLE and not labels.score(segment, "text")
        return BlockKind.HEADING if is_title else None

    return tuple(replace(s, kind=found) if (found := kind(s)) else s for s in segments)


def is_typeset(segment: Segment) -> bool:
    """True if a segment is all of a line whose type is that of a formula."""
    return segment.line.latex is not None and len(segment.text) >= len(
        "".join(w.text for w in segment.line.words).strip()
    )


def _footnotes(segments: Sequence[Segment], height: float) -> set[Segment]:
    """The first lines of the notes at the foot of a page, or of a column of it.

    All below is in small type too, or the text above has the note's sign.
    """
    level = [s for s in segments if not s.is_vertical]
    if not level:
        return set()
    middle = (min(s.top for s in level) + max(s.bottom for s in level)) / 2
    found = set()
    for note in level:
        if note.middle < middle or not marks.starts_footnote(note.text):
            continue
        below = [s for s in level if s.top >= note.top and s.left < note.right and s.right > note.left]
        symbol = marks.symbol_of_note(note.text)
        referred = symbol and any(symbol in s.text and s.middle < note.top for s in level)
        if referred or max(note.height, line_height(below)) <= SMALL * height:
            found.add(note)
    return found


def with_figures(segments: Sequence[Segment], labels: Labels) -> tuple[Segment, ...]:
    """The segments of a page with strips of figures in the place of what stands in them."""
    left = list(segments)
    characters = sum(len(segment.text) for segment in left)
    if characters < LEAST_TEXT:
        return tuple(left)
    height = line_height(left)
    found: list[Segment] = []
    for region in labels.separate("figure", FIGURE):
        inside = labels.within(region, left)
        # Not a figure: what holds a table, much of the page's text, or running text.
        if any(isinstance(segment, TableStrip) for segment in inside):
            continue
        lines = rows(segment for segment in inside if not segment.is_vertical)
        is_running_text = len(lines) > 2 and text_width(lines) >= COLUMN_WIDTH * height
        if is_running_text or sum(len(segment.text) for segment in inside) > MOST_TEXT * characters:
            continue
        corners = region.x0, region.y0, region.x1, region.y1
        box = Box(*(round(each * labels.pt_per_unit, 2) for each in corners))  # as the dataset keeps it
        figure = Figure(box, tuple(inside))
        text, tops = strips(*corners, height)
        words = (PlacedWord(text, region.x0, region.x1, ()),)
        found += [FigureStrip(words, top, top + height, left[0].line, figure=figure) for top in tops]
        left = [segment for segment in left if segment not in inside]
    return (*left, *found)

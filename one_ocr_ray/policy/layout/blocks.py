"""From the rows of one column to drafts of blocks: headings, paragraphs, list items, code and tables.

Typography decides, not language: gaps, indents, line heights, markers, and whether the next word would still have
fitted on the line before. Thresholds are multiples of the page's usual line height.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout import marks
from one_ocr_ray.policy.layout.drafts import Draft
from one_ocr_ray.policy.layout.geometry import VERTICAL_RATIO, Row, Segment, line_height, rows
from one_ocr_ray.policy.layout.grid import Table
from one_ocr_ray.policy.layout.tables import find_tables
from one_ocr_ray.policy.layout.text import is_cjk, is_hyphenated, join_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

# Multiples of the line height.
LARGE = 1.2  # a line this much taller than the page's text may be a heading
LARGE_NUMBERED = 1.1  # the same for a line that starts with a section number
INDENT = 0.6
HANGING = 5.0  # the text of a list item hangs at most this far in
PARAGRAPH_GAP = 0.35  # more than this above the usual gap parts two paragraphs
FULL = 2.0  # a line that ends this near to the right margin fills its column
SLACK = 0.5  # room that is left over even on a full line

HEADING_LINES = 3
HEADING_CHARS = 120
LEVEL_1, LEVEL_2 = 1.8, 1.5  # the height of a first and second level heading against the page's text


@dataclass(frozen=True, slots=True)
class Line:
    """One row of text in one column."""

    row: Row
    text: str
    top: float
    bottom: float

    @property
    def left(self) -> float:
        return self.row[0].left

    @property
    def right(self) -> float:
        return self.row[-1].right

    @property
    def height(self) -> float:
        return max(self.row, key=lambda s: s.width).height

    @property
    def is_tall(self) -> bool:
        return self.height >= VERTICAL_RATIO * (self.right - self.left)

    @property
    def first_word_width(self) -> float:
        """What would have had to fit on the line above: all up to the first place where a line may break."""
        word = self.row[0].words[0]
        text = word.text.strip()
        unbroken = next((i for i, char in enumerate(text) if is_cjk(char)), len(text)) or 1
        return (word.right - word.left) * unbroken / len(text)


@dataclass(frozen=True, slots=True)
class _Column:
    """What the lines of one column have in common."""

    height: float  # the page's usual line height
    left: float
    right: float
    gap: float  # usual distance of two lines

    def full(self, line: Line, following: Line) -> bool:
        """Whether `line` ended because the next word did not fit any more."""
        return self.right - line.right < following.first_word_width + SLACK * self.height


def column_drafts(regions: Sequence[Sequence[Segment]], notes: Sequence[Sequence[Segment]] = ()) -> list[Draft]:
    """What stands in each column of `regions` from top to bottom; a note belongs to what it stands beside."""
    height = line_height(segment for region in regions for segment in region)
    parts = [part for region in regions for part in find_tables(rows(region), height)]
    texts = [part if isinstance(part, Table) else [_line(row) for row in part] for part in parts]
    gap = _usual_gap([text for text in texts if not isinstance(text, Table)])
    found: list[Draft] = []
    for text in texts:
        if isinstance(text, Table):
            found.append(Draft(BlockKind.TABLE, "", text.rows, table=text.grid))
        else:
            found += _text_drafts(text, height, gap)
    for note in notes:
        lines = [_line(row) for row in rows(note)]
        beside = min(found, key=lambda draft: draft.distance((lines[0].top + lines[0].bottom) / 2))
        beside.notes.append(_draft(BlockKind.MARGIN_NOTE, join_lines([line.text for line in lines]), lines))
    return found


def _usual_gap(texts: Sequence[Sequence[Line]]) -> float:
    """The distance of the lines within a paragraph: that of a line and the next in most texts, or a small one."""
    gaps = sorted(max(0.0, b.top - a.bottom) for lines in texts for a, b in pairwise(lines))
    return gaps[len(gaps) // 4] if gaps else 0.0


def _line(row: Row) -> Line:
    text = " ".join(segment.text for segment in row)
    return Line(row, text, min(s.top for s in row), max(s.bottom for s in row))


def _text_drafts(lines: Sequence[Line], height: float, gap: float) -> list[Draft]:
    column = _Column(height, min(line.left for line in lines), max(line.right for line in lines), gap)
    chunks: list[list[Line]] = []
    for line in lines:
        if chunks and _continues(chunks[-1], line, column):
            chunks[-1].append(line)
        else:
            chunks.append([line])
    return [_text_draft(chunk, column) for chunk in chunks]


def _draft(kind: BlockKind, text: str, lines: Sequence[Line]) -> Draft:
    return Draft(kind, text, tuple(line.row for line in lines))


def _continues(chunk: Sequence[Line], line: Line, column: _Column) -> bool:
    """Whether `line` belongs to the same block as the lines of `chunk`."""
    last = chunk[-1]
    if line.top - last.bottom > column.gap + PARAGRAPH_GAP * column.height:
        return False
    if marks.starts_item(chunk[0].text) and not _is_heading(chunk, column):
        return not marks.starts_item(line.text) and _continues_item(chunk, line, column)
    if marks.starts_item(line.text) and not (
        column.full(last, line) and line.left < last.left + INDENT * column.height
    ):
        return False
    if _is_large(line, column) or _is_large(last, column):  # the lines of a title need no common margin
        return max(line.height, last.height) < LARGE * min(line.height, last.height)
    return _continues_paragraph(chunk, line, column)


def _continues_item(item: Sequence[Line], line: Line, column: _Column) -> bool:
    indent = INDENT / 2 * column.height
    if item[0].left + indent < line.left < item[0].left + HANGING * column.height:
        return len(item) == 1 or abs(line.left - item[1].left) < 2 * indent
    return line.left > item[0].left - indent and len(item) == 1 and column.full(item[-1], line)


def _continues_paragraph(chunk: Sequence[Line], line: Line, column: _Column) -> bool:
    indent = INDENT * column.height
    first, last = chunk[0], chunk[-1]
    full = column.full(last, line)
    if not full and abs(line.left - last.left) < HANGING * column.height and marks.continues_code(last.text, line.text):
        return True  # indents are part of a listing
    if line.left > last.left + indent:  # a first line's indent, unless this is the second line of a hanging one
        return len(chunk) == 1 and full
    if line.left < last.left - indent:  # back to the margin after a first line's indent
        return len(chunk) == 1 and full
    new_sentence = marks.ends_sentence(last.text) and line.left > column.left + indent
    return full or not (new_sentence and abs(line.left - first.left) < indent)


def _is_large(line: Line, column: _Column) -> bool:
    """Whether a line may be of a heading. A full one, and one of a character or two, has to be taller: a superscript
    or a single ideograph stretches the box as well.
    """
    doubtful = column.right - line.right < FULL * column.height or len(line.text) <= 2
    return line.height > (LEVEL_2 if doubtful else LARGE) * column.height


def _text_draft(chunk: Sequence[Line], column: _Column) -> Draft:
    """A chunk of lines as what it is; the text of a paragraph has line ends where the page breaks lines on purpose."""
    text = join_lines([line.text for line in chunk])
    if _is_heading(chunk, column):
        ratio = max(line.height for line in chunk) / column.height
        level = 3 - (ratio >= LEVEL_2) - (ratio >= LEVEL_1)
        return replace(_draft(BlockKind.HEADING, text, chunk), level=level)
    if item := marks.split_item(text):
        draft = _draft(BlockKind.LIST_ITEM, item[1], chunk)
        return replace(draft, marker=item[0], indent=chunk[0].left / column.height)
    if len(chunk) > 1 and not _broken_on_purpose(chunk, column):
        return _draft(BlockKind.PARAGRAPH, text, chunk)
    if 2 * sum(marks.looks_like_code(line.text) for line in chunk) >= len(chunk):
        return _draft(BlockKind.CODE, _indented(chunk), chunk)
    return _draft(BlockKind.PARAGRAPH, "\n".join(line.text for line in chunk), chunk)


def _is_heading(chunk: Sequence[Line], column: _Column) -> bool:
    """Whether a few short lines are taller than the text, or one is a little taller and starts with a number."""
    text = " ".join(line.text for line in chunk)
    if any(line.is_tall for line in chunk):  # a part of a table or a label that is turned
        return False
    if len(chunk) > HEADING_LINES or len(text) > HEADING_CHARS or not marks.has_words(text) or marks.is_bulleted(text):
        return False
    if all(_is_large(line, column) for line in chunk):
        return True
    return len(chunk) == 1 and chunk[0].height > LARGE_NUMBERED * column.height and marks.is_section_title(text)


def _broken_on_purpose(chunk: Sequence[Line], column: _Column) -> bool:
    """Whether most lines end where the next word would have fitted: an address, a poem, a listing."""
    right = max(line.right for line in chunk)
    wide = 2 * (right - min(line.left for line in chunk)) > column.right - column.left
    has_margin = wide and sum(right - line.right < column.height for line in chunk) > 1
    margins = replace(column, right=right) if has_margin else column
    short = sum(not margins.full(a, b) and not is_hyphenated(a.text) for a, b in pairwise(chunk))
    return 2 * short >= len(chunk) > 1


def _indented(chunk: Sequence[Line]) -> str:
    """The lines of a listing with their indents as spaces of the listing's own character width."""
    left = min(line.left for line in chunk)
    longest = max(chunk, key=lambda line: len(line.text))
    char_width = (longest.right - longest.left) / len(longest.text)
    return "\n".join(" " * round((line.left - left) / char_width) + line.text for line in chunk)

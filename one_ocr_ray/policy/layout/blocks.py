"""From the rows of one column to blocks: headings, paragraphs, list items, code and tables.

Typography decides, not language: gaps, indents, line heights, markers, and whether the next word would still have
fitted on the line before. Lengths are pixels; thresholds are multiples of the page's usual line height.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout import marks
from one_ocr_ray.policy.layout.geometry import VERTICAL_RATIO, Row, Segment, line_height, rows
from one_ocr_ray.policy.layout.tables import Table, find_tables
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
class Heading:
    level: int  # 1-3
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text in one line; more than one line where the page breaks lines on purpose."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListItem:
    marker: str  # "-" or a number with its "." or ")"
    indent: float  # of its left edge, in line heights
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    lines: tuple[str, ...]


Block = Heading | Paragraph | ListItem | Code | Table


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


@dataclass(frozen=True, slots=True)
class _Placed:
    """A block with its extent from top to bottom of the page, and the notes beside it."""

    block: Block
    top: float
    bottom: float
    notes: list[Paragraph]

    def distance(self, y: float) -> float:
        return max(0.0, self.top - y, y - self.bottom)


def page_blocks(regions: Sequence[Sequence[Segment]], notes: Sequence[Sequence[Segment]] = ()) -> list[Block]:
    """The blocks of a page, of each column in `regions` from top to bottom; a note comes after the block beside it."""
    height = line_height(segment for region in regions for segment in region)
    columns = [_parts(region, height) for region in regions]
    texts = [part for column in columns for part, _ in column if not isinstance(part, Table)]
    gap = _usual_gap(texts)
    found: list[_Placed] = []
    for part, extent in (part for column in columns for part in column):
        found += [_Placed(part, *extent, [])] if isinstance(part, Table) else _text_blocks(part, height, gap)
    for note in notes:
        lines = [_line(row) for row in rows(note)]
        beside = min(found, key=lambda placed: placed.distance((lines[0].top + lines[0].bottom) / 2))
        beside.notes.append(Paragraph((join_lines([line.text for line in lines]),)))
    return [block for placed in found for block in (placed.block, *placed.notes)]


def _parts(region: Sequence[Segment], height: float) -> list[tuple[Table | list[Line], tuple[float, float]]]:
    """The tables of a column and the lines between them, each with its top and bottom."""
    found: list[tuple[Table | list[Line], tuple[float, float]]] = []
    page, start = rows(region), 0
    for part in find_tables(page, height):
        end = start + len(part.rows if isinstance(part, Table) else part)
        lines = [_line(row) for row in page[start:end]]
        extent = min(line.top for line in lines), max(line.bottom for line in lines)
        found.append((part if isinstance(part, Table) else [_line(row) for row in part], extent))
        start = end
    return found


def _usual_gap(texts: Sequence[Sequence[Line]]) -> float:
    """The distance of the lines within a paragraph: that of a line and the next in most texts, or a small one."""
    gaps = sorted(max(0.0, b.top - a.bottom) for lines in texts for a, b in pairwise(lines))
    return gaps[len(gaps) // 4] if gaps else 0.0


def _line(row: Row) -> Line:
    text = " ".join(segment.text for segment in row)
    return Line(row, text, min(s.top for s in row), max(s.bottom for s in row))


def _text_blocks(lines: Sequence[Line], height: float, gap: float) -> list[_Placed]:
    column = _Column(height, min(line.left for line in lines), max(line.right for line in lines), gap)
    chunks: list[list[Line]] = []
    for line in lines:
        if chunks and _continues(chunks[-1], line, column):
            chunks[-1].append(line)
        else:
            chunks.append([line])
    return [
        _Placed(_block(chunk, column), min(line.top for line in chunk), max(line.bottom for line in chunk), [])
        for chunk in chunks
    ]


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


def _block(chunk: Sequence[Line], column: _Column) -> Block:
    text = join_lines([line.text for line in chunk])
    if _is_heading(chunk, column):
        ratio = max(line.height for line in chunk) / column.height
        return Heading(3 - (ratio >= LEVEL_2) - (ratio >= LEVEL_1), text)
    if item := marks.split_item(text):
        return ListItem(item[0], chunk[0].left / column.height, item[1])
    if len(chunk) > 1 and not _broken_on_purpose(chunk, column):
        return Paragraph((text,))
    if 2 * sum(marks.looks_like_code(line.text) for line in chunk) >= len(chunk):
        return Code(_indented(chunk))
    return Paragraph(tuple(line.text for line in chunk))


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


def _indented(chunk: Sequence[Line]) -> tuple[str, ...]:
    """The lines of a listing with their indents as spaces of the listing's own character width."""
    left = min(line.left for line in chunk)
    longest = max(chunk, key=lambda line: len(line.text))
    char_width = (longest.right - longest.left) / len(longest.text)
    return tuple(" " * round((line.left - left) / char_width) + line.text for line in chunk)

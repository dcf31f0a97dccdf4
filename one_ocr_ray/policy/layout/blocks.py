"""From the rows of one column to drafts of blocks: headings, paragraphs, list items, code and tables.

Typography decides, not language: gaps, indents, line heights, markers, and whether the next word would still have
fitted on the line before. Thresholds are multiples of the page's usual line height.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.drafts import Draft
from one_ocr_ray.policy.layout.geometry import line_height, rows
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.kinds.classify import Figure, FigureStrip, is_typeset
from one_ocr_ray.policy.layout.kinds.formulas import latex
from one_ocr_ray.policy.layout.kinds.headings import heading_level, is_full, is_heading, is_label, is_large
from one_ocr_ray.policy.layout.lines import Column, Line, are_centred
from one_ocr_ray.policy.layout.tables.grid import PrintedTable
from one_ocr_ray.policy.layout.tables.unruled import find_tables
from one_ocr_ray.policy.layout.text import is_hyphenated, join_lines
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from one_ocr_ray.policy.layout.geometry import Row, Segment

_Part = PrintedTable | Figure | list[Line]

# Multiples of the line height.
INDENT = 0.6
HANGING = 5.0  # the text of a list item hangs at most this far in
BLANK_LINE = 2.0  # a listing goes on after a smaller gap
SAME_SIZE = 1.25  # heights of two lines in one size of type differ by less
TITLE_GAP = 0.5  # between the parts of one title
PARAGRAPH_GAP = 0.35  # more than this above the usual gap parts two paragraphs
WIDEST_GAP = 2.0  # the usual gap at most: two rows alone, at the head and the foot of a sheet, are no paragraph

MANY, MOST_RUN_OUT = 10, 20  # lines of which one runs out; that do at most
JUSTIFIED, SAME_END = 3, 0.25  # lines that end alike; what that is, in line heights
SHORT = 0.65  # of a column's width: lines that are wrapped fill more


def column_drafts(regions: Sequence[Sequence[Segment]], notes: Sequence[Sequence[Segment]] = ()) -> list[Draft]:
    """What stands in each column of `regions` from top to bottom; a note belongs to what it stands beside."""
    page = [segment for region in regions for segment in region]
    text = [segment for segment in page if segment.kind is not BlockKind.CODE]
    height = line_height(text or page)
    # Each with the width of its column. The strips of a table or figure may lie in several columns: the first counts.
    by_identity: dict[int, tuple[_Part, float]] = {}
    for region in regions:
        width = max(s.right for s in region) - min(s.left for s in region)
        for part in _parts(region, height):
            by_identity.setdefault(id(part), (part, width))
    parts = by_identity.values()
    # The distance of the lines within a paragraph: that of a line and the next in most texts, or a small one.
    gaps = sorted(max(0.0, b.top - a.bottom) for part, _ in parts if isinstance(part, list) for a, b in pairwise(part))
    gap = min(gaps[len(gaps) // 4], WIDEST_GAP * height) if gaps else 0.0
    found: list[Draft] = []
    for part, width in parts:
        if isinstance(part, PrintedTable):
            found.append(Draft(BlockKind.TABLE, "", part.rows, table=part.grid, box=part.box))
        elif isinstance(part, Figure):
            lines_inside = rows(part.inside)
            text_inside = " ".join(segment.text for row in lines_inside for segment in row)
            found.append(Draft(BlockKind.FIGURE, text_inside, lines_inside, box=part.box))
        else:
            found += _text_drafts(part, height, gap, width)
    found = _titles_joined(found, height)
    for note in notes:
        lines = [Line.of(row) for row in rows(note)]
        beside = min(found, key=lambda draft: draft.distance((lines[0].top + lines[0].bottom) / 2))
        beside.notes.append(_draft(BlockKind.MARGIN_NOTE, join_lines([line.text for line in lines]), lines))
    return found


def _titles_joined(drafts: Sequence[Draft], height: float) -> list[Draft]:
    """`drafts` with the parts of a title in one: those in two sizes of type, the smaller close below the larger."""
    found: list[Draft] = []
    for draft in drafts:
        title = found[-1] if found else None
        if title is None or not (title.level == draft.level == 1 and title.kind is draft.kind):
            found.append(draft)
            continue
        above, below = ([s for row in each.rows for s in row] for each in (title, draft))
        is_near = title.bottom < draft.bottom and draft.top - title.bottom < TITLE_GAP * height
        starts = max(min(s.left for s in each) for each in (above, below))
        is_beside = starts >= min(max(s.right for s in each) for each in (above, below))
        if is_near and not is_beside and _type_size(above) > SAME_SIZE * _type_size(below):
            found[-1] = replace(title, text=f"{title.text} {draft.text}", rows=(*title.rows, *draft.rows))
        else:
            found.append(draft)
    return found


def _type_size(segments: Iterable[Segment]) -> float:
    """The usual height of the words, which a large initial or number among them does not raise."""
    boxes = [printed.box for s in segments for word in s.words for printed in word.printed]
    return median(box.y1 - box.y0 for box in boxes)


def _parts(region: Sequence[Segment], height: float) -> list[_Part]:
    """The tables and figures of a column and the text between them. A line whose kind is known is in no table."""
    parts: list[_Part] = []
    for key, group in groupby(_pieces(region), lambda p: p if isinstance(p, Figure) else any(s.kind for s in p)):
        if isinstance(key, Figure):
            parts.append(key)
            continue
        page = tuple(piece for piece in group if not isinstance(piece, Figure))
        for text in [page] if key else find_tables(page, height):
            if isinstance(text, PrintedTable):
                parts.append(text)
            elif parts and isinstance(parts[-1], list):
                parts[-1] += [Line.of(row) for row in text]
            else:
                parts.append([Line.of(row) for row in text])
    return parts


def _pieces(region: Sequence[Segment]) -> Iterator[Row | Figure]:
    """The rows of a column; a figure stands where its first strip does, before what is beside it."""
    seen: list[Figure] = []
    for row in rows(region):
        for segment in row:
            if isinstance(segment, FigureStrip) and segment.figure not in seen:
                seen.append(segment.figure)
                yield segment.figure
        if text := tuple(segment for segment in row if not isinstance(segment, FigureStrip)):
            yield text


def _text_drafts(lines: Sequence[Line], height: float, gap: float, width: float) -> list[Draft]:
    left, right = min(line.left for line in lines), _right_margin(lines, height)
    is_in_middle = are_centred(lines, (left + right) / 2, height)
    column = Column(height, left, right, gap, width, is_in_middle, is_lone=len(lines) == 1)
    chunks = runs(lines, lambda chunk, line: _continues(chunk, line, column))
    drafts = [_text_draft(chunk, column) for chunk in chunks]
    for at, (chunk, following) in enumerate(pairwise(chunks)):
        if drafts[at].kind is BlockKind.HEADING and is_label(chunk, following, column):
            drafts[at] = replace(drafts[at], kind=BlockKind.PARAGRAPH, level=None)
    return drafts


def _right_margin(lines: Sequence[Line], height: float) -> float:
    """Where full lines end: right of it ends no line, or one of many that runs out of its column."""
    rights = sorted((line.right for line in lines), reverse=True)
    for right in rights[1 : 1 + min(len(rights) // MANY, MOST_RUN_OUT)]:
        ends = sum(abs(other - right) < SAME_END * height for other in rights)
        if rights[0] - right > height and ends >= max(JUSTIFIED, len(rights) // MANY):
            return right
    return rights[0]


def _draft(kind: BlockKind, text: str, lines: Sequence[Line]) -> Draft:
    return Draft(kind, text, tuple(line.row for line in lines))


def _continues(chunk: Sequence[Line], line: Line, column: Column) -> bool:
    """True if `line` belongs to the same block as the lines of `chunk`."""
    last = chunk[-1]
    if line.kind is chunk[0].kind is BlockKind.CODE:
        return line.top - last.bottom < BLANK_LINE * column.height
    indent = INDENT * column.height
    is_next_term = line.is_term and (line.left < last.left - indent or not column.full(last, line))
    if line.top - last.bottom > column.gap + PARAGRAPH_GAP * column.height or _differs(chunk, line, column):
        return False
    explains = chunk[0].is_term and line.left > chunk[0].left + indent and column.full(last, line)
    if explains or (marks.starts_item(chunk[0].text) and not is_heading(chunk, column)):
        return not marks.starts_item(line.text) and _continues_item(chunk, line, column)
    if is_next_term or (
        marks.starts_item(line.text) and not (column.full(last, line) and line.left < last.left + indent)
    ):
        return False
    if is_large(line, column) or is_large(last, column):  # the lines of a title need no common margin
        return max(line.height, last.height) < SAME_SIZE * min(line.height, last.height)
    return _continues_paragraph(chunk, line, column)


def _differs(chunk: Sequence[Line], line: Line, column: Column) -> bool:
    """True if `line` is of another kind than `chunk`, or one of them is a heading by its type alone."""
    last = chunk[-1]
    if line.kind is not None or chunk[0].kind in {BlockKind.FORMULA, BlockKind.CODE}:
        return line.kind is not chunk[0].kind or marks.starts_caption(line.text) or marks.starts_footnote(line.text)
    if last.is_bold == line.is_bold:
        return False
    is_long = 2 * (last.right - last.left) > column.right - column.left
    if last.is_bold and (line.starts_bold or (is_long and line.text[0].islower())):  # bold type runs into the text
        return False
    return not is_full(last, column) or (line.is_bold and not is_full(line, column))


def _continues_item(item: Sequence[Line], line: Line, column: Column) -> bool:
    indent = INDENT / 2 * column.height
    if item[0].left + indent < line.left < item[0].left + HANGING * column.height:
        return len(item) == 1 or abs(line.left - item[1].left) < 2 * indent
    return line.left > item[0].left - indent and len(item) == 1 and column.full(item[-1], line)


def _continues_paragraph(chunk: Sequence[Line], line: Line, column: Column) -> bool:
    indent = INDENT * column.height
    first, last = chunk[0], chunk[-1]
    if column.is_centred([*chunk, line]) and not (last.is_bold and line.is_bold):  # bold ones may be titles
        return True
    full = column.full(last, line)
    if not full and abs(line.left - last.left) < HANGING * column.height and marks.continues_code(last.text, line.text):
        return True  # indents are part of a listing
    if line.left > last.left + indent:  # a first line's indent, unless this is the second line of a hanging one
        return len(chunk) == 1 and full
    if line.left < last.left - indent:  # back to the margin after a first line's indent
        return len(chunk) == 1 and full
    new_sentence = marks.ends_sentence(last.text) and line.left > column.left + indent
    return full or not (new_sentence and abs(line.left - first.left) < indent)


def _text_draft(chunk: Sequence[Line], column: Column) -> Draft:
    """A chunk of lines as what it is; the text of a paragraph has line ends where the page breaks lines on purpose."""
    text = join_lines([line.text for line in chunk])
    kind = chunk[0].kind
    if kind is BlockKind.HEADING or (kind is None and is_heading(chunk, column)):
        return replace(_draft(BlockKind.HEADING, text, chunk), level=heading_level(chunk, column))
    if kind:
        if kind is BlockKind.FORMULA:
            text = "\n".join(_latex(line) for line in chunk)
        return _draft(kind, _indented(chunk) if kind is BlockKind.CODE else text, chunk)
    if item := marks.split_item(text):
        draft = _draft(BlockKind.LIST_ITEM, item[1], chunk)
        return replace(draft, marker=item[0], indent=chunk[0].left / column.height)
    if len(chunk) > 1 and not _broken_on_purpose(chunk, column):
        return _draft(BlockKind.PARAGRAPH, text, chunk)
    if 2 * sum(marks.looks_like_code(line.text) for line in chunk) >= len(chunk):
        return _draft(BlockKind.CODE, _indented(chunk), chunk)
    return _draft(BlockKind.PARAGRAPH, "\n".join(line.text for line in chunk), chunk)


def _latex(line: Line) -> str:
    """A line of a formula, with what is raised where its type tells."""
    if not any(is_typeset(segment) for segment in line.row):
        return latex(line.text)
    return r" \quad ".join(s.line.latex or "" if is_typeset(s) else latex(f" {s.text}").strip() for s in line.row)


def _broken_on_purpose(chunk: Sequence[Line], column: Column) -> bool:
    """True if most lines end where the next word would have fitted: an address, a poem, a listing."""
    if all(marks.is_index_entry(line.text) for line in chunk):
        return True
    # Each line is a label and, apart from it, its value, the values below each other.
    values = [line.row[1].left for line in chunk if len(line.row) == 2]
    if len(values) == len(chunk) and max(values) - min(values) < INDENT * column.height:
        return True
    # Lines that fill little of their column each begin like a line of its own, as those of a receipt do.
    starts = [line.text[0] for line in chunk]
    is_short = max(line.right - line.left for line in chunk) < SHORT * column.width
    if is_short and all(c.isupper() or c.isdecimal() for c in starts) and any(c.isupper() for c in starts):
        return True
    right = max(line.right for line in chunk)
    wide = 2 * (right - min(line.left for line in chunk)) > column.right - column.left
    has_margin = wide and sum(right - line.right < column.height for line in chunk) > 1
    margins = replace(column, right=right) if has_margin else column
    full = column.full_in_middle if column.is_centred(chunk) else margins.full
    short = sum(not full(a, b) and not is_hyphenated(a.text) for a, b in pairwise(chunk))
    return 2 * short >= len(chunk) > 1


def _indented(chunk: Sequence[Line]) -> str:
    """The lines of a listing with their indents as spaces of the listing's own character width."""
    left = min(line.left for line in chunk)
    longest = max(chunk, key=lambda line: len(line.text))
    char_width = (longest.right - longest.left) / len(longest.text)
    pitch = median([b.bottom - a.bottom for a, b in pairwise(chunk)] or [1.0])
    text = " " * round((chunk[0].left - left) / char_width) + chunk[0].text
    for above, line in pairwise(chunk):
        ends = max(1, round((line.bottom - above.bottom) / pitch))
        text += "\n" * ends + " " * round((line.left - left) / char_width) + line.text
    return text

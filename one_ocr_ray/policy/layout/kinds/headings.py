"""Which lines are headings, and of which level: large type, bold type on lines of its own, numbers of sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.text import is_cjk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.lines import Column, Line

# Multiples of the line height.
LARGE = 1.2  # a line this much taller than the page's text may be a heading
LARGE_NUMBERED = 1.1  # the same for a line that starts with a section number
NOT_SMALL = 0.8  # a bold line of at least this height may be one
FULL = 2.0  # a line that ends this near to the right margin fills its column
LEVEL_1, LEVEL_2 = 1.8, 1.5  # the height of a first and second level heading against the page's text
BOX_EDGE, BOX_INDENT = 0.3, 2.5  # a remark's label from the text's margin, its text from the label

LABEL_WORDS = 2
HEADING_LINES = 3
BOLD_LINES = 2
TALL_CHARS = 4
HEADING_CHARS = 120


def is_large(line: Line, column: Column) -> bool:
    """True if a line may be of a heading. A full one, and one of a character or two, has to be taller: a superscript
    or a single ideograph stretches the box as well.
    """
    in_text = line.left < (column.left + column.right) / 2  # and not set at the right margin
    doubtful = (in_text and is_full(line, column)) or len(line.text) <= 2
    return line.height > (LEVEL_2 if doubtful else LARGE) * column.height


def is_full(line: Line, column: Column) -> bool:
    return column.right - line.right < FULL * column.height


def is_heading(chunk: Sequence[Line], column: Column) -> bool:
    """True if a few short lines are tall or bold, or one is a little taller and numbered."""
    text = " ".join(line.text for line in chunk)
    if any(line.is_tall for line in chunk):  # a part of a table or a label that is turned, or a title written downwards
        return (
            len(chunk) == 1
            and len(text) >= TALL_CHARS
            and is_cjk(text[0])
            and _width(chunk[0]) > LEVEL_2 * column.height
        )
    if any(segment.line.latex for line in chunk for segment in line.row):
        return False
    if len(chunk) > HEADING_LINES or len(text) > HEADING_CHARS or not marks.has_words(text) or marks.is_bulleted(text):
        return False
    if all(is_large(line, column) for line in chunk):
        return (
            not (marks.ends_sentence(text) or text.endswith((":", "：")))
            or max(line.height for line in chunk) > LEVEL_2 * column.height
        )
    if _is_bold_heading(chunk, column):
        return True
    return len(chunk) == 1 and chunk[0].height > LARGE_NUMBERED * column.height and marks.is_section_title(text)


def _width(line: Line) -> float:
    return line.right - line.left


def _is_bold_heading(chunk: Sequence[Line], column: Column) -> bool:
    """True if bold lines are a heading: no sentence, no label with its value beside it, no remark, no full line."""
    text = chunk[-1].text

    def starts_with_number(line: Line) -> bool:
        first = line.row[0].text
        return marks.is_marker(first) or (len(line.row) == 2 and marks.is_chapter_label(first))

    return (
        len(chunk) <= BOLD_LINES
        and all(line.is_bold and line.height >= NOT_SMALL * column.height for line in chunk)
        and not (marks.ends_sentence(text) or text.endswith((",", ";", ":", "：", "，")))
        and not (text[0] in "(（" and text[-1] in ")）")
        and all(len(line.row) == 1 or starts_with_number(line) for line in chunk)
        and (column.is_lone or not is_full(chunk[-1], column))
    )


def is_label(chunk: Sequence[Line], following: Sequence[Line], column: Column) -> bool:
    """True if what looks like a heading belongs to what follows alone: the title of a listing, of a remark in a box.

    Such a listing has a title in bold type of the text's size; a remark stands well to the right of its "Note".
    """
    title, text = chunk[0], following[0]
    if max(line.height for line in chunk) > LEVEL_2 * column.height or marks.is_section_title(title.text):
        return False
    if text.kind is BlockKind.CODE:
        return not any(is_large(line, column) for line in chunk)
    boxed = column.left + BOX_EDGE * column.height < title.left < text.left - BOX_INDENT * column.height
    return boxed and text.kind is None and len(title.text.split()) <= LABEL_WORDS


def heading_level(chunk: Sequence[Line], column: Column) -> int:
    """1 to 6: by the size of its type; where that is near the text's, by its section number."""
    ratio = max(min(line.height, _width(line)) for line in chunk) / column.height
    if ratio >= LEVEL_2:
        return 1 if ratio >= LEVEL_1 else 2
    if depth := marks.section_depth(chunk[0].text):
        return min(depth + 1, 6)
    return 3 if ratio > LARGE else 4

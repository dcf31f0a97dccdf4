"""Joins paragraphs and tables that go on at the top of the next page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.text import is_cjk, is_hyphenated

if TYPE_CHECKING:
    from one_ocr_ray.policy.document.pieces import Piece

LINE = 24  # characters: less is no line of running text
LONG = 60  # characters: a paragraph that ends without a full stop, so not a label or a line of verse
SAME_EDGE_PT = 6.0

_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_OPEN_TABLE = re.compile(r"\s*<table\b[^<>]*>\s*", re.IGNORECASE)
_CLOSED_TABLE = re.compile(r"\s*</table\s*>\s*$", re.IGNORECASE)
_TEXT = (BlockKind.PARAGRAPH, BlockKind.LIST_ITEM)


@dataclass(frozen=True, slots=True)
class Joined:
    """The end of one page and the beginning of the next, as in the document's text."""

    before: str
    joint: str
    after: str
    is_table: bool = False


def joined(last: Piece, before: str, after: Piece) -> Joined | None:
    """The last piece of a page and the first of the next as one. None where they are two.

    `before` is how `last` stands in the text, or how it goes on there, where `last` is a table that began earlier.
    """
    if last.kind is BlockKind.TABLE and after.kind is BlockKind.TABLE:
        one, other = last.box, after.box
        if one and other and max(abs(one.x0 - other.x0), abs(one.x1 - other.x1)) > SAME_EDGE_PT:
            return None  # the tables do not stand under each other
        if last.text.lstrip().startswith("|"):
            return _joined_pipes(last.text, before.rstrip(), after.text.strip())
        closing, opening = _CLOSED_TABLE.search(before), _OPEN_TABLE.match(after.text)
        if closing is None or opening is None or _html_columns(last.text) != _html_columns(after.text):
            return None
        return Joined(before[: closing.start()], "\n", after.text[opening.end() :], is_table=True)
    if last.kind in _TEXT and after.kind is BlockKind.PARAGRAPH:
        return _joined_text(before.rstrip(), after.text.lstrip())
    return None


def _joined_text(before: str, after: str) -> Joined | None:
    last, first = before[-1:], after[:1]
    if len(before) < LINE or not first or marks.starts_item(after) or marks.ends_sentence(before):
        return None
    if is_cjk(last) and is_cjk(first):
        return Joined(before, "", after) if last.isalnum() else None
    if is_hyphenated(before):
        return Joined(before[:-1] if first.islower() else before, "", after)
    broken = last.isalnum() or last in ",;-–—"
    prose = min(len(before), len(after)) >= LONG and "\n" not in before
    if (first.islower() and last not in ":|") or (broken and first.isalpha() and (last == "," or prose)):
        return Joined(before, " ", after)
    return None


def _joined_pipes(table: str, before: str, after: str) -> Joined | None:
    head, *rows = after.split("\n")
    if not head.startswith("|") or not rows or not _RULE.match(rows[0]):
        return None
    first = table.lstrip().split("\n", 1)[0]
    if _columns(first) != _columns(head):
        return None
    rows = rows[1:] if first.split() == head.split() else [head, *rows[1:]]
    return Joined(before, "\n", "\n".join(rows), is_table=True) if rows else None


def _columns(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row.strip()))


def _html_columns(table: str) -> int:
    """The columns of the first row, each cell with its span."""
    row = re.split(r"</tr\s*>", table, maxsplit=1, flags=re.IGNORECASE)[0]
    spans = [re.search(r'colspan="?(\d{1,3})', cell) for cell in re.findall(r"<t[dh]\b[^<>]*>", row, re.IGNORECASE)]
    return sum(int(span[1]) if span else 1 for span in spans)

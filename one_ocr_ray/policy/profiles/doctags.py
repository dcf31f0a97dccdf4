"""Reads DocTags: `<section_header_level_1><loc_9><loc_9><loc_99><loc_19>Text</section_header_level_1>`, tables as OTSL.

Source: docling-core's DocTags and "Optimized Table Tokenization for Table Structure Recognition" (2023).
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.profiles.pieces import MOST_PIECES, NamedPiece, shares, with_content

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAG = re.compile(r"<(/?)([a-z][a-z_0-9]{0,40})>")
_PLACE = re.compile(r"loc_(\d{1,4})\Z")
_HEADING = re.compile(r"section_header_level_(\d)\Z")
_KINDS = {
    "text": BlockKind.PARAGRAPH,
    "paragraph": BlockKind.PARAGRAPH,
    "title": BlockKind.HEADING,
    "list_item": BlockKind.LIST_ITEM,
    "code": BlockKind.CODE,
    "formula": BlockKind.FORMULA,
    "caption": BlockKind.CAPTION,
    "footnote": BlockKind.FOOTNOTE,
    "page_header": BlockKind.PAGE_HEADER,
    "page_footer": BlockKind.PAGE_FOOTER,
    "picture": BlockKind.FIGURE,
    "chart": BlockKind.FIGURE,
    "otsl": BlockKind.TABLE,
}
_CELLS = frozenset({"fcel", "ecel", "lcel", "ucel", "xcel", "ched", "rhed", "srow", "nl"})


def pieces(text: str, grid: tuple[float, float]) -> list[NamedPiece] | None:
    """The elements in their order. The last one of an answer that was cut off as far as it goes. None: no element."""
    found: list[NamedPiece] = []
    tags = list(_TAG.finditer(text))
    at = 0
    while at < len(tags) and len(found) < MOST_PIECES:
        name = tags[at][2]
        heading = _HEADING.match(name)
        kind = BlockKind.HEADING if heading else _KINDS.get(name)
        if tags[at][1] or kind is None:
            at += 1
            continue
        end = at + 1
        while end < len(tags) and not (tags[end][1] and tags[end][2] == name) and _is_inside(tags[end], kind):
            end += 1
        places = [int(place[1]) for tag in tags[at + 1 : end] if (place := _PLACE.match(tag[2]))][:4]
        content = text[tags[at].end() : tags[end].start() if end < len(tags) else len(text)]
        piece_text = _table(content) if kind is BlockKind.TABLE else _TAG.sub("", content).strip()
        level = min(6, int(heading[1]) + 1) if heading else 1
        found.append(NamedPiece(kind, piece_text, shares(places, *grid), level))
        at = end
    return found or None


def _is_inside(tag: re.Match[str], kind: BlockKind) -> bool:
    """True for DocTags inside an element: a place, a cell, a language, a picture's class."""
    name = tag[2]
    return (
        _PLACE.match(name) is not None
        or name in _CELLS
        or (name not in _KINDS and not _HEADING.match(name) and not tag[1])
    )


def _table(otsl: str) -> str:
    """The HTML of a table in OTSL. `lcel` extends the cell on its left, `ucel` the one above, `xcel` both."""
    rows: list[list[tuple[str, str]]] = [[]]
    tags = [tag for tag in _TAG.finditer(otsl) if tag[2] in _CELLS and not tag[1]]
    for tag, inside in with_content(otsl, tags):
        if tag[2] == "nl":
            rows.append([])
        else:
            rows[-1].append((tag[2], _TAG.sub("", inside).strip()))
    rows = [row for row in rows if row]
    lines = ["<table>"]
    for number, row in enumerate(rows):
        cells = [_cell(rows, number, col) for col, (kind, _) in enumerate(row) if kind not in ("lcel", "ucel", "xcel")]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def _cell(rows: Sequence[Sequence[tuple[str, str]]], row: int, col: int) -> str:
    kind, text = rows[row][col]
    wide = 1
    while col + wide < len(rows[row]) and rows[row][col + wide][0] == "lcel":
        wide += 1
    high = 1
    while row + high < len(rows) and col < len(rows[row + high]) and rows[row + high][col][0] == "ucel":
        high += 1
    name = "th" if kind in ("ched", "rhed") else "td"
    spans = (f' colspan="{wide}"' if wide > 1 else "") + (f' rowspan="{high}"' if high > 1 else "")
    return f"<{name}{spans}>{escape(text, quote=False)}</{name}>"

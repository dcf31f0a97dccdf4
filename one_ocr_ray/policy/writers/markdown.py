"""Writing blocks as Markdown, with as few backslashes as its meaning allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import Block, TableGrid

HARD_BREAK = "  \n"

# At the start of a line these would begin a heading, quote, list, rule or fence.
_LINE_START = re.compile(r"#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|(?:-{3,}|={3,}|\*{3,}|_{3,})$|```|~~~")
_NUMBER_START = re.compile(r"^(\d{1,9})(?=[.)]\s)")
# In a line: a tag, an entity, a backslash before punctuation, a pair of emphasis marks, a code span, a link.
_INLINE = re.compile(
    r"<(?=[A-Za-z/!?])|&(?=#?\w{1,31};)|\\(?=[!-/:-@\[-`{-~])|`(?=[^`]+`)|\](?=\()"
    r"|(?<!\w)_(?=\w[^_]*_(?!\w))"
    r"|(?:(?<![\w*])|(?<=\w)(?=\*+\w))\*{1,3}(?=[^\s*].*?(?:(?<=\w)\*|(?<=[^\w\s*])\*(?!\w)))"
)


def to_markdown(blocks: Iterable[Block]) -> str:
    """The blocks with one blank line between them; the items of a list follow each other without one."""
    parts: list[str] = []
    indents: list[int] = []  # of the open list items, by depth: spaces before what is nested in them
    was_item = False
    for block in blocks:
        is_item = block.kind is BlockKind.LIST_ITEM
        if parts:
            parts.append("\n" if is_item and was_item else "\n\n")
        if not is_item:
            indents.clear()
        parts.append(_item(block, indents) if is_item else _plain(block))
        was_item = is_item
    return "".join(parts)


def _plain(block: Block) -> str:
    if block.table is not None:
        return _table(block.table)
    if block.kind is BlockKind.HEADING:
        return f"{'#' * (block.level or 1)} {_inline(block.text)}"
    if block.kind is BlockKind.CODE:
        return _code(block.text.split("\n"))
    return HARD_BREAK.join(_escaped(line) for line in block.text.split("\n"))


def _item(item: Block, indents: list[int]) -> str:
    del indents[(item.level or 1) - 1 :]
    spaces = indents[-1] if indents else 0
    marker = item.marker or "-"
    indents.append(spaces + len(marker) + 1)
    return f"{' ' * spaces}{marker} {_escaped(item.text)}"


def _table(grid: TableGrid) -> str:
    places = [[""] * grid.cols for _ in range(grid.rows)]
    for cell in grid.cells:
        places[cell.row][cell.col] = _inline(cell.text).replace("|", "\\|")
    lines = [_table_row(row) for row in places]
    lines.insert(1, _table_row(["---"] * grid.cols))
    return "\n".join(lines)


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(lines: Sequence[str]) -> str:
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join((fence, *lines, fence))


def _escaped(line: str) -> str:
    line = _inline(line)
    if _LINE_START.match(line):
        return "\\" + line
    return _NUMBER_START.sub(r"\1\\", line)


def _inline(text: str) -> str:
    return _INLINE.sub(lambda match: "".join("\\" + char for char in match[0]), text)

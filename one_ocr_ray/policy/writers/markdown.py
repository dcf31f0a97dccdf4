"""Writing blocks as Markdown, with as few backslashes as its meaning allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.writers.html import to_html_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.blocks import Block

HARD_BREAK = "  \n"
BLANK_LINE = "\n\n"

# At the start of a line these would begin a heading, quote, list, rule or fence.
_LINE_START = re.compile(r"#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|(?:-{3,}|={3,}|\*{3,}|_{3,})$|```|~~~")
_MARKER = re.compile(r"[-+*]|\d{1,9}[.)]")
_CLOSING = re.compile(r"(?<=\s)#+$")
_FIGURE_TEXT = re.compile(r"[\[\]<&\\`]")
_NUMBER_START = re.compile(r"^(\d{1,9})(?=[.)]\s)")
# In a line: a tag, an entity, a backslash before punctuation, a pair of emphasis marks, a code span, a link.
_INLINE = re.compile(
    r"<(?=[A-Za-z/!?])|&(?=#?\w{1,31};)|\\(?=[!-/:-@\[-`{-~])|`(?=[^`]+`)|\](?=\()"
    r"|(?<!\w)_(?=\w[^_]*_(?!\w))"
    r"|(?:(?<![\w*])|(?<=\w)(?=\*+\w))\*{1,3}(?=[^\s*].*?(?:(?<=\w)\*|(?<=[^\w\s*])\*(?!\w)))"
)
_INLINE_FIRST = re.compile(r"[<&\\`\]_*]")  # what each of these begins with: most lines have none, and this is quicker


@dataclass(frozen=True, slots=True)
class Written:
    """A block as Markdown, and what stands between it and the one before."""

    block: Block
    text: str
    joint: str = BLANK_LINE


def to_markdown(blocks: Iterable[Block], page_number: int = 1) -> str:
    """The blocks with one blank line between them. The items of a list follow each other without one.

    What belongs to the sheet and not to the text is left out. `page_number` stands in the names of figures.
    """
    parts = [part for each in written(blocks, page_number) for part in (each.joint, each.text)]
    return "".join(parts[1:])


def written(blocks: Iterable[Block], page_number: int) -> list[Written]:
    """Write block by block, without those of which nothing is written."""
    found: list[Written] = []
    indents: list[int] = []  # of the open list items, by depth: spaces before what is nested in them
    for block in blocks:
        if block.kind.is_furniture:
            continue
        if block.kind is not BlockKind.LIST_ITEM:
            indents.clear()
            text = _plain(block, page_number)
            found += [Written(block, text)] if text else []
        elif block.text.strip():
            after_item = bool(found) and found[-1].block.kind is BlockKind.LIST_ITEM
            found.append(Written(block, _item(block, indents), "\n" if after_item else BLANK_LINE))
    return found


def _plain(block: Block, page_number: int) -> str:
    if block.table is not None:
        if block.table.has_spans:
            return to_html_table(block.table)
        rows = [
            _table_row("<br>".join(_inline(line).replace("|", "\\|") for line in text.split("\n")) for text in row)
            for row in block.table.texts()
        ]
        rows.insert(1, _table_row(["---"] * block.table.cols))
        return "\n".join(rows)
    if block.kind is BlockKind.FIGURE:
        text = _FIGURE_TEXT.sub(_escape, " ".join(block.text.split()))
        return f"![{text}]({figure_path(page_number, block.id)})"
    lines = [line for line in block.text.split("\n") if line.strip()]
    if not lines:
        return ""
    match block.kind:
        case BlockKind.HEADING:
            text = f"{'#' * (block.level or 1)} {_CLOSING.sub(_escape, _inline(' '.join(block.text.split())))}"
        case BlockKind.FORMULA:
            text = "\n".join(("$$", *(line.replace("$", r"\$") for line in lines), "$$"))
        case BlockKind.CODE:
            longest = max(map(len, re.findall("`+", block.text)), default=0)
            fence = "`" * max(3, longest + 1)
            text = f"{fence}\n{block.text}\n{fence}"
        case _:
            text = HARD_BREAK.join(map(_escaped, lines))
    return text


def figure_path(page_number: int, block_id: int) -> str:
    """Where the picture of a figure stands beside the Markdown, once figures are exported."""
    return f"figures/p{page_number}-{block_id}.png"


def _item(item: Block, indents: list[int]) -> str:
    del indents[(item.level or 1) - 1 :]
    spaces = indents[-1] if indents else 0
    marker, text = item.marker or "-", item.text
    if not _MARKER.fullmatch(marker):
        marker, text = "-", f"{marker} {text}"
    indents.append(spaces + len(marker) + 1)
    lines = [_escaped(line) for line in text.split("\n") if line.strip()]
    return f"{' ' * spaces}{marker} {(HARD_BREAK + ' ' * indents[-1]).join(lines)}"


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(line: str) -> str:
    line = _inline(line)
    if _LINE_START.match(line):
        return "\\" + line
    return _NUMBER_START.sub(r"\1\\", line)


def _inline(text: str) -> str:
    return _INLINE.sub(_escape, text) if _INLINE_FIRST.search(text) else text


def _escape(match: re.Match[str]) -> str:
    return "".join("\\" + char for char in match[0])

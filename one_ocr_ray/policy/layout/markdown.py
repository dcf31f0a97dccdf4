"""Writing blocks as Markdown, with as few backslashes as its meaning allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.blocks import Block, Code, Heading, ListItem, Paragraph
from one_ocr_ray.policy.layout.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HARD_BREAK = "  \n"
NESTED = 0.4  # of a line height: a list item this much further in belongs to the one above

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
    nesting: list[tuple[float, int]] = []  # of the open items: indent on the page, spaces before what is nested in them
    previous: Block | None = None
    for block in blocks:
        if not isinstance(block, ListItem):
            nesting.clear()
        if previous is not None:
            parts.append("\n" if isinstance(block, ListItem) and isinstance(previous, ListItem) else "\n\n")
        parts.append(_item(block, nesting) if isinstance(block, ListItem) else _plain(block))
        previous = block
    return "".join(parts)


def _plain(block: Heading | Paragraph | Code | Table) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_inline(text)}"
        case Paragraph(lines):
            return HARD_BREAK.join(_escaped(line) for line in lines)
        case Code(lines):
            return _code(lines)
        case Table(rows):
            return _table(rows)


def _item(item: ListItem, nesting: list[tuple[float, int]]) -> str:
    while nesting and item.indent < nesting[-1][0] + NESTED:
        nesting.pop()
    spaces = nesting[-1][1] if nesting else 0
    nesting.append((item.indent, spaces + len(item.marker) + 1))
    return f"{' ' * spaces}{item.marker} {_escaped(item.text)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [_table_row([_inline(cell).replace("|", "\\|") for cell in row]) for row in rows]
    lines.insert(1, _table_row(["---"] * len(rows[0])))
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

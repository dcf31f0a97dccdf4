"""Turns Markdown, of a model's answer or a truth file, into blocks without places.

CommonMark with the tables of GitHub, HTML tables, `$$` formulas and footnotes. Markdown that is none of these is text.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

from one_ocr_ray.blocks import Block, BlockKind, BlockSource, Cell, TableGrid
from one_ocr_ray.policy.layout.drafts import grid_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from markdown_it.token import Token

MOST_CHARACTERS = 64 << 10  # twice the size takes seconds to parse
NESTING = 20  # of lists and quotes
MOST_SPAN = 1_000  # rows or columns; HTML's own limit for columns
MOST_PLACES = 100_000  # rows times columns of a table: a span may claim any number

_PARSER = (
    MarkdownIt("commonmark", {"maxNesting": NESTING})
    .enable("table")
    .disable(["link", "autolink"])
    .use(dollarmath_plugin, allow_labels=False)
    .use(footnote_plugin, inline=False)
)
_LEAVES = {"heading_open", "paragraph_open", "table_open", "html_block", "math_block", "fence", "code_block"}
_TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>|<!--.*?-->", re.DOTALL)


def markdown_blocks(markdown: str, source: BlockSource = BlockSource.LLM) -> tuple[Block, ...]:
    """The blocks of `markdown` in its order, numbered from 1. A text that is too long to parse is paragraphs."""
    if len(markdown) > MOST_CHARACTERS:
        texts = (" ".join(part.split()) for part in markdown.split("\n\n"))
        return tuple(
            Block(number, BlockKind.PARAGRAPH, text, source=source)
            for number, text in enumerate(filter(None, texts), 1)
        )
    found: list[Block] = []
    open_items: list[int] = []  # ids of the list items that the next one may be nested in
    for block in _Walk().blocks(_PARSER.parse(markdown)):
        number, parent = len(found) + 1, None
        del open_items[block.level - 1 if block.kind is BlockKind.LIST_ITEM and block.level else 0 :]
        if block.kind is BlockKind.LIST_ITEM:
            parent = open_items[-1] if open_items else None
            open_items.append(number)
        found.append(replace(block, id=number, parent=parent, source=source))
    return tuple(found)


class _Walk:
    """One walk over a token stream: a block for each leaf. Containers only say how deep a leaf is."""

    def __init__(self) -> None:
        self._lists = 0
        self._marker: str | None = None  # of a list item whose text has not come yet
        self._in_note = False

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        for index, token in enumerate(tokens):
            if token.type in _LEAVES:
                yield from self._leaf(token, tokens[index + 1 :])
            elif token.type in ("bullet_list_open", "ordered_list_open"):
                self._lists += 1
            elif token.type in ("bullet_list_close", "ordered_list_close"):
                self._lists -= 1
            elif token.type == "list_item_open":
                self._marker = f"{token.info}{token.markup}" if token.info else "-"
            elif token.type in ("footnote_open", "footnote_close"):
                self._in_note = token.type == "footnote_open"

    def _leaf(self, token: Token, following: Sequence[Token]) -> Iterator[Block]:
        match token.type:
            case "heading_open":
                yield Block(0, BlockKind.HEADING, _inline(following[0]), level=int(token.tag[1]))
            case "paragraph_open":
                yield self._paragraph(following[0])
            case "table_open":
                yield from _table(_pipe_rows(following))
            case "html_block":
                # The tables of a piece of HTML, and what text is around them.
                end = 0
                for table in _TABLE.finditer(token.content):
                    yield from _html_text(token.content[end : table.start()])
                    reader = _TableReader()
                    reader.feed(table[0])
                    reader.close()
                    yield from _table(reader.rows)
                    end = table.end()
                yield from _html_text(token.content[end:])
            case "math_block":
                yield Block(0, BlockKind.FORMULA, token.content.strip())
            case _:
                yield Block(0, BlockKind.CODE, token.content.rstrip("\n"))

    def _paragraph(self, text: Token) -> Block:
        if self._marker is not None:
            marker, self._marker = self._marker, None
            return Block(0, BlockKind.LIST_ITEM, _inline(text), level=self._lists, marker=marker)
        return _paragraph(text, BlockKind.FOOTNOTE if self._in_note else BlockKind.PARAGRAPH)


def _paragraph(inline: Token, kind: BlockKind) -> Block:
    children = inline.children or []
    if len(children) == 1 and children[0].type == "image":
        return Block(0, BlockKind.FIGURE, children[0].content)
    if len(children) == 1 and children[0].type == "math_inline_double":
        return Block(0, BlockKind.FORMULA, children[0].content.strip())
    return Block(0, kind, _inline(inline))


def _inline(token: Token) -> str:
    """The text of an inline token, without emphasis and tags. A picture is its description."""
    parts = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n" if child.type == "hardbreak" else " ")
        elif child.type == "html_inline":
            parts.append("\n" if child.content.lower().startswith("<br") else "")
        elif child.type != "footnote_ref":
            parts.append(child.content)
    return "".join(parts).strip()


def _pipe_rows(tokens: Sequence[Token]) -> Iterator[list[_Cell]]:
    row: list[_Cell] = []
    for index, token in enumerate(tokens):
        if token.type in ("th_open", "td_open"):
            row.append(_Cell(is_header=token.type == "th_open", parts=[_inline(tokens[index + 1])]))
        elif token.type == "tr_close":
            yield row
            row = []
        elif token.type == "table_close":
            return


def _html_text(content: str) -> Iterator[Block]:
    if text := " ".join(html.unescape(_TAG.sub(" ", content)).split()):
        yield Block(0, BlockKind.PARAGRAPH, text)


@dataclass(slots=True)
class _Cell:
    """A cell as it is written, before it has its place in the grid."""

    is_header: bool
    row_span: int = 1
    col_span: int = 1
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self.parts).split("\n"))
        return "\n".join(line for line in lines if line)


class _TableReader(HTMLParser):
    """The rows of one HTML table. A table inside of a cell is text of that cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[_Cell]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            spans = {
                name: min(int(value[:9]), MOST_SPAN)
                for name, value in attrs
                if value and value.isascii() and value.isdigit() and int(value[:9])
            }
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append(_Cell(tag == "th", spans.get("rowspan", 1), spans.get("colspan", 1)))
            self._in_cell = True
        elif self._in_cell and tag in ("br", "p", "div", "li"):
            self.rows[-1][-1].parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1].parts.append(data)


def _table(written: Iterable[list[_Cell]]) -> Iterator[Block]:
    """The block of a table. None if it has no cell or claims too many places."""
    rows = [row for row in written if row]
    taken: set[tuple[int, int]] = set()
    cells: list[Cell] = []
    for number, row in enumerate(rows):
        col = 0
        for cell in row:
            while (number, col) in taken:
                col += 1
            row_span = min(cell.row_span, len(rows) - number)
            places = {(number + down, col + right) for down in range(row_span) for right in range(cell.col_span)}
            if len(taken) + len(places) > MOST_PLACES:
                return
            taken |= places
            cells.append(Cell(number, col, cell.text, row_span, cell.col_span, is_header=cell.is_header))
            col += cell.col_span
    if cells:
        grid = _filled(cells, len(rows))
        yield Block(0, BlockKind.TABLE, grid_text(grid), table=grid)


def _filled(cells: Sequence[Cell], rows: int) -> TableGrid:
    """The grid of `cells`, with empty ones where a row is too short. Where spans overlap the first cell stays."""
    cols = max(cell.col + cell.col_span for cell in cells)
    taken: set[tuple[int, int]] = set()
    kept: list[Cell] = []
    for cell in cells:
        own = _places(cell)
        fitting = replace(cell, row_span=1, col_span=1) if own & taken else cell
        if not _places(fitting) & taken:
            taken |= _places(fitting)
            kept.append(fitting)
    empty = [Cell(row, col, "") for row in range(rows) for col in range(cols) if (row, col) not in taken]
    headers = {row for row in range(rows) if all(cell.is_header for cell in kept if cell.row == row)}
    header_rows = next((row for row in range(rows) if row not in headers), rows)
    return TableGrid(rows, cols, tuple(sorted([*kept, *empty], key=lambda cell: (cell.row, cell.col))), header_rows)


def _places(cell: Cell) -> set[tuple[int, int]]:
    return {(cell.row + down, cell.col + right) for down in range(cell.row_span) for right in range(cell.col_span)}

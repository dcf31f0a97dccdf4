"""Writing blocks as HTML. All text of the page is escaped: nothing that it says can become a tag or an attribute."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.blocks import Block, TableGrid

_NUMBER = re.compile(r"(\d{1,9})[.)]")
_BULLETS = ("-", "*", "+")
_TAGS = {
    BlockKind.FOOTNOTE: ("aside", ' class="footnote"'),
    BlockKind.MARGIN_NOTE: ("aside", ' class="margin-note"'),
    BlockKind.CAPTION: ("p", ' class="caption"'),
    BlockKind.FORMULA: ("div", ' class="math block"'),
}

_DOCUMENT = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{sections}
</body>
</html>
"""
_STYLE = (
    "body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:1rem/1.6 system-ui,sans-serif}"
    "section+section{border-top:1px solid #bbb;margin-top:2rem;padding-top:1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #999;padding:.2rem .5rem;text-align:start}"
    "pre{white-space:pre-wrap}aside,.caption{font-size:.9em}"
)


def to_html(blocks: Iterable[Block]) -> str:
    """An HTML fragment: an element for each block, lists nested, without the page's furniture."""
    parts: list[str] = []
    items: list[Block] = []
    for block in blocks:
        if block.kind is BlockKind.LIST_ITEM:
            items.append(block)
        elif not block.kind.is_furniture:
            parts += [*_list(items), _element(block)]
            items = []
    return "\n".join(filter(None, [*parts, *_list(items)]))


def to_html_document(title: str, pages: Iterable[Iterable[Block]]) -> str:
    """A whole document, with a section for each page. It loads nothing and runs nothing."""
    sections = "\n".join(f"<section>\n{to_html(blocks)}\n</section>" for blocks in pages)
    return _DOCUMENT.format(title=escape(title), style=_STYLE, sections=sections)


def to_html_table(grid: TableGrid) -> str:
    """A table with its spans. As Markdown needs it, each row is a line and no line is blank."""
    rows: list[list[str]] = [[] for _ in range(grid.rows)]
    for cell in grid.cells:
        tag = "th" if cell.is_header or cell.row < grid.header_rows else "td"
        spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
        spans += f' colspan="{cell.col_span}"' if cell.col_span > 1 else ""
        rows[cell.row].append(f"<{tag}{spans}>{_lines(cell.text)}</{tag}>")
    return "\n".join(["<table>", *(f"<tr>{''.join(row)}</tr>" for row in rows), "</table>"])


def _element(block: Block) -> str:
    if block.table is not None:
        return to_html_table(block.table)
    if block.kind is BlockKind.FIGURE:
        return f"<figure>{_lines(block.text)}</figure>"
    if not block.text.strip():
        return ""
    if block.kind is BlockKind.CODE:
        return f"<pre><code>{escape(block.text)}</code></pre>"
    if block.kind is BlockKind.HEADING:
        tag, attributes = f"h{min(max(block.level or 1, 1), 6)}", ""
    else:
        tag, attributes = _TAGS.get(block.kind, ("p", ""))
    return f'<{tag}{attributes} dir="auto">{_lines(block.text)}</{tag}>'


def _list(items: Iterable[Block]) -> Iterator[str]:
    """Items of a deeper level become a list in the item above them."""
    open_tags: list[str] = []  # of the lists that are open, the innermost last
    for item in items:
        depth = min(max(item.level or 1, 1), len(open_tags) + 1)
        number = _NUMBER.fullmatch(item.marker or "-")
        tag = "ol" if number else "ul"
        while len(open_tags) > depth or (len(open_tags) == depth and open_tags[-1] != tag):
            yield f"</li></{open_tags.pop()}>"
        if len(open_tags) == depth:
            yield "</li>"
        else:
            open_tags.append(tag)
            yield f"<{tag}>"
        own = item.marker is not None and number is None and item.marker not in _BULLETS
        value = f' value="{int(number[1])}"' if number else ""
        yield f'<li{value} dir="auto">{_lines(f"{item.marker} {item.text}" if own else item.text)}'
    while open_tags:
        yield f"</li></{open_tags.pop()}>"


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.split("\n") if line.strip())

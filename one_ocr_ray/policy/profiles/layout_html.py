"""Reads answers that are HTML in divisions with places: `<div data-bbox="x0 y0 x1 y1" data-label="Text">..</div>`.

Source: the prompts and the output reader of datalab-to/chandra.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.profiles.pieces import MOST_PIECES, NamedPiece, kind_of, shares, with_content

_DIVISION = re.compile(r"<div\b([^<>]{0,400})>", re.IGNORECASE)
_LABEL = re.compile(r"data-label\s*=\s*[\"']([\w-]{1,40})")
_BOX = re.compile(r"data-bbox\s*=\s*[\"']\[?([\d.,\s]{1,60})")
_TAG = re.compile(r"<[^<>]{0,1000}>")
_ALTERNATIVE = re.compile(r"\balt\s*=\s*(?:\"([^\"<>]{0,2000})|'([^'<>]{0,2000}))")
_RANK = re.compile(r"<h([1-5])\b", re.IGNORECASE)


def pieces(text: str, grid: tuple[float, float]) -> list[NamedPiece] | None:
    """The labelled divisions in their order. None: there is none."""
    found: list[NamedPiece] = []
    divisions = [each for each in _DIVISION.finditer(text) if _LABEL.search(each[1])][:MOST_PIECES]
    for division, inside in with_content(text, divisions):
        label = _LABEL.search(division[1])
        name = label[1].lower() if label else ""
        if name == "blank-page":
            continue
        kind = kind_of(name)
        box = _BOX.search(division[1])
        numbers = [float(each) for each in re.findall(r"\d{1,5}(?:\.\d{1,5})?", box[1])] if box else []
        content = inside.strip().removesuffix("</div>")
        rank = _RANK.search(content)
        level = int(rank[1]) if rank else 2
        found.append(NamedPiece(kind, _content(kind, content), shares(numbers, *grid), level))
    return found if found or 'data-label="Blank-Page"' in text else None


def _content(kind: BlockKind, html: str) -> str:
    match kind:
        case BlockKind.FIGURE:
            alternative = _ALTERNATIVE.search(html)
            return (alternative[1] or alternative[2] or "") if alternative else ""
        case BlockKind.FORMULA | BlockKind.CODE | BlockKind.HEADING:
            return _plain(html)
    try:
        return _to_markdown(html)
    except RecursionError:  # tags nested without end
        return _plain(html)


def _plain(html: str) -> str:
    return unescape(_TAG.sub("", html)).strip()


def _to_markdown(html: str) -> str:
    from markdownify import MarkdownConverter  # noqa: PLC0415 - few models answer in HTML

    class Converter(MarkdownConverter):
        """Tables stay HTML with their spans; formulas become LaTeX in dollars."""

        def convert_table(self, el: Any, text: str, parent_tags: Any) -> str:
            return f"\n\n{el}\n\n"

        def convert_math(self, el: Any, text: str, parent_tags: Any) -> str:
            latex = el.get_text().strip()
            return f"\n\n$$\n{latex}\n$$\n\n" if el.get("display") == "block" else f"${latex}$"

        def convert_input(self, el: Any, text: str, parent_tags: Any) -> str:
            return "[x] " if el.has_attr("checked") else "[ ] "

        def convert_img(self, el: Any, text: str, parent_tags: Any) -> str:
            return f"![{' '.join(str(el.get('alt') or '').split())}]()"

    converter = Converter(heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False)
    markdown: str = converter.convert(html)
    return markdown.strip()

"""What the readers of answers share: pages as pieces, and pieces as Markdown and blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, BlockKind, BlockSource, Box
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from one_ocr_ray.blocks import PageBox

Shares = tuple[float, float, float, float]  # left, top, right and bottom, as shares 0-1 of the page
MOST_PIECES = 5_000  # of a page

_HASHES = re.compile(r"#{1,6}\s+")
_ITEM = re.compile(r"(?:[-+*]|\d{1,9}[.)])\s")
_MATH_MARKS = re.compile(r"\A(?:\$\$|\\\[)\s*|\s*(?:\$\$|\\\])\Z")
# What models call the things on a page. All other labels mean text.
_LABELS = {
    BlockKind.HEADING: "title sub_title heading section_header section_title",
    BlockKind.LIST_ITEM: "list_item",
    BlockKind.TABLE: "table",
    BlockKind.FIGURE: "image figure chart picture diagram",
    BlockKind.FORMULA: "equation equation_block formula",
    BlockKind.CODE: "code code_block",
    BlockKind.CAPTION: "caption image_caption figure_caption table_caption formula_caption",
    BlockKind.FOOTNOTE: "footnote figure_footnote table_footnote page_footnote",
    BlockKind.PAGE_HEADER: "header page_header",
    BlockKind.PAGE_FOOTER: "footer page_footer",
    BlockKind.PAGE_NUMBER: "page_number",
}
_KINDS = {label: kind for kind, labels in _LABELS.items() for label in labels.split()}
_AS_ONE = frozenset({BlockKind.CAPTION, BlockKind.FOOTNOTE, BlockKind.MARGIN_NOTE})


@dataclass(frozen=True, slots=True)
class NamedPiece:
    """One thing on a page as a model named it. `text` is Markdown; a formula's is LaTeX, a figure's what it shows."""

    kind: BlockKind
    text: str = field(repr=False)
    box: Shares | None = None
    level: int = 2  # of a heading

    def markdown(self) -> str:
        text = self.text.strip()
        match self.kind:
            case BlockKind.FIGURE:
                return f"![{_alternative(text)}]()"
            case BlockKind.HEADING if text:
                return text if _HASHES.match(text) else f"{'#' * self.level} {' '.join(text.split())}"
            case BlockKind.FORMULA if text:
                return f"$$\n{_MATH_MARKS.sub('', text)}\n$$"
            case BlockKind.CODE if text and not text.startswith("```"):
                return f"```\n{text}\n```"
            case BlockKind.LIST_ITEM if text and not _ITEM.match(text):
                return f"- {text}"
        return text

    def blocks(self) -> Sequence[Block]:
        """Its blocks, which have neither number nor place yet."""
        if self.kind is BlockKind.FIGURE:
            return (Block(0, self.kind, _alternative(self.text)),)
        if self.kind is BlockKind.FORMULA:
            return (Block(0, self.kind, _MATH_MARKS.sub("", self.text.strip())),)
        found = markdown_blocks(self.markdown())
        if self.kind.is_furniture or self.kind in _AS_ONE:
            text = " ".join(block.text for block in found)
            return (Block(0, self.kind, text),) if text else ()
        return found


def kind_of(label: str) -> BlockKind:
    """What a label means, in any case and with any joint between its words."""
    return _KINDS.get(label.lower().replace("-", "_").replace(" ", "_"), BlockKind.PARAGRAPH)


def shares(corners: Sequence[object], width: float, height: float) -> Shares | None:
    """A box from four numbers of a grid of that size. None if they are no box of the page."""
    numbers = [number for number in corners if isinstance(number, int | float) and not isinstance(number, bool)]
    if len(numbers) != 4 or len(corners) != 4 or not all(-1e6 < number < 1e6 for number in numbers):
        return None
    x0, y0, x1, y1 = (
        min(1.0, max(0.0, number / side)) for number, side in zip(numbers, (width, height) * 2, strict=True)
    )
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def with_content(text: str, tags: Sequence[re.Match[str]]) -> Iterator[tuple[re.Match[str], str]]:
    """Each of the `tags` with the text between it and the next one."""
    ends = [*(tag.start() for tag in tags[1:]), len(text)][: len(tags)]
    return ((tag, text[tag.end() : end]) for tag, end in zip(tags, ends, strict=True))


def to_markdown(pieces: Iterable[NamedPiece]) -> str:
    """The pieces as Markdown, without what belongs to the sheet. Items of a list follow each other line by line."""
    text, before = "", None
    for piece in pieces:
        if piece.kind.is_furniture or not (own := piece.markdown()):
            continue
        in_list = piece.kind is before is BlockKind.LIST_ITEM
        text += ("\n" if in_list else "\n\n" if text else "") + own
        before = piece.kind
    return text


def _alternative(text: str) -> str:
    return " ".join(text.translate({ord(mark): " " for mark in "[]`<>\\"}).split())


def to_blocks(pieces: Iterable[NamedPiece], page_box: PageBox | None) -> tuple[Block, ...]:
    """The pieces as blocks, numbered from 1. Without the page's size in points no block has a box."""
    blocks: list[Block] = []
    for piece in pieces:
        box = None
        if piece.box is not None and page_box is not None:
            x0, y0, x1, y1 = piece.box
            width, height = page_box.width, page_box.height
            box = Box(x0 * width, y0 * height, x1 * width, y1 * height)
        before = len(blocks)
        for block in piece.blocks():
            parent = block.parent and block.parent + before
            blocks.append(replace(block, id=len(blocks) + 1, parent=parent, box=box, source=BlockSource.LLM))
    return tuple(blocks)

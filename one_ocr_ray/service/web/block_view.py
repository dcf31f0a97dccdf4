"""The blocks of a page for the task page: places on the image, and HTML."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind, PageBox
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.writers.html import to_html
from one_ocr_ray.service.web.markdown import MAX_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.model import PageResult

MAX_BLOCKS = 1000  # a page of a newspaper has 300


@dataclass(frozen=True, slots=True)
class ShownBlock:
    """`html` is safe to show: the writer escapes all text of the page."""

    id: int
    kind: BlockKind
    box: Box | None
    html: str
    is_table: bool


@dataclass(frozen=True, slots=True)
class ShownBlocks:
    """`kinds` counts the blocks of each kind. Boxes lie in `upright`, which `transform` turns onto the image."""

    items: tuple[ShownBlock, ...]
    kinds: Mapping[BlockKind, int]
    upright: PageBox | None
    turn_deg: int

    @property
    def has_places(self) -> bool:
        """True where the place of at least one block is known."""
        return self.upright is not None and any(item.box is not None for item in self.items)

    @property
    def view_box(self) -> str:
        """The page as its image shows it, for SVG."""
        if self.upright is None:
            return ""
        width, height = self.upright.width, self.upright.height
        return f"0 0 {height:g} {width:g}" if self.turn_deg % 180 else f"0 0 {width:g} {height:g}"

    @property
    def transform(self) -> str:
        """The SVG transform from the page as read, turned clockwise by `turn_deg`, to its image."""
        if self.upright is None or self.turn_deg not in {90, 180, 270}:
            return ""
        width, height = self.upright.width, self.upright.height
        matrices = {
            90: f"matrix(0 -1 1 0 0 {width:g})",
            180: f"matrix(-1 0 0 -1 {width:g} {height:g})",
            270: f"matrix(0 1 -1 0 {height:g} 0)",
        }
        return matrices[self.turn_deg]


def shown_blocks(row: PageResult | None) -> ShownBlocks | None:
    """The blocks of a page. None where none are known, or more than a browser shows with ease."""
    if row is None or row.blocks is None:
        return None
    blocks = unpack(row.blocks)
    if not 0 < len(blocks) <= MAX_BLOCKS or sum(len(block.text) for block in blocks) > MAX_CHARACTERS:
        return None
    items = []
    for block in blocks:  # the writer leaves out what belongs to the sheet; here it is shown
        written = replace(block, kind=BlockKind.PARAGRAPH) if block.kind.is_furniture else block
        items.append(ShownBlock(block.id, block.kind, block.box, to_html([written]), block.table is not None))
    kinds = Counter(item.kind for item in items)
    ordered = {kind: kinds[kind] for kind in BlockKind if kind in kinds}
    return ShownBlocks(tuple(items), ordered, row.page_box, (row.rotation or 0) % 360)

"""Turns drafts, which have a kind and rows, into the numbered blocks of a page with places."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, BlockKind, BlockSource
from one_ocr_ray.policy.layout.kinds import marks
from one_ocr_ray.policy.layout.places import around, printed_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import Box, TableGrid
    from one_ocr_ray.policy.layout.geometry import Row

CAPTION_GAP = 4.0  # of the height of a caption's line: what stands further away is not what it names
NESTED = 0.4  # of a line height: a list item this much further in belongs to the one above

_WITHOUT_NOTES = frozenset({BlockKind.FOOTNOTE, BlockKind.CODE, BlockKind.FORMULA})
_CAPTIONED = frozenset({BlockKind.FIGURE, BlockKind.TABLE, BlockKind.CODE})


@dataclass(frozen=True, slots=True)
class Draft:
    """A block without its number. `notes` stand beside it and are read after it; they become its children."""

    kind: BlockKind
    text: str
    rows: tuple[Row, ...]
    level: int | None = None
    marker: str | None = None
    indent: float = 0.0  # of a list item's left edge, in line heights
    table: TableGrid | None = None
    box: Box | None = None  # of a figure or a table's frame, which are larger than the text in them
    notes: list[Draft] = field(default_factory=list)

    @property
    def top(self) -> float:
        return min((segment.top for row in self.rows for segment in row), default=0.0)

    @property
    def bottom(self) -> float:
        return max((segment.bottom for row in self.rows for segment in row), default=0.0)

    def distance(self, y: float) -> float:
        """How far above or below it `y` is."""
        return max(0.0, self.top - y, y - self.bottom)


def numbered(drafts: Iterable[Draft], source: BlockSource) -> tuple[Block, ...]:
    """The blocks of a page in the order of `drafts`, each followed by its notes."""
    blocks: list[Block] = []
    items: list[tuple[float, int]] = []  # the open list items: indent and id
    for draft in drafts:
        block = _block(draft, len(blocks) + 1, source)
        while items and (draft.kind is not BlockKind.LIST_ITEM or draft.indent < items[-1][0] + NESTED):
            items.pop()
        if draft.kind is BlockKind.LIST_ITEM:
            block = replace(block, level=len(items) + 1, parent=items[-1][1] if items else None)
            items.append((draft.indent, block.id))
        blocks.append(block)
        for note in draft.notes:
            blocks.append(replace(_block(note, len(blocks) + 1, source), parent=block.id))
            items.clear()
    with_parents = frozenset({BlockKind.CAPTION, BlockKind.FOOTNOTE})
    return tuple(replace(b, parent=_parent_of(b, blocks)) if b.kind in with_parents else b for b in blocks)


def _parent_of(block: Block, blocks: Sequence[Block]) -> int | None:
    """What a caption names, just before or after it, whichever is nearer; what alone refers to a footnote."""
    if block.kind is BlockKind.FOOTNOTE:
        reference = marks.reference_to_note(block.text)
        before = blocks[: block.id - 1] if reference is not None else ()
        found = [b.id for b in before if b.kind not in _WITHOUT_NOTES and reference and reference.search(b.text)]
        return found[0] if len(found) == 1 else None
    near: list[tuple[float, int]] = []
    for other in blocks[max(0, block.id - 2) : block.id + 1]:
        if other.kind in _CAPTIONED and other.box and block.box:
            far = max(other.box.y0 - block.box.y1, block.box.y0 - other.box.y1)
            if far <= CAPTION_GAP * (block.box.y1 - block.box.y0) / max(1, len(block.lines or ())):
                near.append((far, other.id))
    return min(near)[1] if near else None


def grid_text(grid: TableGrid) -> str:
    """The cells joined by tabs and line ends; a cell that spans others stands in its first place."""
    return "\n".join("\t".join(" ".join(text.split()) for text in row) for row in grid.texts())


def _block(draft: Draft, number: int, source: BlockSource) -> Block:
    lines = tuple(printed_line(row) for row in draft.rows)
    words = [word for line in lines for word in line.words]
    scores = [(word.confidence, len(word.text)) for word in words if word.confidence is not None]
    characters = sum(count for _, count in scores)
    is_known = characters > 0 and len(scores) == len(words)
    return Block(
        id=number,
        kind=draft.kind,
        text=grid_text(draft.table) if draft.table else draft.text,
        box=around([*(line.box for line in lines), *([draft.box] if draft.box else [])]),
        level=draft.level,
        marker=draft.marker,
        table=draft.table,
        lines=lines,
        source=source,
        confidence=round(sum(score * count for score, count in scores) / characters, 4) if is_known else None,
    )

"""Writes blocks as plain text: what the page says, without marks for its look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.blocks import Block

INDENT = "  "  # of a list item in another


def to_text(blocks: Iterable[Block]) -> str:
    """The blocks as text. Blank lines part them, except list items; tabs part a table's cells."""
    parts: list[str] = []
    was_item = False
    for block in blocks:
        if block.kind.is_furniture or not block.text.strip():
            continue
        is_item = block.kind is BlockKind.LIST_ITEM
        if parts:
            parts.append("\n" if is_item and was_item else "\n\n")
        start = f"{INDENT * ((block.level or 1) - 1)}{block.marker or '-'} " if is_item else ""
        parts.append(start + block.text.replace("\n", "\n" + " " * len(start)))
        was_item = is_item
    return "".join(parts)

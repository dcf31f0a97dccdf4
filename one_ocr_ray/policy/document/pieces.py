"""A page's Markdown in pieces, one a block. The pass over a document keeps, joins or drops each.

Where the blocks of a page are known the pieces are theirs; else the Markdown itself is cut where its blocks begin.
Either way the pieces and their joints put together are the page's Markdown, character by character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.writers.markdown import written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.model import PageResult

_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_ITEM = re.compile(r"\s*(?:[-+*]|\d{1,9}[.)])\s")
_PIPE = re.compile(r"\s*\|")
_FIGURE = re.compile(r"\s*!\[[^\]]*\]\([^)]*\)\s*$")
_BEGINS = re.compile(r"\s*(?:#{1,6}\s|```|~~~|\$\$|\||<table\b|!\[|[-+*]\s|\d{1,9}[.)]\s)", re.IGNORECASE)
_ENCLOSED = (  # by what opens and what closes them; where nothing closes them they go on to the end of the page
    (BlockKind.CODE, re.compile(r" {0,3}```"), re.compile(r"^ {0,3}```\s*$")),
    (BlockKind.CODE, re.compile(r" {0,3}~~~"), re.compile(r"^ {0,3}~~~\s*$")),
    (BlockKind.FORMULA, re.compile(r"\s*\$\$"), re.compile(r"\$\$")),
    (BlockKind.TABLE, re.compile(r"\s*<table\b", re.IGNORECASE), re.compile(r"</table\s*>", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of a page as it stands in the page's Markdown. `joint` is what stands before it there."""

    kind: BlockKind
    text: str
    joint: str
    level: int | None = None  # of a heading
    box: Box | None = None
    block_id: int | None = None  # where the blocks of the page are known
    left_out: str = (
        ""  # the text of what the page itself leaves out, which shows what to leave out elsewhere; comes last
    )


def pieces_of(page: PageResult) -> list[Piece]:
    """The pieces of a page in order; none of a page without text."""
    markdown = page.markdown or ""
    if page.blocks is not None:
        blocks = unpack(page.blocks, with_lines=False)
        pieces = [
            Piece(block.kind, each.text, each.joint if number else "", block.level, block.box, block.id)
            for number, each in enumerate(written(blocks, page.page_number))
            for block in (each.block,)
        ]
        pieces += [
            Piece(block.kind, "", "", box=block.box, left_out=block.text) for block in blocks if block.kind.is_furniture
        ]
        if put_together(pieces) == markdown:
            return pieces
    # Cut the Markdown where nothing else is known of the page. Takes time in proportion to its length.
    lines = markdown.split("\n")
    pieces, joint, at = [], "", 0
    while at < len(lines):
        if lines[at].strip():
            kind, end, level = _block(lines, at)
            pieces.append(Piece(kind, "\n".join(lines[at:end]), joint, level))
            joint, at = "\n", end
        else:
            joint, at = joint + lines[at] + "\n", at + 1
    if pieces:
        trailing = markdown[len(put_together(pieces)) :]
        pieces[-1] = replace(pieces[-1], text=pieces[-1].text + trailing)
    return pieces


def put_together(pieces: Sequence[Piece]) -> str:
    """The Markdown that `pieces` are of."""
    return "".join(part for piece in pieces for part in (piece.joint, piece.text))


def _block(lines: Sequence[str], at: int) -> tuple[BlockKind, int, int | None]:
    """What begins at line `at`, where it ends, and the level of a heading."""
    line = lines[at]
    if heading := _HEADING.match(line):
        return BlockKind.HEADING, at + 1, len(heading[1])
    for kind, opening, closing in _ENCLOSED:
        if found := opening.match(line):
            if closing.search(line, found.end()):
                return kind, at + 1, None
            return kind, _index(lines, at + 1, closing.search) + 1, None
    if _PIPE.match(line):
        return BlockKind.TABLE, _index(lines, at + 1, lambda each: not _PIPE.match(each)), None
    if _FIGURE.match(line):
        return BlockKind.FIGURE, at + 1, None
    kind = BlockKind.LIST_ITEM if _ITEM.match(line) else BlockKind.PARAGRAPH
    return kind, _index(lines, at + 1, lambda each: not each.strip() or bool(_BEGINS.match(each))), None


def _index(lines: Sequence[str], start: int, is_it: Callable[[str], object]) -> int:
    """The first line from `start` on that is what is looked for. Behind the last one where none is."""
    return next((at for at in range(start, len(lines)) if is_it(lines[at])), len(lines))

"""From the pages of a document to its text.

The text has no running heads and one rank for each kind of heading. What a page break has cut is joined. A page's own
Markdown stays as it is; this is the text of the whole. Two passes over the pages, so that no more than one
page is in memory as pieces: the first looks for what repeats and how headings are set, the second writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind, Positions
from one_ocr_ray.policy.dataset.packing import pack, unpack
from one_ocr_ray.policy.document.furniture import furniture, key_of, page_edges
from one_ocr_ray.policy.document.headings import Heading, ranks, type_size
from one_ocr_ray.policy.document.joints import joined
from one_ocr_ray.policy.document.pieces import pieces_of
from one_ocr_ray.policy.document.run_in_heads import run_in_heads
from one_ocr_ray.policy.page.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.document.furniture import EdgePiece
    from one_ocr_ray.policy.document.pieces import Piece

PAGE_JOINT = "\n\n"
LEAST_PAGES = 3  # with fewer nothing repeats
OPENING = 160  # characters: a running head is shorter
MOST_EMPTIED = 0.3  # of the pages may consist of running heads alone

_HASHES = re.compile(r"( {0,3})#{1,6}")


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The Markdown of a document, and where each page ends in it.

    `continuing`: by page number the block that goes on with what the page before has begun. It is None where the blocks
    of that page are not known.
    """

    markdown: str
    page_ends: tuple[int, ...]
    continuing: Mapping[int, int | None]


def document_text(pages: Sequence[PageResult]) -> DocumentText:
    """The text of the good pages in order. A page without text ends where the one before it ends."""
    survey = _Survey.of(pages)
    text = _Text()
    for page in pages:
        text.add(page, survey.kept(page))
    return DocumentText("".join(text.parts), tuple(text.ends), text.continuing)


def document_texts(pages: Iterable[PageResult]) -> dict[str, DocumentText]:
    """The text of each document that `pages` are of, by its id."""
    by_document: dict[str, list[PageResult]] = {}
    for page in pages:
        by_document.setdefault(page.document_id, []).append(page)
    return {name: document_text(some) for name, some in by_document.items()}


def with_continuations(pages: Iterable[PageResult], texts: Mapping[str, DocumentText]) -> list[PageResult]:
    """`pages`, of which `texts` are, with blocks that say if they continue the page before. The texts stay the same."""
    marked: list[PageResult] = []
    for page in pages:
        block_id = texts[page.document_id].continuing.get(page.page_number)
        if block_id is None or page.blocks is None:
            marked.append(page)
        else:
            blocks = [replace(block, continues=block.id == block_id) for block in unpack(page.blocks)]
            marked.append(replace(page, blocks=pack(blocks, Positions.WORDS)))
    return marked


@dataclass(slots=True)
class _Text:
    """The text as far as it is written."""

    parts: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    continuing: dict[int, int | None] = field(default_factory=dict)
    length: int = 0
    last: Piece | None = None  # what the next page may go on with

    def add(self, page: PageResult, pieces: Sequence[Piece]) -> None:
        for number, piece in enumerate(pieces):
            if number == 0 and self.last is not None and (whole := joined(self.last, self.parts[-1], piece)):
                # `whole.before` takes the place of the last piece; pages that ended behind it end with it.
                self.length += len(whole.before) - len(self.parts[-1])
                self.parts[-1] = whole.before
                for at in range(len(self.ends) - 1, -1, -1):
                    if self.ends[at] <= self.length:
                        break
                    self.ends[at] = self.length
                self._write(whole.joint, whole.after)
                self.continuing[page.page_number] = piece.block_id
                self.last = self.last if whole.is_table else piece
            else:
                between = PAGE_JOINT if number == 0 and self.parts else ""
                self._write(between + piece.joint, piece.text)
                self.last = piece
        if page.markdown is None:
            self.last = None  # what goes on over a page that failed goes on nowhere
        self.ends.append(self.length)

    def _write(self, joint: str, text: str) -> None:
        self.parts += (joint, text)
        self.length += len(joint) + len(text)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the first look at all pages has found."""

    dropped: Mapping[int, Sequence[EdgePiece]]  # by page what is left out of it
    run_in: Mapping[int, str]  # by page the head that its text begins with
    levels: Mapping[tuple[int, int], int]  # of each heading, by page and index

    @classmethod
    def of(cls, pages: Sequence[PageResult]) -> _Survey:
        edges: list[EdgePiece] = []
        headings: list[Heading] = []
        titles: dict[str, list[int]] = {}
        counts: dict[int, int] = {}  # of pieces, by page
        openings: dict[int, str] = {}  # what the text of a page begins with
        for page in pages:
            if not (pieces := pieces_of(page)):
                continue
            text = [piece.text for piece in pieces if not piece.kind.is_furniture]
            counts[page.page_number] = len(text)
            edges += page_edges(page.page_number, pieces, page.page_box)
            openings[page.page_number] = text[0][:OPENING] if text else ""
            for index, piece in enumerate(pieces):
                if piece.kind is BlockKind.HEADING:
                    title = " ".join(plain_text(piece.text).split())
                    size = type_size(title, piece.box) if piece.box else None
                    headings.append(Heading(page.page_number, index, piece.level or 1, title, size))
                    titles.setdefault(key_of(piece.text), []).append(page.page_number)
        dropped: dict[int, list[EdgePiece]] = {}
        found = furniture(edges, titles, len(pages)) if len(pages) >= LEAST_PAGES else set()
        for edge in found:
            if not edge.kind.is_furniture:  # which its page has left out itself
                dropped.setdefault(edge.page, []).append(edge)
        emptied = sum(len({e.index for e in some if e.line is None}) == counts[page] for page, some in dropped.items())
        if emptied > MOST_EMPTIED * len(counts):  # little else is left, so these are no running heads but the text
            dropped, found = {}, set()
        heads = [edge for edge in found if edge.is_top]
        for edge in heads:
            openings.pop(edge.page, None)
        gone = {(edge.page, edge.index) for some in dropped.values() for edge in some}
        levels = ranks([heading for heading in headings if (heading.page, heading.index) not in gone])
        return cls(dropped, run_in_heads(openings, heads), levels)

    def kept(self, page: PageResult) -> list[Piece]:
        """The pieces of a page that are the document's text, with headings' ranks in it."""
        lines = {edge.index: edge.line for edge in self.dropped.get(page.page_number, ())}
        kept: list[Piece] = []
        for index, piece in enumerate(pieces_of(page)):
            level = self.levels.get((page.page_number, index), piece.level)
            text = piece.text
            if piece.kind.is_furniture or (index in lines and lines[index] is None):
                continue
            if index in lines:
                own = [each for each in text.split("\n") if each.strip()]
                text = "\n".join(own[1:] if lines[index] == 0 else own[:-1])
            elif level != piece.level:
                text = _HASHES.sub(rf"\g<1>{'#' * (level or 1)}", text, count=1)
            if not kept and (head := self.run_in.get(page.page_number)):
                text = text.removeprefix(head).lstrip()
            joint = "" if index and not kept else piece.joint
            kept.append(replace(piece, text=text, level=level, joint=joint))
        return kept

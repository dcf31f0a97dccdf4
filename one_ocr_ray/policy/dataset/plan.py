"""Packs documents into shards, and a shard's pages into render slices. The order stays; nothing is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from one_ocr_ray.model import DocumentRef
    from one_ocr_ray.policy.dataset.selection import PageSelection

FIRST_SHARD_PAGES = 32
COPIES_PER_SHARD = 500
# Copies kept in memory. With more of them the open shard is closed early: a copy is planned after its original.
COPIES_WAITING = 10_000
SLICE_PAGES = 32


@dataclass(frozen=True, slots=True)
class RenderItem:
    """Some pages of one document, in ascending order, 1-based."""

    document: DocumentRef
    pages: tuple[int, ...]


RenderSlice = tuple[RenderItem, ...]


def selected_pages(document: DocumentRef, selection: PageSelection) -> int:
    """The number of page rows that `document` gets; 0 if it cannot be opened."""
    if document.failure is not None or document.page_count is None:
        return 0
    return len(selection.of(document.page_count))


class ShardPacker:
    """Packs documents into shards of whole documents as they are found.

    Shards start small and double with every round over the workers up to `shard_pages`: a small job has work for
    every worker, a large one starts soon and still ends in few files. A longer document gets a shard of its own.
    """

    def __init__(
        self,
        selection: PageSelection,
        *,
        shard_pages: int,
        workers: int,
        next_number: int = 0,
        is_new: Callable[[str], bool],
    ) -> None:
        """`is_new`: tells whether a document id is new in this and all earlier runs. Otherwise it is a copy."""
        self._selection = selection
        self._shard_pages = shard_pages
        self._workers = workers
        self._next_number = next_number
        self._open: list[DocumentRef] = []
        self._open_pages = 0
        self._copies: list[DocumentRef] = []
        self._closed = 0  # shards that have pages
        self._is_new = is_new

    def add(self, document: DocumentRef) -> list[Shard]:
        """Add one document; gives the shards that it fills."""
        if not self._is_new(document.document_id):
            self._copies.append(document)
            return [*self.flush(), *self.copies()] if len(self._copies) >= COPIES_WAITING else []
        weight = max(1, selected_pages(document, self._selection))
        full = self._close() if self._open and self._open_pages + weight > self._target_pages() else []
        self._open.append(document)
        self._open_pages += weight
        return full + (self._close() if self._open_pages >= self._target_pages() else [])

    def flush(self) -> list[Shard]:
        """Close the open shard. Call it at the end of the input, or while no more is known."""
        return self._close() if self._open else []

    def copies(self) -> list[Shard]:
        """Shards of the copies found so far; call it at the end, after `flush`."""
        found, self._copies = self._copies, []
        return [
            self._shard(found[start : start + COPIES_PER_SHARD], copies=True)
            for start in range(0, len(found), COPIES_PER_SHARD)
        ]

    def _target_pages(self) -> int:
        rounds = self._closed // self._workers
        return int(min(self._shard_pages, FIRST_SHARD_PAGES << min(rounds, 30)))

    def _close(self) -> list[Shard]:
        documents, self._open, self._open_pages = self._open, [], 0
        self._closed += 1
        return [self._shard(documents, copies=False)]

    def _shard(self, documents: list[DocumentRef], *, copies: bool) -> Shard:
        digest = hashlib.sha256("\n".join(f"{each.document_id} {each.uri}" for each in documents).encode()).hexdigest()
        shard = Shard(f"{self._next_number:06d}-{digest[:12]}", tuple(documents), copies)
        self._next_number += 1
        return shard


def render_slices(
    documents: Iterable[DocumentRef], selection: PageSelection, done: frozenset[tuple[str, int]] = frozenset()
) -> Iterator[RenderSlice]:
    """Cut the wanted pages into slices of about SLICE_PAGES pages, in order. Small documents share a slice.

    `done` holds (document_id, page_number) of the pages that are not read again.
    """
    slice_: list[RenderItem] = []
    free = SLICE_PAGES
    for document in documents:
        if document.failure is not None or document.page_count is None:
            continue
        wanted = [page for page in selection.of(document.page_count) if (document.document_id, page) not in done]
        while wanted:
            taken, wanted = wanted[:free], wanted[free:]
            slice_.append(RenderItem(document, tuple(taken)))
            free -= len(taken)
            if free == 0:
                yield tuple(slice_)
                slice_, free = [], SLICE_PAGES
    if slice_:
        yield tuple(slice_)

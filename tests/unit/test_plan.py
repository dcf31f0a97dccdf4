"""Packing documents into shards and shards into render slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.plan import (
    COPIES_PER_SHARD,
    COPIES_WAITING,
    FIRST_SHARD_PAGES,
    SLICE_PAGES,
    ShardPacker,
    render_slices,
)
from one_ocr_ray.policy.dataset.selection import ALL_PAGES, parse_selection
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = st.lists(st.integers(1, 700), max_size=60)


def meeting(*met: str) -> Callable[[str], bool]:
    """Remembers document ids, those of `met` to begin with."""
    seen = set(met)

    def is_new(document_id: str) -> bool:
        new = document_id not in seen
        seen.add(document_id)
        return new

    return is_new


def pack(documents: list[DocumentRef], shard_pages: int = 500, workers: int = 1) -> list[Shard]:
    """All shards of `documents`, the copies last."""
    packer = ShardPacker(ALL_PAGES, shard_pages=shard_pages, workers=workers, is_new=meeting())
    shards = [shard for each in documents for shard in packer.add(each)]
    return shards + packer.flush() + packer.copies()


@given(COUNTS, st.integers(1, 800), st.integers(1, 8))
def test_every_document_is_in_one_shard_in_order(counts: list[int], shard_pages: int, workers: int) -> None:
    """Nothing is lost, doubled or reordered by packing."""
    documents = [document(number, page_count=count) for number, count in enumerate(counts)]
    shards = pack(documents, shard_pages, workers)
    assert [each for shard in shards for each in shard.documents] == documents
    assert len({shard.shard_id for shard in shards}) == len(shards)


@given(COUNTS, st.integers(1, 800), st.integers(1, 8))
def test_a_shard_of_several_documents_keeps_to_its_size(counts: list[int], shard_pages: int, workers: int) -> None:
    """Only a document that is longer by itself makes a shard larger than asked for."""
    documents = [document(number, page_count=count) for number, count in enumerate(counts)]
    for shard in pack(documents, shard_pages, workers):
        pages = sum(each.page_count or 0 for each in shard.documents)
        assert pages <= shard_pages or len(shard.documents) == 1


def test_shards_start_small_and_grow_to_the_asked_size() -> None:
    """A large job ends in few files; a small one has a shard for each worker."""
    sizes = [len(shard.documents) for shard in pack([document(n, page_count=1) for n in range(3000)], 500, workers=2)]
    assert sizes[:4] == [FIRST_SHARD_PAGES] * 2 + [2 * FIRST_SHARD_PAGES] * 2
    assert set(sizes[8:-1]) == {500}


def test_files_with_the_same_bytes_become_copies() -> None:
    """The first file of some bytes is read; later ones only get rows that point at its pages."""
    first, twin = document(1), document(1, uri="/pdfs/twin.pdf")
    shards = pack([first, document(2), twin])
    assert [(shard.copies, [each.uri for each in shard.documents]) for shard in shards] == [
        (False, [first.uri, document(2).uri]),
        (True, [twin.uri]),
    ]


def test_many_copies_neither_wait_in_memory_nor_come_before_what_they_copy() -> None:
    """Shards of bounded size, given back while documents come in; one that is still open is closed before them."""
    packer = ShardPacker(ALL_PAGES, shard_pages=500, workers=1, is_new=meeting())
    planned, given = [*packer.add(document(1)), *packer.add(document(2))], 0
    assert planned == []
    for number in range(2 * COPIES_WAITING + 7):
        planned += packer.add(document(1 + number % 2, uri=f"/copies/{number}"))
        given = max(given, number + 1 - sum(len(shard.documents) for shard in planned if shard.copies))
    planned += packer.flush() + packer.copies()
    assert given <= COPIES_WAITING
    assert [shard.copies for shard in planned] == [False] + [True] * (len(planned) - 1)
    assert max(len(shard.documents) for shard in planned) == COPIES_PER_SHARD
    uris = [each.uri for shard in planned[1:] for each in shard.documents]
    assert uris == [f"/copies/{number}" for number in range(2 * COPIES_WAITING + 7)]


def test_copies_do_not_make_the_shards_of_the_others_grow() -> None:
    """It is the pages that a worker needs a share of."""
    packer = ShardPacker(ALL_PAGES, shard_pages=500, workers=4, is_new=meeting())
    packer.add(document(0))
    for number in range(COPIES_WAITING):
        packer.add(document(0, uri=f"/copies/{number}"))
    sizes = [len(shard.documents) for n in range(1, 100) for shard in packer.add(document(n, page_count=1))]
    assert sizes[0] == FIRST_SHARD_PAGES


def test_what_earlier_runs_planned_is_not_planned_again() -> None:
    """A file whose bytes an earlier run has planned becomes a copy, and shard numbers go on."""
    is_new = meeting(document(1).document_id)
    packer = ShardPacker(ALL_PAGES, shard_pages=500, workers=1, next_number=7, is_new=is_new)
    assert packer.add(document(1, uri="/pdfs/again.pdf")) == []
    assert packer.flush() == []
    (copies,) = packer.copies()
    assert copies.shard_id.startswith("000007-")
    assert copies.copies


def test_a_document_that_cannot_be_opened_is_planned_without_pages() -> None:
    """It needs a row in `documents`, and nothing is rendered for it."""
    broken = document(1, page_count=None, failure=Failure(ErrorCode.PDF_CORRUPT, "broken"))
    (shard,) = pack([broken])
    assert shard.documents == (broken,)
    assert list(render_slices(shard.documents, ALL_PAGES)) == []


@given(st.lists(st.integers(1, 100), max_size=20), st.sets(st.tuples(st.integers(0, 19), st.integers(1, 100))))
def test_slices_hold_each_wanted_page_once(counts: list[int], done: set[tuple[int, int]]) -> None:
    """Selected minus done, in order, in slices of bounded size."""
    documents = [document(number, page_count=count) for number, count in enumerate(counts)]
    finished = frozenset((document(number).document_id, page) for number, page in done)
    selection = parse_selection("1-40,50-")
    slices = list(render_slices(documents, selection, finished))
    sliced = [(item.document.document_id, page) for slice_ in slices for item in slice_ for page in item.pages]
    wanted = [(each.document_id, page) for each in documents for page in selection.of(each.page_count or 0)]
    assert sliced == [each for each in wanted if each not in finished]
    assert all(0 < sum(len(item.pages) for item in slice_) <= SLICE_PAGES for slice_ in slices)

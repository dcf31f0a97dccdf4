"""Checks rows against the invariants of the public contract; a finding is a sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.model import Outcome, PageStatus
from one_ocr_ray.policy.document import MOST_EMPTIED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult
    from one_ocr_ray.policy.dataset.selection import PageSelection


MOST_LEFT_OUT = 1000  # letters of a page, as running heads and page numbers


def shard_findings(
    documents: Sequence[DocumentResult], pages: Sequence[PageResult], selection: PageSelection, *, copies: bool
) -> Iterator[str]:
    """What is wrong within one shard. A shard of copies has no pages of its own."""
    by_document: Mapping[str, list[PageResult]] = defaultdict(list)
    for page in pages:
        by_document[page.document_id].append(page)
        where = f"page {page.page_number} of {page.document_id}"
        failed = page.status is PageStatus.FAILED
        if (page.markdown is None) is not failed:
            yield f"{where} is {page.status}, and its markdown is {'null' if page.markdown is None else 'not null'}"
        if (page.failure is not None) is not failed:
            yield f"{where} is {page.status}, and its error is {'not null' if page.failure else 'null'}"
        if page.status is PageStatus.BLANK and page.markdown:
            yield f"{where} is blank and has text"
        if not 1 <= page.page_number <= page.page_count:
            yield f"{where} is outside its document of {page.page_count} pages"
    known = {document.document_id for document in documents}
    for orphan in sorted(set(by_document) - known):
        yield f"pages of {orphan} stand without a document"
    for document in documents:
        if not copies:
            yield from _document_findings(document, by_document[document.document_id], selection)


def duplicate_findings(keys: Counter[tuple[str, int]]) -> Iterator[str]:
    """Pages that have more than one row in the whole dataset."""
    for (document_id, page_number), count in keys.items():
        if count > 1:
            yield f"page {page_number} of {document_id} stands in {count} rows"


def _document_findings(document: DocumentResult, pages: list[PageResult], selection: PageSelection) -> Iterator[str]:
    where = f"document {document.source_name} ({document.document_id})"
    wanted = [] if document.failure or document.page_count is None else selection.of(document.page_count)
    if [page.page_number for page in pages] != wanted:
        yield f"{where} has {len(pages)} of {len(wanted)} page rows, or they are out of order"
        return
    counts = Counter(page.status for page in pages)
    stated = (document.pages_ok, document.pages_blank, document.pages_failed)
    if stated != (counts[PageStatus.OK], counts[PageStatus.BLANK], counts[PageStatus.FAILED]):
        yield f"{where} states {stated} ok, blank and failed pages, and its rows say otherwise"
    if document.failure is not None and document.outcome is not Outcome.FAILED:
        yield f"{where} has an error and is {document.outcome}"
    if document.failure is None and not _text_matches(document, pages):
        yield f"{where} has markdown or page_ends that are not those of its pages"
    costs = [page.cost_usd for page in pages]
    if document.cost_usd is not None and abs(document.cost_usd - sum(cost or 0.0 for cost in costs)) > 1e-6:
        yield f"{where} has another cost than its pages"


def _text_matches(document: DocumentResult, pages: list[PageResult]) -> bool:
    markdown = document.markdown or ""
    if len(document.page_ends) != len(pages) or (document.page_ends or (0,))[-1] != len(markdown):
        return False
    pieces = [markdown[start:end] for start, end in pairwise((0, *document.page_ends))]
    texts = [page.markdown or "" for page in pages]
    pairs = [(piece, text) for piece, text in zip(pieces, texts, strict=True) if piece or _letters(text)]
    if sum(not piece for piece, _ in pairs) > MOST_EMPTIED * len(pairs):
        return False
    for piece, text in pairs:
        # A piece of the document holds only letters of its page, in their order, and most of them.
        of_page = filter(str.isalnum, text)
        in_order = all(char in of_page for char in piece if char.isalnum())
        if not in_order or _letters(text) - _letters(piece) > MOST_LEFT_OUT:
            return False
    return True


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))

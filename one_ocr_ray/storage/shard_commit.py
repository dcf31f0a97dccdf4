"""Commits a shard from its journal to its two files. A crash may interrupt it anywhere.

commit    pages/<shard> put-if-absent, documents/<shard> put-if-absent, journal gone
replace   mark in the journal, pages/<shard> replaced, documents/<shard> replaced, journal and mark gone

The files found on opening say which step comes next; pages in the journal are not read again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.policy.dataset.documents import document_result
from one_ocr_ray.policy.dataset.journal import (
    best_pages,
    last_passes,
    split_for_retry,
    uncounted_passes,
    with_earlier_usage,
    with_retried,
)
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.document import document_texts, with_continuations
from one_ocr_ray.routing import RouteReason
from one_ocr_ray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult, Shard
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.document import DocumentText
    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.store.objects import Objects

    Pages = dict[tuple[str, int], PageResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCommit:
    """A shard that a worker reads. Calls block; one thread at a time may use it, apart from `journal`."""

    journal: Journal
    dataset: Dataset
    shard: Shard
    identity: RunIdentity
    standing: list[PageResult]  # rows in the dataset
    journaled: list[PageResult]
    kept: Pages  # pages that are not read again
    replaced: Pages  # failed pages that are read again
    replaces: bool  # the files of the shard
    uncounted: Pages  # what attempts that were cut off have used
    passed: Pages  # pages that go on past a reader whose answer an earlier attempt has paid

    @classmethod
    def open(
        cls,
        output: Objects,
        dataset: Dataset,
        shard: Shard,
        identity: RunIdentity,
        *,
        retry_failed: bool = False,
        retry_pages: frozenset[int] | None = None,
        selection: PageSelection = ALL_PAGES,
    ) -> Self:
        """Read what stands of `shard`. With `retry_failed` its failed pages, or those in `retry_pages`, are wanted."""
        journal = Journal(output, shard.shard_id, identity.config_id)
        standing, journaled = dataset.pages(shard.shard_id), journal.read()
        # A retry found a file that had been missing, and was cut off: its pages are planned but not in the dataset.
        found = {(page.document_id, page.page_number) for page in standing}
        lacks_pages = any(
            (document.document_id, number) not in found
            for document in shard.documents
            if document.failure is None and document.page_count is not None
            for number in selection.of(document.page_count)
        )
        is_short = lacks_pages and bool(standing or dataset.documents(shard.shard_id))
        replaced: Pages = {}
        if retry_failed:
            kept, replaced = split_for_retry([*standing, *journaled], identity.run_id, retry_pages)
        elif is_short:
            kept = best_pages([*with_retried(standing, journaled), *journaled])
        else:
            kept = best_pages([*standing, *journaled])
        return cls(
            journal=journal,
            dataset=dataset,
            shard=shard,
            identity=identity,
            standing=standing,
            journaled=journaled,
            kept=kept,
            replaced=replaced,
            replaces=retry_failed or is_short,
            uncounted=uncounted_passes(journal.passed, [*standing, *journaled]),
            passed=last_passes([*(journal.kept_passed() if retry_failed else ()), *journal.passed]),
        )

    @property
    def pages_committed(self) -> bool:
        """True if all pages are committed and an earlier attempt's last steps were cut off."""
        return bool(self.standing) and not self.replaces

    def recover(self) -> tuple[list[PageResult], list[DocumentResult]]:
        """Finish a commit or a retry that an earlier attempt left half done."""
        pages = with_retried(self.standing, self.journaled)
        if pages != self.standing:
            pages = self._replace_pages(pages)
        return pages, self._finish(pages, {})

    def commit(self, rows: Iterable[PageResult]) -> tuple[list[PageResult], list[DocumentResult]]:
        """Commit the `rows` of the shard's documents, in order, and the documents made from them. Gives what stands."""
        place = {document.document_id: number for number, document in enumerate(self.shard.documents)}
        in_shard = (row for row in rows if row.document_id in place)
        read = sorted(in_shard, key=lambda row: (place[row.document_id], row.page_number))
        # Record the known cost of a page whose row becomes unknown because the other attempt's cost is unknown.
        pairs = [(page, self.replaced.get((page.document_id, page.page_number))) for page in read]
        costs = [(page.cost_usd, earlier.cost_usd) for page, earlier in pairs if earlier is not None]
        if cost_usd := sum((one or 0.0) + (other or 0.0) for one, other in costs if (one is None) != (other is None)):
            self.journal.record(Spending(known_usd=cost_usd))
        read = with_earlier_usage(with_earlier_usage(read, self.replaced), self.uncounted)
        texts = document_texts(read)
        pages = with_continuations(read, texts)
        if self.replaces:
            standing = self._replace_pages(pages)
        else:
            standing = self.dataset.commit_pages(self.shard.shard_id, pages)
        # Record the cost of rows that another driver's rows have displaced.
        kept = {(row.document_id, row.page_number, row.finished_at) for row in standing}
        displaced = [row for row in pages if (row.document_id, row.page_number, row.finished_at) not in kept]
        if cost_usd := sum(row.cost_usd or 0.0 for row in displaced):
            self.journal.record(Spending(known_usd=cost_usd))
        return standing, self._finish(standing, texts if standing == pages else {})

    def _replace_pages(self, pages: list[PageResult]) -> list[PageResult]:
        """Replace the pages. Good rows stay, also those that another driver has written in the meantime."""
        self.journal.mark_replacing()
        stored = self.dataset.pages(self.shard.shard_id)
        good = {(row.document_id, row.page_number): row for row in stored if row.status is not PageStatus.FAILED}
        pages = [good.get((page.document_id, page.page_number), page) for page in pages]
        self.dataset.replace_pages(self.shard.shard_id, pages)
        return pages

    def _finish(self, pages: Sequence[PageResult], texts: Mapping[str, DocumentText]) -> list[DocumentResult]:
        """Write the documents of `pages`. `texts`: those of the pages that are made already, by document."""
        by_document: dict[str, list[PageResult]] = defaultdict(list)
        for page in pages:
            by_document[page.document_id].append(page)
        now = datetime.now(UTC)
        rows = [
            document_result(
                document, by_document[document.document_id], self.identity, now, texts.get(document.document_id)
            )
            for document in self.shard.documents
        ]
        is_replacing = self.journal.is_replacing()
        if is_replacing:
            self.dataset.replace_documents(self.shard.shard_id, rows)
        else:
            self.dataset.commit_documents(self.shard.shard_id, rows)
        failed_over = [
            (page.document_id, page.page_number)
            for page in pages
            if page.status is PageStatus.FAILED and page.route_reason == RouteReason.FAILED_OVER
        ]
        if failed_over or is_replacing:
            self.journal.keep_passed(failed_over)
        self.journal.delete()
        return rows

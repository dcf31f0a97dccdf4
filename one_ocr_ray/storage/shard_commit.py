"""One shard on its way from its journal to its two files in the dataset, in steps that a crash may cut anywhere.

commit    pages/<shard> put-if-absent, documents/<shard> put-if-absent, journal gone
replace   mark in the journal, pages/<shard> replaced, documents/<shard> replaced, journal and mark gone

Whatever is found on opening says which step comes next; nothing that the journal holds is read again.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.policy.dataset.documents import document_result
from one_ocr_ray.policy.dataset.journal import best_pages, split_for_retry, with_earlier_usage, with_retried
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.document import with_continuations
from one_ocr_ray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult, Shard
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.storage.dataset import Dataset
    from one_ocr_ray.storage.store.objects import Objects

    Pages = dict[tuple[str, int], PageResult]


class ShardCommit:
    """A shard that a worker has in hand. Blocking; to be used by one thread at a time, `journal` apart."""

    def __init__(
        self,
        output: Objects,
        dataset: Dataset,
        shard: Shard,
        identity: RunIdentity,
        *,
        again: bool = False,
        only: frozenset[int] | None = None,
        selection: PageSelection = ALL_PAGES,
    ) -> None:
        """Read what stands of `shard`. `again`: its failed pages (of page numbers `only`, if given) are wanted anew."""
        self.journal = Journal(output, shard.shard_id, identity.config_id)
        self._dataset = dataset
        self._shard = shard
        self._identity = identity
        self._standing = dataset.pages(shard.shard_id)
        self._journaled = self.journal.read()
        # A retry found a file that was gone, and was cut off: its pages are planned and do not stand in the dataset.
        self._is_short = self._lacks_pages(selection) and bool(self._standing or dataset.documents(shard.shard_id))
        self._replaces = again or self._is_short
        rows = [*self._standing, *self._journaled]
        self.kept: Pages  # what needs no reading
        self.replaced: Mapping[tuple[str, int], PageResult] = {}  # failed pages that are wanted anew
        if again:
            self.kept, self.replaced = split_for_retry(rows, identity.run_id, only)
        elif self._is_short:
            self.kept = best_pages([*with_retried(self._standing, self._journaled), *self._journaled])
        else:
            self.kept = best_pages(rows)

    def _lacks_pages(self, selection: PageSelection) -> bool:
        standing = {(page.document_id, page.page_number) for page in self._standing}
        return any(
            (document.document_id, number) not in standing
            for document in self._shard.documents
            if document.failure is None and document.page_count is not None
            for number in selection.of(document.page_count)
        )

    @property
    def pages_committed(self) -> bool:
        """Whether every page was read, and an attempt before this one was cut off in its last steps."""
        return bool(self._standing) and not self._replaces

    def recover(self) -> tuple[list[PageResult], list[DocumentResult]]:
        """End what an attempt has left that was cut off between its steps, or while it read failed pages anew."""
        pages = with_retried(self._standing, self._journaled)
        if pages != self._standing:
            pages = self._replace_pages(pages)
        return pages, self._finish(pages)

    def commit(self, read: Sequence[PageResult]) -> tuple[list[PageResult], list[DocumentResult]]:
        """Put all pages of the shard, in order, and the documents that follow from them. Gives what stands then."""
        self._record_swallowed(read)
        pages = with_continuations(with_earlier_usage(read, self.replaced))
        if self._replaces:
            standing = self._replace_pages(pages)
        else:
            standing = self._dataset.commit_pages(self._shard.shard_id, pages)
        self._record_displaced(pages, standing)
        return standing, self._finish(standing)

    def _record_swallowed(self, read: Sequence[PageResult]) -> None:
        """A known cost that is carried over to an unknown one, or the other way round, stands in no row any more."""
        pairs = [(page, self.replaced.get((page.document_id, page.page_number))) for page in read]
        costs = [(page.cost_usd, earlier.cost_usd) for page, earlier in pairs if earlier is not None]
        if cost_usd := sum((one or 0.0) + (other or 0.0) for one, other in costs if (one is None) != (other is None)):
            self.journal.record(Spending(known_usd=cost_usd))

    def _record_displaced(self, pages: Sequence[PageResult], standing: Sequence[PageResult]) -> None:
        """Another driver's rows stand where these were to be: what these have cost must count all the same."""
        kept = {(row.document_id, row.page_number, row.finished_at) for row in standing}
        displaced = [row for row in pages if (row.document_id, row.page_number, row.finished_at) not in kept]
        if cost_usd := sum(row.cost_usd or 0.0 for row in displaced):
            self.journal.record(Spending(known_usd=cost_usd))

    def _replace_pages(self, pages: list[PageResult]) -> list[PageResult]:
        """What is good in the dataset stays, also what another driver has put there since this one looked."""
        self.journal.mark_replacing()
        standing = self._dataset.pages(self._shard.shard_id)
        good = {(row.document_id, row.page_number): row for row in standing if row.status is not PageStatus.FAILED}
        pages = [good.get((page.document_id, page.page_number), page) for page in pages]
        self._dataset.replace_pages(self._shard.shard_id, pages)
        return pages

    def _finish(self, pages: Sequence[PageResult]) -> list[DocumentResult]:
        by_document: dict[str, list[PageResult]] = defaultdict(list)
        for page in pages:
            by_document[page.document_id].append(page)
        now = datetime.now(UTC)
        rows = [
            document_result(document, by_document[document.document_id], self._identity, now)
            for document in self._shard.documents
        ]
        if self.journal.is_replacing():
            self._dataset.replace_documents(self._shard.shard_id, rows)
        else:
            self._dataset.commit_documents(self._shard.shard_id, rows)
        self.journal.delete()
        return rows

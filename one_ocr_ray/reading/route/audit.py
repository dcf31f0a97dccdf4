"""Has a second reader read a share of the pages too, and records the differences."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.policy.evaluation.page_score import disagreement
from one_ocr_ray.policy.route.audit import AuditedPage, is_audited, second_reader
from one_ocr_ray.reading.page.loop import read_page
from one_ocr_ray.storage.audit_records import audited_pages, record_audit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage
    from one_ocr_ray.reading.page.loop import ReadContext
    from one_ocr_ray.reading.route.reader import Reader
    from one_ocr_ray.storage.store.objects import Objects


@dataclass(frozen=True, slots=True)
class Audit:
    """Which pages are audited. `embedded`: the embedded engine, which audits the last reader of a route without it."""

    share: float
    readers: tuple[Reader, ...]  # the route
    embedded: Reader | None = None

    def second(self, row: PageResult) -> Reader | None:
        """Who reads this page once more. None for a page that is not in the sample."""
        if row.status is not PageStatus.OK or not is_audited(row.document_id, row.page_number, self.share):
            return None
        by_name = {reader.called: reader for reader in self.readers}
        if row.engine not in by_name:
            return None  # an earlier run has read it by a reader that is not on this route
        name = second_reader(list(by_name), row.engine)
        return by_name.get(name, self.embedded) if name is not None else None


class ShardAudit:
    """The audit of one shard, with what an earlier attempt has done of it."""

    def __init__(self, audit: Audit | None, output: Objects, shard_id: str, done: set[tuple[str, int]]) -> None:
        self._audit = audit
        self._output = output
        self._shard_id = shard_id
        self._done = done

    @classmethod
    def open(cls, audit: Audit | None, output: Objects, shard_id: str) -> ShardAudit:
        """Find what was audited of the shard; without `audit` nothing is. Blocks."""
        done = {(page.document_id, page.page_number) for page in audited_pages(output, shard_id)} if audit else set()
        return cls(audit, output, shard_id, done)

    def lacking(self, rows: Iterable[PageResult]) -> set[tuple[str, int]]:
        """The pages among `rows` that are still to be audited."""
        return {(row.document_id, row.page_number) for row in rows if self._second(row) is not None}

    async def read(self, document: DocumentRef, page: RenderedPage, row: PageResult, context: ReadContext) -> None:
        """Have the page of `row` read once more, if it is in the sample. Its cost is told as one that no row holds.

        Raises StoppedError when the whole job must stop, with the page unaudited.
        """
        second = self._second(row)
        if second is None:
            return
        other = await read_page(document, page, replace(context, readers=(second,), ocr=None))
        known = other.cost_usd is not None  # else `read_page` has told all but the requests
        tokens = (other.input_tokens or 0, other.output_tokens or 0) if known else (0, 0)
        cost_usd = other.cost_usd or 0.0
        context.record_spending(Spending(other.attempts, *tokens, cost_usd, readers={second.called: cost_usd}))
        errors, words = await asyncio.to_thread(disagreement, row.markdown or "", other.markdown or "")
        audited = AuditedPage(
            row.document_id,
            row.page_number,
            row.engine,
            row.route_reason,
            second.called,
            other.cost_usd,
            words,
            None if other.status is PageStatus.FAILED else errors,
            other.markdown,
        )
        await asyncio.to_thread(record_audit, self._output, self._shard_id, audited)
        self._done.add((row.document_id, row.page_number))

    def _second(self, row: PageResult) -> Reader | None:
        if self._audit is None or (row.document_id, row.page_number) in self._done:
            return None
        return self._audit.second(row)

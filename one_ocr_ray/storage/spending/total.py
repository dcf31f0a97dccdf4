"""The cost of an output over all runs, from rows and records beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.cost.spending import Spending, of_rows
from one_ocr_ray.policy.dataset.journal import best_pages, uncounted_passes
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.spending.records import recorded_spending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.model import PageRequest, PageResult
    from one_ocr_ray.policy.cost.metering import ProviderMetering
    from one_ocr_ray.policy.dataset.summary import OutputCounts
    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.store.objects import Objects


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that requests of unknown cost can have cost, whichever model they asked. Nothing without models."""

    asked: tuple[tuple[ProviderMetering, PageRequest], ...]  # each model, and what it is asked
    longest_side_px: int

    def request_usd(self) -> float | None:
        """The most that one request for any page can cost."""
        return self._usd(self.longest_side_px, self.longest_side_px, 1)

    def row_usd(self, row: PageResult) -> float | None:
        """The most that all requests of a row can cost."""
        return self._usd(
            row.image_width or self.longest_side_px, row.image_height or self.longest_side_px, row.attempts
        )

    def _usd(self, width_px: int, height_px: int, requests: int) -> float | None:
        costs = [metering.worst_case_usd(width_px, height_px, request, requests) for metering, request in self.asked]
        known = [usd for usd in costs if usd is not None]
        return max(known, default=0.0) if len(known) == len(costs) else None


def spending_with(output: Objects, rows: Iterable[PageResult], dearest: WorstCase) -> Spending:
    """The cost of `rows`, and of all recorded requests of this output."""
    recorded = recorded_spending(output, dearest.request_usd())
    return recorded + of_rows(rows, frozenset(recorded.rows), dearest.row_usd)


def spending_of(
    output: Objects,
    dataset: Dataset,
    counts: OutputCounts,
    *,
    open_shards: Iterable[str],
    config_id: str,
    dearest: WorstCase,
) -> Spending:
    """The cost of a whole output. `counts` are those of its documents, which know most of it."""
    settled = Spending(known_usd=counts.cost_usd or 0.0)
    if dearest.request_usd() is None and counts.without_cost:  # without a price the rows say no more
        return settled + Spending(unknown_usd=None)

    def rows() -> Iterable[PageResult]:
        for shard_id in sorted(counts.without_cost):
            yield from dataset.pages(shard_id)
        for shard_id in open_shards:
            # Rows of the shard that its documents do not count yet.
            committed, journal = dataset.pages(shard_id), Journal(output, shard_id, config_id)
            journaled = best_pages(journal.read()).values()
            if dataset.documents(shard_id):
                counted = {(page.document_id, page.page_number, page.finished_at) for page in committed}
                keyed = (((page.document_id, page.page_number, page.finished_at), page) for page in journaled)
                yield from (page for key, page in keyed if key not in counted)
            else:
                yield from committed or [*journaled, *uncounted_passes(journal.passed, journaled).values()]

    return settled + spending_with(output, rows(), dearest)

"""The summary at a run's end (`--json`): the output's counts, and this run's use."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from one_ocr_ray.errors import EXIT_OK, EXIT_SOME_FAILED
from one_ocr_ray.model import Outcome
from one_ocr_ray.policy.dataset.row_counts import RowCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.policy.route.reader_use import ReaderUse

# The columns of `documents` that the counts of an output need.
COUNTED_COLUMNS = ("document_id", "outcome", "pages_ok", "pages_blank", "pages_failed", "cost_usd", "error")


@dataclass(slots=True)
class OutputCounts:
    """Documents and pages of an output by outcome, their cost, and the planned numbers."""

    documents: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    cost_usd: float | None = 0.0  # as far as it is known; None without a price
    unknown_usd: float | None = 0.0  # an upper bound of the cost of requests whose cost is unknown
    without_cost: set[str] = field(default_factory=set)  # shards with documents of unknown cost, not counted yet
    planned: RowCounts = field(default_factory=RowCounts)
    unopened: Counter[str] = field(default_factory=Counter)  # documents, by the code of their error

    def add(self, shard_id: str, rows: Sequence[Mapping[str, Any]], *, copies: bool) -> None:
        """Count the `documents` rows of a shard. Copies have no pages of their own and cost nothing."""
        costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
        if len(costs) == len(rows):
            self.cost_usd = (self.cost_usd or 0.0) + sum(costs)
        elif not copies:
            self.without_cost.add(shard_id)
        for row in rows:
            self.documents[row["outcome"]] += 1
            if row["error"] is not None:
                self.unopened[row["error"]["code"]] += 1
            if not copies:
                for status in ("ok", "blank", "failed"):
                    self.pages[status] += row[f"pages_{status}"]

    @property
    def exit_code(self) -> int:
        """0 when every page and every document is good, 3 when some failed."""
        bad = self.pages["failed"] + self.documents[Outcome.FAILED] + self.documents[Outcome.PARTIAL]
        return EXIT_SOME_FAILED if bad else EXIT_OK


@dataclass(frozen=True, slots=True)
class BatchUse:
    """The provider batches of an output over all its runs. `live`: with the provider, run or not."""

    parcels: int = 0
    live: int = 0
    pages_live: int = 0
    uploaded_bytes: int = 0
    deadline: str | None = None  # ISO 8601; when the provider deletes the first results


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run at its end. `as_json` uses the names of the public contract."""

    run_id: str
    output: str
    counts: OutputCounts
    requests: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    elapsed_s: float
    exit_code: int
    pages_read: int  # by this run
    warnings: Mapping[str, int]  # pages that this run has read, by warning
    readers: Mapping[str, ReaderUse] = field(default_factory=dict)  # of this run
    audit: Mapping[str, Any] | None = None  # of the whole output
    endpoints: Mapping[tuple[str, str], int] = field(default_factory=dict)  # requests, by reader and endpoint
    batch: BatchUse | None = None  # None: the output has none

    @property
    def requests_by_endpoint(self) -> dict[str, dict[str, int]]:
        """Requests of each reader that has several endpoints."""
        by_reader: dict[str, dict[str, int]] = {}
        for (reader, endpoint), number in sorted(self.endpoints.items()):
            by_reader.setdefault(reader, {})[endpoint] = number
        return by_reader

    def as_json(self) -> dict[str, Any]:
        documents, pages = self.counts.documents, self.counts.pages
        return {
            "run_id": self.run_id,
            "inputs": {"found": self.counts.planned.documents, "committed": sum(documents.values())},
            "documents": {
                "total": sum(documents.values()),
                "ok": documents[Outcome.COMPLETE],
                "partial": documents[Outcome.PARTIAL],
                "failed": documents[Outcome.FAILED],
            },
            "pages": {"total": sum(pages.values()), **{name: pages[name] for name in ("ok", "blank", "failed")}},
            "requests": {name: self.requests.get(name, 0) for name in ("sent", "throttled", "retried")},
            "readers": {
                name: {"pages": use.pages, "cost_usd": use.cost_usd, "saved_usd": use.saved_usd}
                for name, use in sorted(self.readers.items())
            },
            **({"endpoints": self.requests_by_endpoint} if self.endpoints else {}),
            **({"audit": self.audit} if self.audit is not None else {}),
            **({"batch": asdict(self.batch)} if self.batch is not None else {}),
            "tokens": {"input": self.input_tokens, "output": self.output_tokens},
            "cost_usd": self.cost_usd,
            "cost_usd_total": self.counts.cost_usd,
            "elapsed_s": round(self.elapsed_s, 3),
            "output": self.output,
            "exit_code": self.exit_code,
        }

"""Sums of what the pages of a run have used. Workers add them up and report them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, PageStatus
from one_ocr_ray.policy.failure_rate import fails_as_before
from one_ocr_ray.policy.known_sums import add_known
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.reading.page.events import RequestDone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.model import ErrorCode, PageResult
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.page.events import ReadingEvent


@dataclass(slots=True)
class RunTotals:
    """Requests, tokens, money and failures of pages. Adds up over workers."""

    pages_read: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by error code
    requests: Counter[str] = field(default_factory=Counter)  # sent, throttled, retried
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0  # as far as it was told; None: there is no price
    warnings: Counter[str] = field(default_factory=Counter)  # pages by warning
    failed_as_before: int = 0  # pages that were read again, and are not among `failures`
    readers: dict[str, ReaderUse] = field(default_factory=dict)  # by the name of the reader; blank pages are nobody's
    endpoints: Counter[tuple[str, str]] = field(default_factory=Counter)  # requests, by reader and endpoint
    servers_usd: float = 0.0  # of `cost_usd`: the time that requests had the run's own servers

    def observe(self, event: ReadingEvent) -> None:
        """Count a request by its endpoint, and a throttled one; a page's row does neither."""
        if isinstance(event, RequestDone) and event.endpoint is not None:
            self.endpoints[event.endpoint] += 1
        failure = event.answer.failure if isinstance(event, RequestDone) and event.answer is not None else None
        if failure is not None and failure.action is Action.THROTTLED:
            self.requests["throttled"] += 1

    def observe_own_server(self, event: ReadingEvent) -> None:
        """Add what a request to a server of the run's own has cost."""
        if isinstance(event, RequestDone):
            self.servers_usd += event.cost_usd or 0.0

    def add_page(self, page: PageResult, before: ErrorCode | None = None, saved_usd: float | None = 0.0) -> None:
        """Count a page that was read; `before` is why it failed in an earlier run."""
        self.pages_read += 1
        if page.failure is not None and fails_as_before(page.failure.code, before):
            self.failed_as_before += 1
        elif page.failure is not None:
            self.failures[page.failure.code] += 1
        self.requests["sent"] += page.attempts
        self.requests["retried"] += max(0, page.attempts - 1)
        self.input_tokens += page.input_tokens or 0
        self.output_tokens += page.output_tokens or 0
        # Without tokens the answer, not the price, is unknown; what is known of its cost comes as spending.
        cost_usd = page.cost_usd if page.cost_usd is not None or page.input_tokens is not None else 0.0
        self.cost_usd = add_known(self.cost_usd, cost_usd)
        self.warnings.update(page.warnings)
        if page.status is not PageStatus.BLANK:
            self._add_use(page.engine, ReaderUse(1, cost_usd, saved_usd, page.model))

    def _add_use(self, reader: str, use: ReaderUse) -> None:
        self.readers[reader] = self.readers.get(reader, ReaderUse()) + use

    def add_spending(self, spending: Spending) -> None:
        """Count requests that no row counts, and by whom costs were that another reader's row counts."""
        self.requests["sent"] += spending.requests
        self.input_tokens += spending.input_tokens
        self.output_tokens += spending.output_tokens
        self.cost_usd = add_known(self.cost_usd, spending.spent_usd)
        for reader, usd in spending.readers.items():
            self._add_use(reader, ReaderUse(0, usd))

    def __add__(self, other: RunTotals) -> RunTotals:
        total = RunTotals(
            self.pages_read + other.pages_read,
            self.failures + other.failures,
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            add_known(self.cost_usd, other.cost_usd),
            self.warnings + other.warnings,
            self.failed_as_before + other.failed_as_before,
            dict(self.readers),
            self.endpoints + other.endpoints,
            self.servers_usd + other.servers_usd,
        )
        for reader, use in other.readers.items():
            total._add_use(reader, use)
        return total


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """How far a worker is. A worker that was restarted is another `incarnation`, and its `totals` start anew."""

    incarnation: str
    totals: RunTotals
    open_pages: Counter[str]  # finished pages of shards that are not committed, by status
    held: Held | None = None  # what keeps its requests from being answered
    failure_notes: Mapping[str, str] = field(default_factory=dict)  # by error code or endpoint: what to tell the user

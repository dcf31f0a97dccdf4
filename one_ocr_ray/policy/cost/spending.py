"""What requests have cost, told or not: sums that keep apart what is known and the most that the unknown can be.

A provider tells the cost of an answer by its tokens. Of a request whose answer was lost on its way nobody tells whether
it was billed: its cost is unknown, which is null in a row and counts at its dearest for a ceiling. Pure; the records
themselves are kept by `storage/spending_records.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from one_ocr_ray.model import Action, ErrorCode, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from one_ocr_ray.model import Answer, Failure, PageResult

_Number = TypeVar("_Number", int, float)

# Of these a gateway or the provider has given up waiting: the model may have written to its end all the same.
_GIVEN_UP = frozenset({408, 504, 524})


def may_be_billed(failure: Failure) -> bool:
    """Whether a request that failed in this way, and tells no tokens, may have to be paid."""
    if failure.code is ErrorCode.PROVIDER_TIMEOUT or failure.answer_lost:
        return True
    status = failure.http_status
    return status is not None and (200 <= status < 300 or status in _GIVEN_UP)


@dataclass(frozen=True, slots=True)
class Spending:
    """A sum over requests. `unknown_usd`: the most that those of unknown cost can have cost; None: no price for them.

    `rows` names the rows whose cost is null and stands here; a row that is null and not named is reckoned by itself.
    """

    requests: int = 0
    input_tokens: int = 0  # as far as they were told
    output_tokens: int = 0
    known_usd: float = 0.0
    unknown_usd: float | None = 0.0
    rows: tuple[str, ...] = ()

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.known_usd + other.known_usd,
            _sum(self.unknown_usd, other.unknown_usd),
            self.rows + other.rows,
        )

    @property
    def most_usd(self) -> float | None:
        """What a ceiling must count; None where that cannot be told."""
        return _sum(self.known_usd, self.unknown_usd)

    @property
    def spent_usd(self) -> float | None:
        """What is known to have been spent; None where there is no price."""
        return None if self.unknown_usd is None else self.known_usd


@dataclass(slots=True)
class PageUsage:
    """What the requests for one page have used, discarded answers included."""

    started_at: datetime
    attempts: int = 0
    queue_s: float = 0.0
    latency_s: float = 0.0
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    cost_usd: float | None = 0.0
    told: Spending = field(default_factory=Spending)

    def add(self, answer: Answer | None, latency_s: float, cost_usd: float | None, most_usd: float | None) -> None:
        """Count one request that was sent; `answer` None: it was given up before one came."""
        self.latency_s += latency_s
        failure = answer.failure if answer is not None else None
        used = answer.usage if answer is not None else Usage()
        throttled = failure is not None and failure.action is Action.THROTTLED
        self.told += Spending(
            0 if throttled else 1,
            used.input_tokens or 0,
            used.output_tokens or 0,
            cost_usd or 0.0,
            0.0 if cost_usd is not None else most_usd,
        )
        if failure is not None and used == Usage() and cost_usd is not None:
            return  # no answer came, only an error: nothing was used
        self.usage = Usage(
            _sum(self.usage.input_tokens, used.input_tokens),
            _sum(self.usage.output_tokens, used.output_tokens),
            _sum(self.usage.cached_tokens, used.cached_tokens),
        )
        self.cost_usd = _sum(self.cost_usd, cost_usd)

    def beside(self, row: PageResult) -> Spending | None:
        """What `row` cannot tell of this, for its cost is null. None: it tells all, or there is no price anyway."""
        if row.cost_usd is not None or self.told.unknown_usd is None:
            return None
        told = self.told  # the row has the number of requests
        return Spending(0, told.input_tokens, told.output_tokens, told.known_usd, told.unknown_usd, (row_key(row),))


def row_key(row: PageResult) -> str:
    """What names a row among all that ever stood for its page. A row that has taken over another's use is a new one."""
    return f"{row.document_id} {row.page_number} {row.run_id} {row.attempts}"


def of_rows(
    rows: Iterable[PageResult], told: Collection[str], worst_case_usd: Callable[[PageResult], float | None]
) -> Spending:
    """What `rows` say; a null one that is not among `told` counts what `worst_case_usd` says of it."""
    total = Spending()
    for row in rows:
        if row.cost_usd is not None:
            total += Spending(known_usd=row.cost_usd)
        elif row_key(row) not in told:
            total += Spending(unknown_usd=worst_case_usd(row))
    return total


def _sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return None if one is None or other is None else one + other

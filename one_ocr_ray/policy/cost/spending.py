"""What requests have cost: known costs, apart from an upper bound of unknown ones.

A provider reports the tokens of an answer, and so its cost. If an answer was lost on its way, nobody knows whether it
was billed. Its cost is unknown: null in a row, and the worst case for a ceiling. `storage/spending/records.py` keeps
the records.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode, TokenUsage
from one_ocr_ray.policy.known_sums import add_known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from one_ocr_ray.model import Answer, Failure, PageResult

# A gateway or the provider has given up waiting; the model may have finished its answer all the same.
_GIVEN_UP = frozenset({408, 504, 524})


def may_be_billed(failure: Failure) -> bool:
    """True if a request that failed in this way without token counts may be billed."""
    if failure.code is ErrorCode.PROVIDER_TIMEOUT or failure.answer_lost:
        return True
    status = failure.http_status
    return status is not None and (200 <= status < 300 or status in _GIVEN_UP)


@dataclass(frozen=True, slots=True)
class Spending:
    """The cost of several requests. `unknown_usd` bounds the unknown costs; None if there is no price for them.

    `rows` names the rows whose cost is null because it is counted here. Other null rows are estimated on their own.
    `readers` says whose requests the known cost was; below 0 for what another reader's row counts as its own.
    """

    requests: int = 0
    input_tokens: int = 0  # as far as the provider reported them
    output_tokens: int = 0
    known_usd: float = 0.0
    unknown_usd: float | None = 0.0
    rows: tuple[str, ...] = ()
    readers: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.known_usd + other.known_usd,
            add_known(self.unknown_usd, other.unknown_usd),
            self.rows + other.rows,
            _sums(self.readers, other.readers),
        )

    @property
    def most_usd(self) -> float | None:
        """The cost that a ceiling must count; None if unknown."""
        return add_known(self.known_usd, self.unknown_usd)

    @property
    def spent_usd(self) -> float | None:
        """The known cost; None if there is no price."""
        return None if self.unknown_usd is None else self.known_usd


@dataclass(slots=True)
class PageUsage:
    """What the requests of one page have used, including discarded answers."""

    started_at: datetime
    attempts: int = 0
    moved: int = 0  # requests that went to another endpoint, and are no attempts
    queue_s: float = 0.0
    latency_s: float = 0.0
    usage: TokenUsage = field(default_factory=lambda: TokenUsage(0, 0, 0))  # unknown where a free reader is alone
    cost_usd: float | None = 0.0
    spending: Spending = field(default_factory=Spending)
    recalled: Spending = field(default_factory=Spending)  # of answers from batches, which have records of their own
    passed: Spending = field(default_factory=Spending)  # what the journal knows already
    _free_alone: bool = field(default=False, init=False)  # no other reader has answered yet

    def pass_on(self) -> None:
        """The journal now records what the page has cost so far: it is known, or has no price."""
        self.passed = replace(self.spending, requests=self.spending.requests - self.moved)

    @property
    def since_passed(self) -> Spending:
        """What the journal does not know."""
        all_of_it, passed = self.spending, self.passed
        return replace(
            all_of_it,
            requests=all_of_it.requests - passed.requests,
            input_tokens=all_of_it.input_tokens - passed.input_tokens,
            output_tokens=all_of_it.output_tokens - passed.output_tokens,
            known_usd=all_of_it.known_usd - passed.known_usd,
            readers=_sums(all_of_it.readers, {reader: -usd for reader, usd in passed.readers.items()}),
        )

    def add(
        self,
        answer: Answer | None,
        latency_s: float,
        cost_usd: float | None,
        most_usd: float | None,
        *,
        reader: str,
        is_recalled: bool = False,
        is_free: bool = False,
    ) -> None:
        """Count one request to `reader`. `answer` is None if it was given up before an answer came.

        `is_free`: the reader knows no tokens, and takes none from what others have told.
        """
        self.latency_s += latency_s
        failure = answer.failure if answer is not None else None
        used = answer.usage if answer is not None else TokenUsage()
        throttled = failure is not None and failure.action is Action.THROTTLED
        one = Spending(
            0 if throttled else 1,
            used.input_tokens or 0,
            used.output_tokens or 0,
            cost_usd or 0.0,
            0.0 if cost_usd is not None else most_usd,
            readers={reader: cost_usd} if cost_usd else {},
        )
        if is_recalled:
            self.recalled += one
        else:
            self.spending += one
        if failure is not None and used == TokenUsage() and cost_usd is not None:
            return  # only an error came: nothing was used
        before = TokenUsage(0, 0, 0) if self._free_alone else self.usage
        self._free_alone = is_free and (self._free_alone or self.usage == TokenUsage(0, 0, 0))
        if is_free and not self._free_alone:
            return
        self.usage = TokenUsage(
            add_known(before.input_tokens, used.input_tokens),
            add_known(before.output_tokens, used.output_tokens),
            add_known(before.cached_tokens, used.cached_tokens),
        )
        self.cost_usd = add_known(self.cost_usd, cost_usd)

    def missing_in(self, row: PageResult) -> Spending:
        """What `row` does not show: moved requests, which reader has cost what, and all costs if its own is null."""
        total = self.spending + self.recalled
        if row.cost_usd is not None or total.unknown_usd is None:
            others = {reader: usd for reader, usd in total.readers.items() if reader != row.engine}
            return Spending(self.moved, readers={**others, row.engine: -sum(others.values())} if others else {})
        return replace(total, requests=self.moved, rows=(row_key(row),))


def _sums(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {reader: one.get(reader, 0.0) + other.get(reader, 0.0) for reader in {**one, **other}}


def row_key(row: PageResult) -> str:
    """The key of a row among all rows its page ever had. A row that took over the usage of another has a new key."""
    return f"{row.document_id} {row.page_number} {row.run_id} {row.attempts}"


def of_rows(
    rows: Iterable[PageResult], recorded: Collection[str], worst_case_usd: Callable[[PageResult], float | None]
) -> Spending:
    """The spending of `rows`. A row without cost counts its worst case unless it is among `recorded`."""
    total = Spending()
    for row in rows:
        if row.cost_usd is not None:
            total += Spending(known_usd=row.cost_usd)
        elif row_key(row) not in recorded:
            total += Spending(unknown_usd=worst_case_usd(row))
    return total

"""Transitions of a task: which view follows from what its worker reports. Times are passed in.

`rev` rises with every change. A restarted task manager numbers its revisions in a new epoch, above all earlier ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import ErrorCode, Failure, PageStatus
from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.policy.tasks.task import PageEvent, PageFailure, RetryOrder, TaskOutcome, TaskState, TaskView

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime, timedelta

    from one_ocr_ray.model import PageResult

REVS_PER_EPOCH = 1 << 24
# Codes that stop a job rather than a page: the rest of the task can be read once the cause is fixed.
STOP_CODES = frozenset({
    ErrorCode.AUTH, ErrorCode.BILLING, ErrorCode.QUOTA_DAY, ErrorCode.MODEL_NOT_FOUND, ErrorCode.BUDGET,
    ErrorCode.INVALID_OPTIONS,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What the task manager keeps of a finished page."""

    page_number: int
    status: PageStatus
    failure: Failure | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    reader: str
    model: str
    saved_usd: float | None  # None: unknown
    run_id: str
    finished_at: datetime


PageOutcomes = Mapping[int, PageOutcome]  # by page number


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """What a worker reports of a task since its last update."""

    pages_total: int | None = None  # None: unknown so far
    pages: tuple[PageOutcome, ...] = ()
    pages_running: int = 0


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A worker's last report of a task."""

    pages: tuple[PageOutcome, ...] = ()  # all finished pages, if the task was read to its end
    unsent: tuple[PageOutcome, ...] = ()  # those that no update has reported
    failure: Failure | None = None  # of the document, or the reason that stopped the job
    put_off: bool = False  # storage fails: hand the task out again later
    cancelled: bool = False


def outcome_of(page: PageResult, saved_usd: float | None = None) -> PageOutcome:
    """What the task manager keeps of `page`. `saved_usd`: against the last reader of its route; None: unknown."""
    return PageOutcome(
        page.page_number,
        page.status,
        page.failure,
        page.attempts,
        page.input_tokens,
        page.output_tokens,
        page.cost_usd,
        page.engine,
        page.model,
        saved_usd,
        page.run_id,
        page.finished_at,
    )


def next_rev(rev: int, epoch: int) -> int:
    """The revision after `rev` for a task manager of `epoch`."""
    return max(rev + 1, epoch * REVS_PER_EPOCH)


def new_events(before: PageOutcomes, pages: Iterable[PageOutcome], rev: int) -> tuple[PageEvent, ...]:
    """Events for those `pages` that are new or changed since `before`."""
    return tuple(
        PageEvent(rev, page.page_number, page.status, page.failure.code if page.failure else None)
        for page in sorted(pages, key=lambda each: each.page_number)
        if page.page_number not in before or before[page.page_number].status is not page.status
    )


def with_pages(view: TaskView, pages: PageOutcomes, *, total: int | None = None, running: int = 0) -> TaskView:
    """`view` with the counts, failures and usage of the finished pages `pages`."""
    by_reader: dict[str, list[PageOutcome]] = defaultdict(list)
    for page in pages.values():
        if page.status is not PageStatus.BLANK:  # those are nobody's
            by_reader[page.reader].append(page)
    failures = tuple(
        PageFailure(number, page.failure.code, page.failure.message, page.failure.code.retryable, page.attempts)
        for number, page in sorted(pages.items())
        if page.failure is not None
    )
    return replace(
        view,
        pages_total=total if total is not None else view.pages_total,
        pages_done=len(pages),
        pages_failed=len(failures),
        pages_running=running,
        failures=failures,
        input_tokens=sum_known(page.input_tokens for page in pages.values()) if pages else None,
        output_tokens=sum_known(page.output_tokens for page in pages.values()) if pages else None,
        cost_usd=sum_known(page.cost_usd for page in pages.values()) if pages else None,
        readers={
            reader: ReaderUse(
                len(own),
                sum_known(page.cost_usd for page in own),
                sum_known(page.saved_usd for page in own),
                own[-1].model,
            )
            for reader, own in by_reader.items()
        },
    )


def started(view: TaskView, now: datetime) -> TaskView:
    """`view` after a worker has started the task. A retry stays in state RETRY until it ends."""
    state = TaskState.STARTED if view.state is TaskState.PENDING else view.state
    return replace(view, state=state, started_at=view.started_at or now)


def ended(view: TaskView, end: TaskResult, now: datetime, kept_for: timedelta) -> TaskView:
    """`view` after the end of the task.

    SUCCESS if a page is good or none was selected; FAILURE if no page is good or the whole document failed.
    """
    good = view.pages_done - view.pages_failed
    if end.cancelled:
        state = TaskState.REVOKED
    elif end.failure is not None or (good == 0 and view.pages_total):
        state = TaskState.FAILURE
    else:
        state = TaskState.SUCCESS
    outcome = TaskOutcome.PARTIAL if good else TaskOutcome.EMPTY
    if good and good == view.pages_total:
        outcome = TaskOutcome.COMPLETE
    return replace(
        view,
        state=state,
        outcome=outcome,
        error=end.failure,
        pages_running=0,
        finished_at=now,
        expires_at=now + kept_for,
    )


def retry_of(view: TaskView, pages: Sequence[int] | None, run_id: str) -> RetryOrder | None:
    """What a retry of `view` reads again. None if the task runs or has nothing to retry.

    If the task was cancelled or stopped, or failed for a temporary reason, the retry includes pages that were never
    read.
    """
    if not view.state.terminal:
        return None
    failed = {failure.page_number for failure in view.failures}
    chosen = failed if pages is None else failed & set(pages)
    stopped = view.error is not None and (view.error.code in STOP_CODES or view.error.code.retryable)
    unread = view.state is TaskState.REVOKED or stopped
    unread = unread and (view.pages_total is None or view.pages_done < view.pages_total)
    if not chosen and not unread:
        return None
    return RetryOrder(run_id, None if pages is None else tuple(sorted(chosen)))


def state_of_batch(states: Collection[TaskState]) -> TaskState:
    """The state of several tasks: the least finished, or the best of ended ones."""
    for state in (TaskState.RETRY, TaskState.STARTED):
        if state in states:
            return state
    if TaskState.PENDING in states:
        return TaskState.PENDING if set(states) == {TaskState.PENDING} else TaskState.STARTED
    return next(state for state in (TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED) if state in states)


def can_be_retried(view: TaskView) -> bool:
    """True if a retry would read anything."""
    return retry_of(view, None, "") is not None


def kept_pages(rows: Iterable[PageResult], order: RetryOrder) -> dict[int, PageOutcome]:
    """The pages that `order` keeps: good ones, unnamed ones, and those already read again."""
    return {
        row.page_number: outcome_of(row)
        for row in rows
        if row.failure is None
        or row.run_id == order.run_id
        or (order.pages is not None and row.page_number not in order.pages)
    }


def retrying(view: TaskView, pages: PageOutcomes) -> TaskView:
    """`view` at the start of a retry that keeps the pages `pages`."""
    begun = replace(view, state=TaskState.RETRY, outcome=None, error=None, finished_at=None, expires_at=None)
    return with_pages(begun, pages)

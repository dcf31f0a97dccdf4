"""How a task goes on: what its worker tells of it, and which view follows. No clock, no store: times are passed in.

`rev` rises with every change. A book that is restarted goes on in a generation of its own, above all revs before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import ErrorCode, Failure, PageStatus
from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.policy.tasks.task import PageEvent, PageFailure, RetryOrder, TaskOutcome, TaskState, TaskView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from one_ocr_ray.model import PageResult

REVS_PER_EPOCH = 1 << 24
# The codes that stop a job and not a page: what is left of the task can be read once the cause is mended.
STOP_CODES = frozenset(
    {
        ErrorCode.AUTH,
        ErrorCode.BILLING,
        ErrorCode.QUOTA_DAY,
        ErrorCode.MODEL_NOT_FOUND,
        ErrorCode.BUDGET,
        ErrorCode.INVALID_OPTIONS,
    }
)


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What a book needs to know of a finished page."""

    page_number: int
    status: PageStatus
    failure: Failure | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


Notes = Mapping[int, PageOutcome]  # by page number


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """What a worker tells of a task since it last told something."""

    pages_total: int | None = None  # None: not known yet
    pages: tuple[PageOutcome, ...] = ()
    pages_running: int = 0


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The last that a worker tells of a task."""

    pages: tuple[PageOutcome, ...] = ()  # of all finished pages, where the task was read to its end
    failure: Failure | None = None  # of the document, or what stopped the job
    put_off: bool = False  # storage fails: the task is to be handed out again later
    cancelled: bool = False


def outcome_of(page: PageResult) -> PageOutcome:
    """What a book needs to know of `page`."""
    return PageOutcome(
        page.page_number,
        page.status,
        page.failure,
        page.attempts,
        page.input_tokens,
        page.output_tokens,
        page.cost_usd,
    )


def next_rev(rev: int, generation: int) -> int:
    """The rev after `rev` for a book of `generation`."""
    return max(rev + 1, generation * REVS_PER_EPOCH)


def new_events(before: Notes, notes: Iterable[PageOutcome], rev: int) -> tuple[PageEvent, ...]:
    """The events of those `notes` that are news after `before`."""
    return tuple(
        PageEvent(rev, note.page_number, note.status, note.failure.code if note.failure else None)
        for note in sorted(notes, key=lambda each: each.page_number)
        if note.page_number not in before or before[note.page_number].status is not note.status
    )


def with_pages(view: TaskView, notes: Notes, *, total: int | None = None, running: int = 0) -> TaskView:
    """`view` with counts, failures and usage of the finished pages `notes`."""
    failed = sorted((note for note in notes.values() if note.failure is not None), key=lambda note: note.page_number)
    return replace(
        view,
        pages_total=total if total is not None else view.pages_total,
        pages_done=len(notes),
        pages_failed=len(failed),
        pages_running=running,
        failures=tuple(
            PageFailure(
                note.page_number, note.failure.code, note.failure.message, note.failure.code.retryable, note.attempts
            )
            for note in failed
            if note.failure is not None
        ),
        input_tokens=sum_known(note.input_tokens for note in notes.values()) if notes else None,
        output_tokens=sum_known(note.output_tokens for note in notes.values()) if notes else None,
        cost_usd=sum_known(note.cost_usd for note in notes.values()) if notes else None,
    )


def started(view: TaskView, now: datetime) -> TaskView:
    """A worker has taken the task up. A retry stays one until it ends."""
    state = TaskState.STARTED if view.state is TaskState.PENDING else view.state
    return replace(view, state=state, started_at=view.started_at or now)


def ended(view: TaskView, end: TaskResult, now: datetime, kept_for: timedelta) -> TaskView:
    """The task after its last update was taken in.

    SUCCESS where a page is good or none was asked for; FAILURE where none is, or where the document as a whole failed.
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
    """What a retry of `view` reads again; None when it runs or there is nothing.

    A task that was cancelled or stopped, or failed as a whole for a reason that may pass, also goes on with the pages
    that were never read.
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


def can_be_retried(view: TaskView) -> bool:
    """Whether a retry of all that failed would read anything."""
    return retry_of(view, None, "") is not None


def staying(rows: Iterable[PageResult], order: RetryOrder) -> dict[int, PageOutcome]:
    """The pages that `order` leaves as they are: good ones, those not named, those it has read itself already."""
    return {
        row.page_number: outcome_of(row)
        for row in rows
        if row.failure is None
        or row.run_id == order.run_id
        or (order.pages is not None and row.page_number not in order.pages)
    }


def retrying(view: TaskView, notes: Notes) -> TaskView:
    """`view` when a retry begins that leaves the pages `notes` as they are."""
    begun = replace(view, state=TaskState.RETRY, outcome=None, error=None, finished_at=None, expires_at=None)
    return with_pages(begun, notes)

"""Which view of a task follows from what its worker tells."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.model import ErrorCode, Failure, PageStatus
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskRecord, TaskState, TaskView
from one_ocr_ray.policy.tasks.transitions import (
    PageOutcome,
    TaskResult,
    can_be_retried,
    ended,
    kept_pages,
    new_events,
    next_rev,
    outcome_of,
    retry_of,
    retrying,
    started,
    state_of_batch,
    with_pages,
)
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from collections.abc import Iterable

WEEK = timedelta(days=7)
RECORD = TaskRecord("t_" + "A" * 22, "b_1", "", "a.pdf", 3, "sha256:0", NOON)
STOPPED = Failure(ErrorCode.BUDGET, "spent")


def notes(good: Iterable[int] = (), failed: Iterable[int] = ()) -> dict[int, PageOutcome]:
    """PageOutcomes of pages, as a worker makes them."""
    of = document(1)
    rows = [page(of, n, input_tokens=10, output_tokens=5) for n in good]
    rows += [page(of, n, failure=TIMED_OUT, input_tokens=1, output_tokens=0, attempts=3) for n in failed]
    return {row.page_number: outcome_of(row) for row in rows}


def view(good: Iterable[int] = (), failed: Iterable[int] = (), total: int | None = 3, **changes: Any) -> TaskView:
    """A task under way with those pages finished."""
    return with_pages(TaskView(RECORD, TaskState.STARTED, rev=1, **changes), notes(good, failed), total=total)


def test_counts_failures_and_usage_follow_from_the_pages() -> None:
    """In page order; unknown usage of one page makes the sum unknown."""
    now = view(good=[3, 1], failed=[2])
    assert (now.pages_total, now.pages_done, now.pages_failed) == (3, 3, 1)
    assert [(each.page_number, each.code, each.retryable, each.attempts) for each in now.failures] == [
        (2, ErrorCode.RENDER_TIMEOUT, True, 3)
    ]
    assert (now.input_tokens, now.output_tokens, now.cost_usd) == (21, 10, 0.0)
    assert now.readers == {"local": ReaderUse(3, 0.0, None, "some-model")}
    unknown = {9: outcome_of(page(document(1), 9, cost_usd=None))}
    assert with_pages(now, unknown).cost_usd is None


@pytest.mark.parametrize(
    ("good", "failed", "total", "state", "outcome"),
    [
        ([1, 2, 3], [], 3, TaskState.SUCCESS, TaskOutcome.COMPLETE),
        ([1, 3], [2], 3, TaskState.SUCCESS, TaskOutcome.PARTIAL),
        ([], [1, 2, 3], 3, TaskState.FAILURE, TaskOutcome.EMPTY),
        ([], [], 0, TaskState.SUCCESS, TaskOutcome.EMPTY),
    ],
)
def test_how_a_task_ends(
    good: list[int], failed: list[int], total: int, state: TaskState, outcome: TaskOutcome
) -> None:
    """By its pages."""
    end = ended(view(good, failed, total), TaskResult(), NOON, WEEK)
    assert (end.state, end.outcome, end.finished_at, end.expires_at) == (state, outcome, NOON, NOON + WEEK)


def test_what_ends_a_task_as_a_whole() -> None:
    """A document that cannot be opened and a stopped job are failures with an error; a cancelled task is revoked."""
    corrupt = ended(view(total=None), TaskResult(failure=Failure(ErrorCode.PDF_CORRUPT, "cut")), NOON, WEEK)
    assert (corrupt.state, corrupt.outcome) == (TaskState.FAILURE, TaskOutcome.EMPTY)
    assert corrupt.error is not None
    assert corrupt.error.code is ErrorCode.PDF_CORRUPT
    stopped = ended(view(good=[1]), TaskResult(failure=STOPPED), NOON, WEEK)
    assert (stopped.state, stopped.outcome) == (TaskState.FAILURE, TaskOutcome.PARTIAL)
    revoked = ended(view(good=[1]), TaskResult(cancelled=True), NOON, WEEK)
    assert (revoked.state, revoked.outcome, revoked.pages_done) == (TaskState.REVOKED, TaskOutcome.PARTIAL, 1)


def test_events_are_news_only() -> None:
    """A page that a restarted worker tells again is none; one that a retry has mended is."""
    before = notes(good=[1], failed=[2])
    told = [*notes(good=[1, 2]).values(), *notes(failed=[3]).values()]
    assert [(each.page_number, each.status, each.error) for each in new_events(before, told, 7)] == [
        (2, PageStatus.OK, None),
        (3, PageStatus.FAILED, ErrorCode.RENDER_TIMEOUT),
    ]


def test_revs_rise_within_and_across_epochs() -> None:
    """Revisions never fall, whatever an earlier task manager has used."""
    first = next_rev(0, epoch=1)
    assert next_rev(first, epoch=1) == first + 1
    assert next_rev(first + 1000, epoch=2) > first + 1000
    assert next_rev(next_rev(first, 2), 2) > next_rev(first, 2)


def test_what_a_retry_reads() -> None:
    """Failed pages of an ended task, or those named of them; a stopped one goes on where it was."""
    partial = ended(view(good=[1], failed=[2, 3]), TaskResult(), NOON, WEEK)
    assert retry_of(view(good=[1], failed=[2]), None, "r") is None, "it is running"
    assert retry_of(ended(view(good=[1, 2, 3]), TaskResult(), NOON, WEEK), None, "r") is None
    assert retry_of(partial, [1], "r") is None, "that page is good"
    everything, one = retry_of(partial, None, "r"), retry_of(partial, [1, 3], "r")
    assert everything is not None
    assert everything.pages is None
    assert one is not None
    assert one.pages == (3,)
    corrupt = ended(view(total=None), TaskResult(failure=Failure(ErrorCode.PDF_CORRUPT, "cut")), NOON, WEEK)
    assert retry_of(corrupt, None, "r") is None
    crashed = TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, "The worker died 5 times on this document."))
    for end in (TaskResult(failure=STOPPED), TaskResult(cancelled=True), crashed):
        assert retry_of(ended(view(good=[1]), end, NOON, WEEK), None, "r") is not None
        assert can_be_retried(ended(view(good=[1]), end, NOON, WEEK))
    assert not can_be_retried(corrupt)


def test_a_retry_keeps_what_is_good() -> None:
    """The state is RETRY until it ends, and only the pages that are read again are open."""
    partial = ended(view(good=[1], failed=[2, 3]), TaskResult(), NOON, WEEK)
    order = retry_of(partial, [3], "r")
    assert order is not None
    of = document(1)
    rows = [page(of, 1), page(of, 2, failure=TIMED_OUT), page(of, 3, failure=TIMED_OUT)]
    stays = kept_pages(rows, order)
    now = retrying(partial, stays)
    assert (now.state, now.outcome, now.finished_at, now.expires_at) == (TaskState.RETRY, None, None, None)
    assert (now.pages_done, now.pages_failed, sorted(stays)) == (2, 1, [1, 2])
    read_before_a_crash = page(of, 3, failure=TIMED_OUT, run_id="r")
    assert sorted(kept_pages([*rows[:2], read_before_a_crash], order)) == [1, 2, 3]
    assert started(now, NOON).state is TaskState.RETRY
    assert started(TaskView(RECORD, TaskState.PENDING, 0), NOON).state is TaskState.STARTED


@pytest.mark.parametrize(
    ("states", "together"),
    [
        (["PENDING", "PENDING"], "PENDING"),
        (["PENDING", "SUCCESS"], "STARTED"),
        (["STARTED", "FAILURE"], "STARTED"),
        (["RETRY", "STARTED", "PENDING"], "RETRY"),
        (["SUCCESS", "FAILURE", "REVOKED"], "SUCCESS"),
        (["REVOKED", "FAILURE"], "FAILURE"),
        (["REVOKED"], "REVOKED"),
    ],
)
def test_a_batch_is_as_its_least_finished_task(states: list[str], together: str) -> None:
    """While tasks are open the least finished one counts, afterwards the best one."""
    assert state_of_batch([TaskState(state) for state in states]) == together

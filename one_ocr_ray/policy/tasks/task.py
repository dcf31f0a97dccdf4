"""A task of the service: one uploaded PDF, what is known of it, which states follow which. Values and decisions only.

States are those of the public contract: PENDING -> STARTED <-> RETRY -> SUCCESS | FAILURE | REVOKED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.model import ErrorCode, Failure, PageStatus


# A place in a list of tasks: when one was created, in microseconds of the epoch, and its id. Every one is valid.
CURSOR = r"^(\d{1,16}\.t_[A-Za-z0-9_-]{22})?$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TaskState(StrEnum):
    PENDING = "PENDING"
    STARTED = "STARTED"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"

    @property
    def terminal(self) -> bool:
        """Whether nothing happens any more, unless its owner asks for a retry."""
        return self in {TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED}


class TaskOutcome(StrEnum):
    """What a task that ended has brought."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What an upload asks for; None = as the service is configured."""

    engine: str | None = None
    model: str | None = None
    pages: str | None = None
    prompt: str | None = None
    longest_side: int | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What was accepted: durable in the store before the 202 is sent, and never changed."""

    task_id: str  # "t_" + 22 characters, 128 random bits
    batch_id: str
    owner: str  # fingerprint of the API key; empty where the service has no keys
    filename: str  # for display only
    size_bytes: int
    document_id: str  # sha256:<hex>
    created_at: datetime
    options: TaskOptions = TaskOptions()
    claim: str | None = None  # of the upload's idempotency key, if it had one: the file's name stands in the claim, too


@dataclass(frozen=True, slots=True)
class RetryOrder:
    """Which failed pages are to be read again (None: all), and the run that their new rows belong to."""

    run_id: str
    pages: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PageFailure:
    """A page that failed, as a task's status lists it."""

    page_number: int
    code: ErrorCode
    message: str
    retryable: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """All that the status of a task tells, at one `rev`."""

    record: TaskRecord
    state: TaskState
    rev: int  # rises with every change, never falls
    outcome: TaskOutcome | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None  # when upload and results are removed
    pages_total: int | None = None  # selected pages; None until the PDF was opened
    pages_done: int = 0  # finished, failed ones included
    pages_failed: int = 0
    pages_running: int = 0
    failures: tuple[PageFailure, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: Failure | None = None  # of the document as a whole

    @property
    def percent(self) -> float:
        """Share of the selected pages that are finished, 0-100."""
        if self.state.terminal and not self.pages_total:
            return 100.0
        return round(100.0 * self.pages_done / self.pages_total, 1) if self.pages_total else 0.0


@dataclass(frozen=True, slots=True)
class PageEvent:
    """One page ended."""

    rev: int
    page_number: int
    status: PageStatus
    error: ErrorCode | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A stretch of a list of tasks, newest first; `next_cursor` leads to the rest."""

    items: tuple[TaskView, ...]
    next_cursor: str | None = None


def cursor_of(created_at: datetime, task_id: str) -> str:
    """The place of a task in a list, as `CURSOR` describes it."""
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}.{task_id}"


def parse_cursor(cursor: str) -> tuple[datetime, str]:
    """The creation and the id that `cursor_of` made `cursor` of. Raises ValueError for what cannot be one."""
    if not cursor or not re.fullmatch(CURSOR, cursor):
        raise ValueError("not a cursor")
    micros, _, task_id = cursor.partition(".")
    return _EPOCH + timedelta(microseconds=int(micros)), task_id

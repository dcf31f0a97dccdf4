"""A task of the service: one uploaded PDF, its options, state and results.

States are those of the public contract: PENDING -> STARTED <-> RETRY -> SUCCESS | FAILURE | REVOKED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.model import ErrorCode, Failure, PageStatus
    from one_ocr_ray.policy.route.reader_use import ReaderUse


# A position in a list of tasks: creation time in microseconds since 1970, and the id. The empty one is the start.
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
        """True if the task has ended; only a retry starts it again."""
        return self in {TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED}


class TaskOutcome(StrEnum):
    """The result of a task that ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Options of an upload; None = as the service is configured."""

    engine: str | None = None
    model: str | None = None
    pages: str | None = None
    prompt: str | None = None
    longest_side: int | None = None
    max_cost_usd: float | None = None
    route: str | None = None
    escalate: str | None = None  # kinds of pages that go on to the next reader
    callback_url: str | None = None
    schema: str | None = None  # JSON text of a JSON Schema


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """An accepted upload: stored before the 202 is sent, and never changed."""

    task_id: str  # "t_" + 22 characters, 128 random bits
    batch_id: str
    owner: str  # fingerprint of the API key; empty where the service has no keys
    filename: str  # for display only
    size_bytes: int
    document_id: str  # sha256:<hex>
    created_at: datetime
    options: TaskOptions = TaskOptions()
    claim: str | None = None  # of the upload's idempotency key, if any: the claim contains the file's name, too


@dataclass(frozen=True, slots=True)
class RetryOrder:
    """A retry: the failed pages to read again (None: all), and their new run."""

    run_id: str
    pages: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PageFailure:
    """A failed page in a task's status."""

    page_number: int
    code: ErrorCode
    message: str
    retryable: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """The status of a task at one revision."""

    record: TaskRecord
    state: TaskState
    rev: int  # revision: rises with every change, never falls
    outcome: TaskOutcome | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None  # when upload and results are deleted
    pages_total: int | None = None  # selected pages; None until the PDF was opened
    pages_done: int = 0  # finished, failed ones included
    pages_failed: int = 0
    pages_running: int = 0
    failures: tuple[PageFailure, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: Failure | None = None  # of the whole document
    readers: Mapping[str, ReaderUse] = field(default_factory=dict)  # by name

    @property
    def percent(self) -> float:
        """Share of the selected pages that are finished, 0-100."""
        if self.state.terminal and not self.pages_total:
            return 100.0
        return round(100.0 * self.pages_done / self.pages_total, 1) if self.pages_total else 0.0


@dataclass(frozen=True, slots=True)
class PageEvent:
    """The end of one page."""

    rev: int
    page_number: int
    status: PageStatus
    error: ErrorCode | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A part of a list of tasks, newest first; `next_cursor` leads to the rest."""

    items: tuple[TaskView, ...]
    next_cursor: str | None = None


def cursor_of(created_at: datetime, task_id: str) -> str:
    """The position of a task in a list, as `CURSOR` describes it."""
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}.{task_id}"


def parse_cursor(cursor: str) -> tuple[datetime, str]:
    """The creation time and id in a cursor. Raise ValueError if it is none."""
    if not cursor or not re.fullmatch(CURSOR, cursor):
        raise ValueError("not a cursor")
    micros, _, task_id = cursor.partition(".")
    return _EPOCH + timedelta(microseconds=int(micros)), task_id

"""A task as JSON in the store, and back: what was accepted, and where it stood when its state last changed for good.

Nothing that cannot be told again from the task's dataset is kept here but what its status says at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.tasks import PageFailure, RetryOrder, TaskOptions, TaskOutcome, TaskRecord, TaskState, TaskView

FORMAT = "one-ocr-ray task 1"
_TIMES = ("started_at", "finished_at", "expires_at")


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as the store has it; `retry` is set while failed pages are being read again."""

    view: TaskView
    retry: RetryOrder | None = None
    erased: bool = False  # it has expired: its bytes are gone, and it is remembered for a while
    deleted: bool = False  # its deletion has begun and must be ended


def encode_record(record: TaskRecord) -> bytes:
    """`record` as a file."""
    return orjson.dumps(asdict(record))


def decode_record(data: bytes) -> TaskRecord:
    """The record that `encode_record` made `data` of."""
    return _record(orjson.loads(data))


def encode_task(task: StoredTask) -> bytes:
    """`task` as a file."""
    values = asdict(task)
    error = task.view.error
    values["view"]["error"] = error and {"code": error.code, "message": error.message}
    return orjson.dumps({"format": FORMAT, **values})


def decode_task(data: bytes) -> StoredTask:
    """The task that `encode_task` made `data` of. Raises ValueError for a file of another format."""
    values = orjson.loads(data)
    if values.get("format") != FORMAT:
        raise ValueError("the state of a task has another format")
    retry = values["retry"]
    return StoredTask(_view(values["view"]), retry and _retry(retry), values["erased"], values["deleted"])


def not_begun(record: TaskRecord) -> StoredTask:
    """A task of which the store knows no more than that it was accepted."""
    return StoredTask(TaskView(record, TaskState.PENDING, rev=0))


def being_deleted(task: StoredTask) -> StoredTask:
    """`task` marked for the end of its deletion, without anything that its owner gave."""
    return replace(remembered(task), deleted=True)


def remembered(task: StoredTask) -> StoredTask:
    """What is kept of an expired task: that it was there."""
    view = task.view
    record = replace(view.record, filename="", size_bytes=0, document_id="", options=TaskOptions())
    return StoredTask(replace(view, record=record, failures=(), error=None), erased=True)


def _record(values: dict[str, Any]) -> TaskRecord:
    options = TaskOptions(**values.pop("options"))
    created_at = datetime.fromisoformat(values.pop("created_at"))
    return TaskRecord(**values, created_at=created_at, options=options)


def _retry(values: dict[str, Any]) -> RetryOrder:
    pages = values["pages"]
    return RetryOrder(values["run_id"], None if pages is None else tuple(pages))


def _view(values: dict[str, Any]) -> TaskView:
    error, outcome = values.pop("error"), values.pop("outcome")
    failures = values.pop("failures")
    times: dict[str, Any] = {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
    return TaskView(
        record=_record(values.pop("record")),
        state=TaskState(values.pop("state")),
        outcome=outcome and TaskOutcome(outcome),
        failures=tuple(PageFailure(**{**each, "code": ErrorCode(each["code"])}) for each in failures),
        error=error and Failure(ErrorCode(error["code"]), error["message"]),
        **(values | times),
    )

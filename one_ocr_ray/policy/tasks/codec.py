"""A task as JSON in the store, and back: what was accepted, and where it stood when its state last changed for good.

Nothing that cannot be told again from the task's dataset is kept here but what its status says at once. A file that is
torn, foreign or of a newer release costs its task, which is set aside: neither read, nor begun again, nor removed.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.tasks.task import (
    PageFailure,
    RetryOrder,
    TaskOptions,
    TaskOutcome,
    TaskRecord,
    TaskState,
    TaskView,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_Noun = TypeVar("_Noun")

FORMAT = "one-ocr-ray task 1"
SET_ASIDE = Failure(
    ErrorCode.RENDER_CRASHED,
    "A file of this task in the service's store is damaged, or of a newer release, so the task is set aside as it is. "
    "Put the file back, or start that release; or upload the document again.",
)
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
_TIMES = ("started_at", "finished_at", "expires_at")


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as the store has it; `retry` is set while failed pages are being read again."""

    view: TaskView
    retry: RetryOrder | None = None
    erased: bool = False  # it has expired: its bytes are gone, and it is remembered for a while
    deleted: bool = False  # its deletion has begun and must be ended
    aside: bool = False  # its files cannot be understood; never kept


def encode_record(record: TaskRecord) -> bytes:
    """`record` as a file."""
    return orjson.dumps(asdict(record))


def decode_record(data: bytes) -> TaskRecord:
    """The record that `encode_record` made `data` of. Raises ValueError for any other file."""
    try:
        return _record(orjson.loads(data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the record of a task") from error


def encode_task(task: StoredTask) -> bytes:
    """`task` as a file."""
    values = asdict(task)
    error = task.view.error
    values["view"]["error"] = error and {"code": error.code, "message": error.message}
    return orjson.dumps({"format": FORMAT, **values})


def decode_task(data: bytes) -> StoredTask:
    """The task that `encode_task` made `data` of. Raises ValueError for any other file, and one of another format."""
    try:
        values = orjson.loads(data)
        if values.get("format") != FORMAT:
            raise ValueError("the state of a task has another format")
        retry = values["retry"]
        return StoredTask(_view(values["view"]), retry and _retry(retry), values["erased"], values["deleted"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the state of a task") from error


def not_begun(record: TaskRecord) -> StoredTask:
    """A task of which the store knows no more than that it was accepted."""
    return StoredTask(TaskView(record, TaskState.PENDING, rev=0))


def set_aside(task_id: str, files: Sequence[bytes | None]) -> StoredTask:
    """A task whose `files`, record or state, are not what this release writes: it has failed, and nothing is changed.

    What they tell of its owner is believed; where they tell nothing, it is a task of nobody's.
    """
    record = TaskRecord(task_id, "", "", "", 0, "", _UNKNOWN_TIME)
    for data in files:
        record = _told_in(data, task_id) or record
    return as_set_aside(not_begun(record))


def as_set_aside(task: StoredTask) -> StoredTask:
    """`task`, of whose files one cannot be understood."""
    view = replace(task.view, state=TaskState.FAILURE, outcome=TaskOutcome.EMPTY, error=SET_ASIDE, expires_at=None)
    return replace(task, view=view, aside=True)


def being_deleted(task: StoredTask) -> StoredTask:
    """`task` marked for the end of its deletion, without anything that its owner gave."""
    return replace(remembered(task), deleted=True)


def remembered(task: StoredTask) -> StoredTask:
    """What is kept of an expired task: that it was there."""
    view = task.view
    record = replace(view.record, filename="", size_bytes=0, document_id="", options=TaskOptions())
    return StoredTask(replace(view, record=record, failures=(), error=None), erased=True)


def _record(values: dict[str, Any]) -> TaskRecord:
    options = _noun(TaskOptions, values["options"])
    return _noun(TaskRecord, values | {"created_at": datetime.fromisoformat(values["created_at"]), "options": options})


def _noun(kind: type[_Noun], values: dict[str, Any]) -> _Noun:
    """What a newer release has added is passed over where it says nothing; else a task would be read not as asked.

    Raises ValueError where it says something.
    """
    known = _known(kind, values)
    if any(value for name, value in values.items() if name not in known):
        raise ValueError(f"a {kind.__name__} of a newer release")
    return kind(**known)


def _known(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _told_in(data: bytes | None, task_id: str) -> TaskRecord | None:
    """What of a record can be told from a file that is not quite one."""
    try:
        values = orjson.loads(data or b"")
        values = values.get("view", values)
        values = values.get("record", values)
        known = {field.name: values[field.name] for field in fields(TaskRecord) if field.default is MISSING}
        known["created_at"] = datetime.fromisoformat(known["created_at"])
        return TaskRecord(**(known | {"task_id": task_id}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _retry(values: dict[str, Any]) -> RetryOrder:
    pages = values["pages"]
    return _noun(RetryOrder, values | {"pages": None if pages is None else tuple(pages)})


def _view(values: dict[str, Any]) -> TaskView:
    error, outcome = values["error"], values["outcome"]
    times: dict[str, Any] = {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
    told = {
        "record": _record(values["record"]),
        "state": TaskState(values["state"]),
        "outcome": outcome and TaskOutcome(outcome),
        "failures": tuple(_page_failure(each) for each in values["failures"]),
        "error": error and Failure(ErrorCode(error["code"]), error["message"]),
    }
    return TaskView(**_known(TaskView, values | times | told))  # it tells what was; what more it tells changes nothing


def _page_failure(values: dict[str, Any]) -> PageFailure:
    return PageFailure(**_known(PageFailure, values | {"code": ErrorCode(values["code"])}))

"""A task as JSON in the store, and back: its record and last durable state.

The state holds only what the status shows at once; everything else comes from the task's dataset. If a file is torn,
foreign or of a newer release, its task is set aside: neither read, nor started again, nor deleted.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.route.reader_use import ReaderUse
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

_Decoded = TypeVar("_Decoded")

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
    """A task in the store; `retry` is set while failed pages are read again."""

    view: TaskView
    retry: RetryOrder | None = None
    erased: bool = False  # it has expired: only this tombstone is left for a while
    deleted: bool = False  # its deletion has started and must be finished
    aside: bool = False  # its files cannot be read; never stored
    undelivered: tuple[TaskView, ...] = ()  # ends that the callback's host does not know of yet, oldest first


def encode_record(record: TaskRecord) -> bytes:
    """Encode `record` as a file."""
    return orjson.dumps(asdict(record))


def decode_record(data: bytes) -> TaskRecord:
    """Decode a file of `encode_record`. Raise ValueError for any other file."""
    try:
        return _record(orjson.loads(data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the record of a task") from error


def encode_task(task: StoredTask) -> bytes:
    """Encode `task` as a file."""
    values = asdict(task)
    for view, encoded in zip((task.view, *task.undelivered), (values["view"], *values["undelivered"]), strict=True):
        encoded["error"] = view.error and {"code": view.error.code, "message": view.error.message}
    return orjson.dumps({"format": FORMAT, **values})


def decode_task(data: bytes) -> StoredTask:
    """Decode a file of `encode_task`. Raise ValueError for any other file or format."""
    try:
        values = orjson.loads(data)
        if values.get("format") != FORMAT:
            raise ValueError("the state of a task has another format")
        retry = values["retry"]
        pages = retry and retry["pages"]
        order = _decoded(RetryOrder, retry | {"pages": None if pages is None else tuple(pages)}) if retry else None
        # Earlier releases called them `untold`.
        undelivered = tuple(map(_view, values.get("undelivered", values.get("untold", ()))))
        return StoredTask(_view(values["view"]), order, values["erased"], values["deleted"], undelivered=undelivered)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the state of a task") from error


def not_begun(record: TaskRecord) -> StoredTask:
    """A task that was accepted and not started."""
    return StoredTask(TaskView(record, TaskState.PENDING, rev=0))


def set_aside(task_id: str, files: Sequence[bytes | None]) -> StoredTask:
    """A failed task whose `files` (record or state) this release cannot read. They are not changed.

    Its owner comes from what can be read of them; otherwise it has none.
    """
    record = TaskRecord(task_id, "", "", "", 0, "", _UNKNOWN_TIME)
    for data in files:
        record = _salvaged_record(data, task_id) or record
    return as_set_aside(not_begun(record))


def as_set_aside(task: StoredTask) -> StoredTask:
    """`task`, one of whose files cannot be read."""
    view = replace(task.view, state=TaskState.FAILURE, outcome=TaskOutcome.EMPTY, error=SET_ASIDE, expires_at=None)
    return replace(task, view=view, aside=True)


def being_deleted(task: StoredTask) -> StoredTask:
    """`task` marked as being deleted, without any of the owner's data."""
    return replace(tombstone(task), deleted=True)


def tombstone(task: StoredTask) -> StoredTask:
    """The tombstone of an expired task: its id and state, without name, options or errors."""
    view = task.view
    record = replace(view.record, filename="", size_bytes=0, document_id="", options=TaskOptions())
    return StoredTask(replace(view, record=record, failures=(), error=None), erased=True)


def _record(values: dict[str, Any]) -> TaskRecord:
    options = _decoded(TaskOptions, values["options"])
    return _decoded(
        TaskRecord, values | {"created_at": datetime.fromisoformat(values["created_at"]), "options": options}
    )


def _decoded(kind: type[_Decoded], values: dict[str, Any]) -> _Decoded:
    """`values` as a `kind`. Raise ValueError if a field of a newer release has a value: ignoring it could be wrong."""
    known = _known(kind, values)
    if any(value for name, value in values.items() if name not in known):
        raise ValueError(f"a {kind.__name__} of a newer release")
    return kind(**known)


def _known(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _salvaged_record(data: bytes | None, task_id: str) -> TaskRecord | None:
    """What can be read of a record in a damaged file."""
    try:
        values = orjson.loads(data or b"")
        values = values.get("view", values)
        values = values.get("record", values)
        known = {field.name: values[field.name] for field in fields(TaskRecord) if field.default is MISSING}
        known["created_at"] = datetime.fromisoformat(known["created_at"])
        return TaskRecord(**(known | {"task_id": task_id}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _view(values: dict[str, Any]) -> TaskView:
    error, outcome = values["error"], values["outcome"]
    times: dict[str, Any] = {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
    decoded = {
        "record": _record(values["record"]),
        "state": TaskState(values["state"]),
        "outcome": outcome and TaskOutcome(outcome),
        "failures": tuple(
            PageFailure(**_known(PageFailure, each | {"code": ErrorCode(each["code"])})) for each in values["failures"]
        ),
        "error": error and Failure(ErrorCode(error["code"]), error["message"]),
        "readers": {name: ReaderUse(**_known(ReaderUse, use)) for name, use in values.get("readers", {}).items()},
    }
    return TaskView(**_known(TaskView, values | times | decoded))  # a view is a report: unknown fields may be ignored

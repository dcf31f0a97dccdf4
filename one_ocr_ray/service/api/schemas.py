"""The JSON bodies of answers, as models that are made from tasks and pages."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import orjson
from pydantic import BaseModel
from starlette.responses import Response  # the task manager, which sends callbacks, does without FastAPI

from one_ocr_ray.blocks import Block, PageBox
from one_ocr_ray.policy.dataset.schema import page_row
from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskState
from one_ocr_ray.policy.tasks.transitions import can_be_retried, state_of_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from one_ocr_ray.model import Failure, PageResult
    from one_ocr_ray.policy.tasks.task import TaskRecord, TaskView


class AcceptedTask(BaseModel):
    """A file that became a task."""

    task_id: str
    filename: str
    state: TaskState
    size_bytes: int
    status_url: str
    events_url: str


class RejectedFile(BaseModel):
    """A file that was refused beside good ones."""

    filename: str
    code: str
    detail: str


class UploadAnswer(BaseModel):
    """The tasks that an upload became."""

    batch_id: str
    task_ids: list[str]
    tasks: list[AcceptedTask]
    rejected: list[RejectedFile]

    @classmethod
    def of(cls, batch_id: str, records: Iterable[TaskRecord], rejected: list[RejectedFile]) -> Self:
        tasks = [
            AcceptedTask(
                task_id=record.task_id,
                filename=record.filename,
                state=TaskState.PENDING,
                size_bytes=record.size_bytes,
                status_url=f"/task_status/{record.task_id}",
                events_url=f"/task_status/{record.task_id}/events",
            )
            for record in records
        ]
        return cls(batch_id=batch_id, task_ids=[task.task_id for task in tasks], tasks=tasks, rejected=rejected)


class Progress(BaseModel):
    """Pages of a task or batch; `pages_total` is null until the PDF was opened."""

    pages_total: int | None
    pages_done: int
    pages_failed: int
    pages_running: int
    percent: float

    @classmethod
    def of(cls, view: TaskView) -> Self:
        return cls(**{name: getattr(view, name) for name in cls.model_fields})


class FailedPage(BaseModel):
    """A page that failed."""

    page_number: int
    code: str
    message: str
    retryable: bool
    attempts: int


class Usage(BaseModel):
    """What the task has used; null = unknown."""

    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None

    @classmethod
    def of(cls, views: Iterable[TaskView]) -> Self:
        views = list(views)
        return cls(**{name: sum_known(getattr(view, name) for view in views) for name in cls.model_fields})


class Links(BaseModel):
    """Links to the next steps; null where a step is not possible now."""

    self: str
    events: str
    pages: str
    result: str | None
    cancel: str | None
    retry: str | None

    @classmethod
    def of(cls, view: TaskView) -> Self:
        status, here, ended = (
            f"/task_status/{view.record.task_id}",
            f"/v1/tasks/{view.record.task_id}",
            view.state.terminal,
        )
        return cls(
            self=status,
            events=f"{status}/events",
            pages=f"{here}/pages",
            result=f"{here}/result" if ended else None,
            cancel=None if ended else f"{here}/cancel",
            retry=f"{here}/retry" if can_be_retried(view) else None,
        )


class ErrorBody(BaseModel):
    """Why a document or a page failed."""

    code: str
    message: str
    retryable: bool
    http_status: int | None

    @classmethod
    def of(cls, failure: Failure | None) -> Self | None:
        if failure is None:
            return None
        code, message = failure.code, failure.message
        return cls(code=code, message=message, retryable=code.retryable, http_status=failure.http_status)


class TaskStatus(BaseModel):
    """The status of a task."""

    task_id: str
    batch_id: str
    state: TaskState
    outcome: TaskOutcome | None
    rev: int
    filename: str
    document_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    failures: list[FailedPage]
    usage: Usage
    links: Links
    error: ErrorBody | None

    @classmethod
    def of(cls, view: TaskView) -> Self:
        record = view.record
        return cls(
            task_id=record.task_id,
            batch_id=record.batch_id,
            state=view.state,
            outcome=view.outcome,
            rev=view.rev,
            filename=record.filename,
            document_id=record.document_id,
            created_at=record.created_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
            progress=Progress.of(view),
            failures=[FailedPage.model_validate(failure, from_attributes=True) for failure in view.failures],
            usage=Usage.of([view]),
            links=Links.of(view),
            error=ErrorBody.of(view.error),
        )


class TaskList(BaseModel):
    """A stretch of tasks, newest first."""

    items: list[TaskStatus]
    next_cursor: str | None


class PageSummary(BaseModel):
    """A finished page without its text."""

    page_number: int
    status: str
    attempts: int
    error: ErrorBody | None
    truncated: bool
    confidence: float | None
    warnings: list[str]
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    latency_ms: int | None
    links: dict[str, str]

    @classmethod
    def of(cls, page: PageResult, task_id: str) -> Self:
        same = cls.model_fields.keys() - {"error", "links"}
        values = {name: getattr(page, name) for name in same}
        return cls(**values, error=ErrorBody.of(page.failure), links=page_links(page, task_id))


class PageList(BaseModel):
    """The finished pages of a task, in page order."""

    items: list[PageSummary]


class PageBlocks(BaseModel):
    """The blocks of a page. Boxes are in points, origin at the top left, on the page as it was read.

    `rotation` is the clockwise turn that made the page upright, in degrees: its image is not turned.
    """

    page_number: int
    page_box: PageBox | None
    rotation: int | None
    blocks: list[Block] | None


class Batch(BaseModel):
    """The tasks of one upload, and their sums."""

    batch_id: str
    state: TaskState
    counts: dict[str, int]
    progress: Progress
    usage: Usage
    tasks: list[TaskStatus]
    links: dict[str, str | None]

    @classmethod
    def of(cls, batch_id: str, views: Sequence[TaskView]) -> Self:
        ended = all(view.state.terminal for view in views)
        here = f"/v1/batches/{batch_id}"
        totals = [view.pages_total for view in views]
        return cls(
            batch_id=batch_id,
            state=state_of_batch({view.state for view in views}),
            counts=Counter(view.state.value for view in views),
            progress=Progress(
                pages_total=None if None in totals and not ended else sum(each or 0 for each in totals),
                pages_done=sum(view.pages_done for view in views),
                pages_failed=sum(view.pages_failed for view in views),
                pages_running=sum(view.pages_running for view in views),
                percent=round(sum(view.percent for view in views) / len(views), 1),
            ),
            usage=Usage.of(views),
            tasks=[TaskStatus.of(view) for view in views],
            links={
                "self": here,
                "events": f"{here}/events",
                "result": f"{here}/result" if ended else None,
                "cancel": None if ended else f"{here}/cancel",
            },
        )


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body`, a model or anything else, as JSON."""
    model = isinstance(body, BaseModel)
    data = body.model_dump_json() if model else orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(data, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def status_body(view: TaskView) -> bytes:
    """The status of a task as JSON, for its callback."""
    return TaskStatus.of(view).model_dump_json().encode()


def page_body(page: PageResult, task_id: str) -> dict[str, Any]:
    """The row of a page in the dataset, with links."""
    return {**page_row(page), "links": page_links(page, task_id)}


def page_links(page: PageResult, task_id: str) -> dict[str, str]:
    """Links to what there is of a page."""
    here = f"/v1/tasks/{task_id}/pages/{page.page_number}"
    return {"self": here, "image": f"{here}/image", "blocks": f"{here}/blocks"}

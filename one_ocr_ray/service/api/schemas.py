"""The JSON bodies of answers: models that declare them, and functions that make them from tasks and pages."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from fastapi.responses import Response
from pydantic import BaseModel

from one_ocr_ray.blocks import Block, PageBox
from one_ocr_ray.policy.dataset.schema import page_row
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskState, TaskView
from one_ocr_ray.policy.tasks.transitions import can_be_retried

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.model import PageResult


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
    """What an upload became."""

    batch_id: str
    task_ids: list[str]
    tasks: list[AcceptedTask]
    rejected: list[RejectedFile]


class Progress(BaseModel):
    """Pages of a task or batch; `pages_total` is null until the PDF was opened."""

    pages_total: int | None
    pages_done: int
    pages_failed: int
    pages_running: int
    percent: float


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


class Links(BaseModel):
    """Links to the next steps; null where a step is not possible now."""

    self: str
    events: str
    pages: str
    result: str | None
    cancel: str | None
    retry: str | None


class ErrorBody(BaseModel):
    """Why a document or a page failed."""

    code: str
    message: str
    retryable: bool
    http_status: int | None


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


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON."""
    data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(data, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def status_body(view: TaskView) -> dict[str, Any]:
    """The status of a task, as `TaskStatus` declares it."""
    record, ended = view.record, view.state.terminal
    here = f"/v1/tasks/{record.task_id}"
    return {
        "task_id": record.task_id,
        "batch_id": record.batch_id,
        "state": view.state,
        "outcome": view.outcome,
        "rev": view.rev,
        "filename": record.filename,
        "document_id": record.document_id,
        "created_at": record.created_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
        "progress": progress_body(view),
        "failures": [asdict(failure) for failure in view.failures],
        "usage": {
            "input_tokens": view.input_tokens,
            "output_tokens": view.output_tokens,
            "cost_usd": view.cost_usd,
        },
        "links": {
            "self": f"/task_status/{record.task_id}",
            "events": f"/task_status/{record.task_id}/events",
            "pages": f"{here}/pages",
            "result": f"{here}/result" if ended else None,
            "cancel": None if ended else f"{here}/cancel",
            "retry": f"{here}/retry" if can_be_retried(view) else None,
        },
        "error": view.error
        and {
            "code": view.error.code,
            "message": view.error.message,
            "retryable": view.error.code.retryable,
            "http_status": view.error.http_status,
        },
    }


def progress_body(view: TaskView) -> dict[str, Any]:
    """The progress of a task, as `Progress` declares it."""
    return {
        "pages_total": view.pages_total,
        "pages_done": view.pages_done,
        "pages_failed": view.pages_failed,
        "pages_running": view.pages_running,
        "percent": view.percent,
    }


def page_body(page: PageResult, task_id: str) -> dict[str, Any]:
    """The row of a page in the dataset, with links."""
    return {**page_row(page), "links": _page_links(page, task_id)}


def page_summary(page: PageResult, task_id: str) -> dict[str, Any]:
    """A page as the list of pages has it."""
    row = page_row(page)
    return {name: row[name] for name in PageSummary.model_fields if name in row} | {"links": _page_links(page, task_id)}


def _page_links(page: PageResult, task_id: str) -> dict[str, str]:
    here = f"/v1/tasks/{task_id}/pages/{page.page_number}"
    return {"self": here, "image": f"{here}/image", "blocks": f"{here}/blocks"}

"""Tasks: status, list, retry, cancel, delete."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from one_ocr_ray.policy.tasks.task import CURSOR, TaskState, TaskView
from one_ocr_ray.service.api.openapi import problem_responses
from one_ocr_ray.service.api.schemas import TaskList, TaskStatus, json_response
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep, require_live
from one_ocr_ray.service.problems import Problem

router = APIRouter(tags=["tasks"])

LONGEST_WAIT_S = 30.0
_PageNumber = Annotated[int, Field(ge=1, le=1_000_000)]
# Fails fast: an error for each of half a million numbers would take longer than all other requests together.
_PageNumbers = Annotated[list[_PageNumber], Field(min_length=1, max_length=10_000, fail_fast=True)]
_TAG = re.compile(r'"(\d{1,18})"')


class RetryRequest(BaseModel):
    """Which failed pages to read again."""

    model_config = ConfigDict(extra="forbid")

    pages: Literal["failed"] | _PageNumbers = "failed"


@router.get(
    "/task_status/{task_id}",
    response_model=TaskStatus,
    responses={**problem_responses(400, 401, 404, 410, 429, 503), 304: {"description": "not changed"}},
)
async def task_status(
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for a change")] = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The status of a task. With `wait` and `If-None-Match` it comes as soon as it has changed."""
    known = _TAG.search(if_none_match or "")
    if known and wait:
        view = require_live(await _changed(service, owner, task_id, int(known[1]), wait))
    else:
        view = await service.task(owner, task_id)
    headers = {"ETag": f'W/"{view.rev}"', "Cache-Control": "private, no-cache"}
    if known and int(known[1]) == view.rev:
        return Response(status_code=304, headers=headers)
    if not view.state.terminal:
        headers["Retry-After"] = "2"
    return json_response(TaskStatus.of(view), headers=headers)


@router.get("/v1/tasks/{task_id}", response_model=TaskStatus, responses=problem_responses(400, 401, 404, 410, 429, 503))
async def task(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """The status of a task, under its path in lists."""
    return json_response(TaskStatus.of(await service.task(owner, task_id)))


@router.get("/v1/tasks", response_model=TaskList, responses=problem_responses(400, 401, 429, 503))
async def tasks(  # noqa: PLR0917 - parameters of a request, given by name
    service: ServiceDep,
    owner: Owner,
    state: TaskState | None = None,
    batch_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(pattern=CURSOR)] = "",
) -> Response:
    """The caller's tasks, newest first; `next_cursor` leads to the rest."""
    found = await service.manager.tasks(owner, state, batch_id, limit, cursor)
    return json_response(TaskList(items=[TaskStatus.of(view) for view in found.items], next_cursor=found.next_cursor))


@router.post(
    "/v1/tasks/{task_id}/retry",
    status_code=202,
    response_model=TaskStatus,
    responses=problem_responses(400, 401, 403, 404, 409, 410, 413, 429, 503),
)
async def retry(
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    order: Annotated[RetryRequest | _PageNumbers | None, Body()] = None,
) -> Response:
    """Read failed pages again: all, or those named. Good pages stay as they are."""
    view = await service.task(owner, task_id)
    if not view.state.terminal:
        raise Problem(
            "task_running", "The task is still running; retry its failed pages when it has ended.", retry_after_s=5
        )
    pages = order.pages if isinstance(order, RetryRequest) else order or "failed"
    again = await service.manager.retry(owner, task_id, None if pages == "failed" else sorted(set(pages)))
    if again is None:
        raise Problem("nothing_to_retry", "None of these pages has failed.")
    return _accepted(again)


@router.post(
    "/v1/tasks/{task_id}/cancel",
    status_code=202,
    response_model=TaskStatus,
    responses={
        **problem_responses(400, 401, 403, 404, 410, 429, 503),
        200: {"model": TaskStatus, "description": "had ended"},
    },
)
async def cancel(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """End the task's work; finished pages stay. A task that has ended stays as it is."""
    view = await service.task(owner, task_id)
    if view.state.terminal:
        return json_response(TaskStatus.of(view))
    return _accepted(require_live(await service.manager.cancel(owner, task_id)))


@router.delete(
    "/v1/tasks/{task_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(400, 401, 403, 404, 429, 503),
)
async def delete(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """End the task's work and erase its upload, images and results."""
    if not await service.manager.delete(owner, task_id):
        require_live(None)
    await service.forget(task_id)
    return Response(status_code=204)


async def _changed(service: Service, owner: str, task_id: str, rev: int, wait_s: float) -> TaskView | None:
    """Wait until the task has changed, or another owner needs the place of this request."""
    with service.polls.opened(owner) as given_up:
        waiting = asyncio.ensure_future(service.manager.changed(owner, task_id, rev, wait_s))
        giving_up = asyncio.ensure_future(given_up.wait())
        try:
            await asyncio.wait({waiting, giving_up}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else await service.manager.task(owner, task_id)
        finally:
            waiting.cancel()
            giving_up.cancel()


def _accepted(view: TaskView) -> Response:
    headers = {"Location": f"/task_status/{view.record.task_id}", "Retry-After": "2"}
    return json_response(TaskStatus.of(view), 202, headers)

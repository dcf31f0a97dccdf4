"""Batches: the tasks of one upload, their sums, their common events, and cancelling them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from one_ocr_ray.service.api import events as events_api
from one_ocr_ray.service.api.events import EventStream, LastEventId, StreamEvent, page_data, progress_data
from one_ocr_ray.service.api.openapi import problem_responses, responses_of
from one_ocr_ray.service.api.schemas import Batch, json_response
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskView
    from one_ocr_ray.service.api.events import Events
    from one_ocr_ray.tasks.port import TaskManager

router = APIRouter(tags=["batches"])

_TASKS_AT_ONCE = 200
_PROBLEMS = problem_responses(400, 401, 404, 429, 503)


async def batch_tasks(service: Service, owner: str, batch_id: str) -> list[TaskView]:
    """The tasks of a batch, in a stable order. Raises Problem when there is none."""
    found = await service.manager.tasks(owner, None, batch_id, _TASKS_AT_ONCE, "")
    if not found.items:
        raise Problem("batch_not_found", "There is no such batch.")
    return sorted(found.items, key=lambda view: view.record.task_id)


@router.get("/v1/batches/{batch_id}", response_model=Batch, responses=_PROBLEMS)
async def batch(service: ServiceDep, owner: Owner, batch_id: str) -> Response:
    """The tasks of one upload and their sums."""
    return json_response(Batch.of(batch_id, await batch_tasks(service, owner, batch_id)))


@router.post(
    "/v1/batches/{batch_id}/cancel",
    status_code=202,
    response_model=Batch,
    responses=problem_responses(400, 401, 403, 404, 429, 503) | {200: {"model": Batch, "description": "had ended"}},
)
async def cancel(service: ServiceDep, owner: Owner, batch_id: str) -> Response:
    """Cancel every task of the batch that is still running."""
    views = await batch_tasks(service, owner, batch_id)
    running = [view.record.task_id for view in views if not view.state.terminal]
    await asyncio.gather(*(service.manager.cancel(owner, task_id) for task_id in running))
    body = Batch.of(batch_id, await batch_tasks(service, owner, batch_id))
    return json_response(body, 202 if running else 200)


@router.get(
    "/v1/batches/{batch_id}/events",
    response_class=StreamingResponse,
    responses=responses_of({"text/event-stream": {}}, 400, 401, 404, 429, 503),
)
async def events(
    service: ServiceDep, owner: Owner, batch_id: str, last_event_id: LastEventId = None
) -> StreamingResponse:
    """The events of all its tasks, each with its `task_id`; `end` when all have ended."""
    views = await batch_tasks(service, owner, batch_id)
    # What a client has seen of each task. The id of an event is the revs of all tasks, in the order of their ids.
    seen = (last_event_id or "").split(".")
    if len(seen) != len(views) or not all(each.isdigit() and len(each) < 19 for each in seen):
        seen = ["0"] * len(views)
    revs = {view.record.task_id: int(rev) for view, rev in zip(views, seen, strict=True)}
    return EventStream(service.streams, owner, follow_batch(service.manager, owner, batch_id, revs))


async def follow_batch(manager: TaskManager, owner: str, batch_id: str, revs: dict[str, int]) -> Events:
    """The events of all tasks in `revs`, each after its rev. Ends with the last task or after `STREAM_S`."""
    news: asyncio.Queue[tuple[TaskView, tuple[PageEvent, ...]] | None] = asyncio.Queue(maxsize=100)
    followers = [asyncio.create_task(_follow(manager, owner, task_id, rev, news)) for task_id, rev in revs.items()]
    revs, ended = dict(revs), set[str]()
    clock = asyncio.get_running_loop()
    end_at = clock.time() + events_api.STREAM_S
    try:
        while ended != revs.keys():
            if (left_s := end_at - clock.time()) <= 0:
                return
            try:
                latest = await asyncio.wait_for(news.get(), min(events_api.KEEP_ALIVE_S, left_s))
            except TimeoutError:
                yield None
                continue
            if latest is None:
                return
            view, pages = latest
            task_id = view.record.task_id
            for page in pages:
                yield StreamEvent("page", {"task_id": task_id, **page_data(page)})
            revs[task_id] = max(view.rev, revs[task_id])
            if view.state.terminal:
                ended.add(task_id)
            yield StreamEvent("progress", progress_data(view), _event_id(revs))
        yield StreamEvent("end", {"batch_id": batch_id}, _event_id(revs))
    finally:
        for follower in followers:
            follower.cancel()


async def _follow(
    manager: TaskManager,
    owner: str,
    task_id: str,
    rev: int,
    news: asyncio.Queue[tuple[TaskView, tuple[PageEvent, ...]] | None],
) -> None:
    """Put the news of one task into `news`. None where the client must come back for them."""
    wait_s = 0.0
    while True:
        try:
            view, pages = await manager.events(owner, task_id, rev, wait_s)
        except (KeyError, TaskManagerUnavailableError):
            return await news.put(None)
        if view.rev > rev or not wait_s:
            await news.put((view, pages))
        if view.state.terminal:
            return None
        rev, wait_s = max(rev, view.rev), events_api.KEEP_ALIVE_S


def _event_id(revs: Mapping[str, int]) -> str:
    return ".".join(str(revs[task_id]) for task_id in sorted(revs))

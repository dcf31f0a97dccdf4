"""Batches: the tasks of one upload, their sums, their events together, and cancelling them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.policy.tasks.task import TaskState, TaskView
from one_ocr_ray.service.api.events import (
    KEEP_ALIVE,
    KEEP_ALIVE_S,
    RETRY,
    STREAM_S,
    EventStream,
    LastEventId,
    event,
    page_data,
    progress_data,
)
from one_ocr_ray.service.api.openapi import answers, problems
from one_ocr_ray.service.api.schemas import Batch, json_response, status_body
from one_ocr_ray.service.dependencies import Owner, Parts, Service
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from one_ocr_ray.policy.tasks.task import PageEvent

router = APIRouter(tags=["batches"])

_TASKS_AT_ONCE = 200
_PROBLEMS = problems(400, 401, 404, 429, 503)


async def views_of(service: Service, owner: str, batch_id: str) -> list[TaskView]:
    """The tasks of a batch, in a stable order. Raises Problem when there is none."""
    found = await service.book.tasks(owner, None, batch_id, _TASKS_AT_ONCE, "")
    if not found.items:
        raise Problem("batch_not_found", "There is no such batch.")
    return sorted(found.items, key=lambda view: view.record.task_id)


@router.get("/v1/batches/{batch_id}", response_model=Batch, responses=_PROBLEMS)
async def batch(service: Parts, owner: Owner, batch_id: str) -> Response:
    """The tasks of one upload and their sums."""
    return json_response(batch_body(batch_id, await views_of(service, owner, batch_id)))


@router.post(
    "/v1/batches/{batch_id}/cancel",
    status_code=202,
    response_model=Batch,
    responses=problems(400, 401, 403, 404, 429, 503) | {200: {"model": Batch, "description": "had ended"}},
)
async def cancel(service: Parts, owner: Owner, batch_id: str) -> Response:
    """Cancel every task of the batch that is still running."""
    views = await views_of(service, owner, batch_id)
    running = [view.record.task_id for view in views if not view.state.terminal]
    await asyncio.gather(*(service.book.cancel(owner, task_id) for task_id in running))
    body = batch_body(batch_id, await views_of(service, owner, batch_id))
    return json_response(body, 202 if running else 200)


@router.get(
    "/v1/batches/{batch_id}/events",
    response_class=StreamingResponse,
    responses=answers({"text/event-stream": {}}, 400, 401, 404, 429, 503),
)
async def events(service: Parts, owner: Owner, batch_id: str, last_event_id: LastEventId = None) -> StreamingResponse:
    """The events of all its tasks, each with its `task_id`; `end` when all have ended."""
    views = await views_of(service, owner, batch_id)
    revs = _revs(views, last_event_id)
    return EventStream(service, owner, _Following(service, owner, batch_id, revs).stream())


def batch_body(batch_id: str, views: Sequence[TaskView]) -> dict[str, Any]:
    """A batch, as `Batch` describes it."""
    ended = all(view.state.terminal for view in views)
    here = f"/v1/batches/{batch_id}"
    totals = [view.pages_total for view in views]
    total = sum(each or 0 for each in totals)
    done = sum(view.pages_done for view in views)
    return {
        "batch_id": batch_id,
        "state": _state([view.state for view in views]),
        "counts": Counter(view.state.value for view in views),
        "progress": {
            "pages_total": None if None in totals and not ended else total,
            "pages_done": done,
            "pages_failed": sum(view.pages_failed for view in views),
            "pages_running": sum(view.pages_running for view in views),
            "percent": round(sum(view.percent for view in views) / len(views), 1),
        },
        "usage": {
            name: sum_known(getattr(view, name) for view in views)
            for name in ("input_tokens", "output_tokens", "cost_usd")
        },
        "tasks": [status_body(view) for view in views],
        "links": {
            "self": here,
            "events": f"{here}/events",
            "result": f"{here}/result" if ended else None,
            "cancel": None if ended else f"{here}/cancel",
        },
    }


def _state(states: Sequence[TaskState]) -> TaskState:
    """Of all tasks together: what the least finished one says; of ended ones the best."""
    for state in (TaskState.RETRY, TaskState.STARTED):
        if state in states:
            return state
    if TaskState.PENDING in states:
        return TaskState.PENDING if set(states) == {TaskState.PENDING} else TaskState.STARTED
    return next(state for state in (TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED) if state in states)


def _revs(views: Sequence[TaskView], last_event_id: str | None) -> dict[str, int]:
    """What a client has seen of each task. The id of an event is the revs of all tasks, in the order of their ids; one
    that does not fit, as after a task was deleted, begins again.
    """
    seen = (last_event_id or "").split(".")
    if len(seen) != len(views) or not all(each.isdigit() and len(each) < 19 for each in seen):
        seen = ["0"] * len(views)
    return {view.record.task_id: int(rev) for view, rev in zip(views, seen, strict=True)}


class _Following:
    """One client's stream over several tasks."""

    def __init__(self, service: Service, owner: str, batch_id: str, revs: dict[str, int]) -> None:
        self._service = service
        self._owner = owner
        self._batch_id = batch_id
        self._revs = revs
        self._ended: set[str] = set()
        self._news: asyncio.Queue[tuple[TaskView, tuple[PageEvent, ...]] | None] = asyncio.Queue(maxsize=100)

    async def stream(self) -> AsyncIterator[bytes]:
        yield RETRY
        clock = asyncio.get_running_loop()
        end_at = clock.time() + STREAM_S
        followers = [asyncio.create_task(self._follow(task_id)) for task_id in self._revs]
        try:
            while self._ended != self._revs.keys() and (left_s := end_at - clock.time()) > 0:
                try:
                    news = await asyncio.wait_for(self._news.get(), min(KEEP_ALIVE_S, left_s))
                except TimeoutError:
                    yield KEEP_ALIVE
                    continue
                if news is None:
                    return
                for block in self._blocks(*news):
                    yield block
            if self._ended == self._revs.keys():
                yield event("end", {"batch_id": self._batch_id}, self._id())
        finally:
            for follower in followers:
                follower.cancel()

    async def _follow(self, task_id: str) -> None:
        rev, wait_s = self._revs[task_id], 0.0
        while True:
            try:
                view, pages = await self._service.book.events(self._owner, task_id, rev, wait_s)
            except (KeyError, TaskManagerUnavailableError):
                await self._news.put(None)  # the browser comes back and finds what is left
                return
            if view.rev > rev or not wait_s:
                await self._news.put((view, pages))
            if view.state.terminal:
                return
            rev, wait_s = max(rev, view.rev), KEEP_ALIVE_S

    def _blocks(self, view: TaskView, pages: Sequence[PageEvent]) -> list[bytes]:
        task_id = view.record.task_id
        out = [event("page", {"task_id": task_id, **page_data(page)}, None) for page in pages]
        self._revs[task_id] = max(view.rev, self._revs[task_id])
        if view.state.terminal:
            self._ended.add(task_id)
        return [*out, event("progress", progress_data(view), self._id())]

    def _id(self) -> str:
        return ".".join(str(self._revs[task_id]) for task_id in sorted(self._revs))

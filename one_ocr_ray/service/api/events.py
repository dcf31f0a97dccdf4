"""Streams of a task's pages and progress, as server-sent events and by WebSocket.

A stream ends itself after `STREAM_S`, before any proxy does. The client comes back with the last id, the `rev` it has
seen, and misses nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from one_ocr_ray.service.api.openapi import responses_of
from one_ocr_ray.service.api.schemas import Progress
from one_ocr_ray.service.dependencies import Owner, ServiceDep
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskView
    from one_ocr_ray.service.streams import Streams
    from one_ocr_ray.tasks.port import TaskManager

router = APIRouter(tags=["events"])

STREAM_S = 55.0
KEEP_ALIVE_S = 15.0
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=4096)]

_REV = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event. A client that comes back with its `id` misses nothing."""

    name: str
    data: dict[str, Any]
    id: str | None = None


Events = AsyncGenerator[StreamEvent | None]  # None: there is no news, the connection is to be kept alive


class EventStream(StreamingResponse):
    """Sends events as server-sent events; holds a place among the open streams. Raises Problem when none is free."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, owner: str, events: Events) -> None:
        self._streams, self._owner, self._events = streams, owner, events
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.opened(self._owner) as given_up:
            self.body_iterator = self._framed(given_up)
            await super().__call__(scope, receive, send)

    async def _framed(self, given_up: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async for event in until(given_up, self._events):
            if event is None:
                yield b": keep-alive\n\n"
                continue
            identity = f"id: {event.id}\n" if event.id is not None else ""
            yield f"{identity}event: {event.name}\ndata: {orjson.dumps(event.data).decode()}\n\n".encode()


async def until(given_up: asyncio.Event, events: Events) -> Events:
    """`events`, until the place of their stream must be given up."""
    giving_up = asyncio.ensure_future(given_up.wait())
    following: asyncio.Future[StreamEvent | None] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(events))
            await asyncio.wait({giving_up, following}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            yield following.result()
    except StopAsyncIteration:
        return
    finally:
        giving_up.cancel()
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        await events.aclose()


@router.get(
    "/task_status/{task_id}/events",
    response_class=StreamingResponse,
    responses=responses_of({"text/event-stream": {}}, 400, 401, 404, 410, 429, 503),
)
async def task_events(
    service: ServiceDep, owner: Owner, task_id: str, last_event_id: LastEventId = None
) -> StreamingResponse:
    """`page` for every page that ends, `progress` for every change, `end` at the end."""
    await service.task(owner, task_id)
    return EventStream(service.streams, owner, follow_task(service.manager, owner, task_id, last_event_id))


@router.websocket("/task_status/{task_id}/ws")
async def task_socket(
    socket: WebSocket,
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    last_event_id: Annotated[str | None, Query(max_length=4096)] = None,
) -> None:
    """The events of `/events` as messages `{"event", "id", "data"}`. Closed with 1000 after `end`, else with 1001."""
    await service.task(owner, task_id)
    with service.streams.opened(owner) as given_up:
        await socket.accept()
        leaving = asyncio.create_task(_wait_for_leave(socket, given_up))
        code = 1001  # the client comes back with the last id
        try:
            async for event in until(given_up, follow_task(service.manager, owner, task_id, last_event_id)):
                if event is not None:
                    message = {"event": event.name, "id": event.id, "data": event.data}
                    await socket.send_text(orjson.dumps(message).decode())
                    code = 1000 if event.name == "end" else code
            if not leaving.done():
                await socket.close(code)
        except WebSocketDisconnect:
            pass
        finally:
            leaving.cancel()


async def _wait_for_leave(socket: WebSocket, given_up: asyncio.Event) -> None:
    """Set `given_up` when the client leaves. What it sends means nothing."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    given_up.set()


async def follow_task(manager: TaskManager, owner: str, task_id: str, last_event_id: str | None) -> Events:
    """The events of a task after `last_event_id`; an unknown id is as none. Ends with the task or after `STREAM_S`."""
    rev = int(last_event_id) if last_event_id and _REV.fullmatch(last_event_id) else 0
    clock = asyncio.get_running_loop()
    end_at = clock.time() + STREAM_S
    first = True
    while (left_s := end_at - clock.time()) > 0:
        try:
            wait_s = 0.0 if first else min(KEEP_ALIVE_S, left_s)
            view, pages = await manager.events(owner, task_id, rev, wait_s)
        except (KeyError, TaskManagerUnavailableError):
            return  # the task was deleted, or the client asks again
        if view.rev > rev or first:
            for at, page in enumerate(pages, 1):
                # An event has an id where all news up to that rev have been sent.
                complete = at == len(pages) or pages[at].rev != page.rev
                yield StreamEvent("page", page_data(page), str(page.rev) if complete else None)
            yield StreamEvent("progress", progress_data(view), str(view.rev))
            if view.state.terminal:
                yield StreamEvent("end", {**progress_data(view), "outcome": view.outcome}, str(view.rev))
        else:
            yield None
        if view.state.terminal:
            return
        first, rev = False, max(rev, view.rev)


def page_data(page: PageEvent) -> dict[str, Any]:
    """A page that ended."""
    return {"page_number": page.page_number, "status": page.status, "error": page.error}


def progress_data(view: TaskView) -> dict[str, Any]:
    """The progress of a task."""
    return {
        "task_id": view.record.task_id,
        "state": view.state,
        "rev": view.rev,
        "progress": Progress.of(view).model_dump(),
    }

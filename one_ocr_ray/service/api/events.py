"""Server-sent events: a task's pages as they end, and how far it is. (html.spec.whatwg.org, server-sent events)

A stream ends itself after `STREAM_S`, before any proxy does; the browser comes back with `Last-Event-ID`, the `rev` it
has seen, and misses nothing.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from one_ocr_ray.service.api.openapi import answers
from one_ocr_ray.service.api.schemas import progress_body
from one_ocr_ray.service.dependencies import Owner, Parts, Service
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Receive, Scope, Send

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskView

router = APIRouter(tags=["events"])

STREAM_S = 55.0
KEEP_ALIVE_S = 15.0
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=4096)]

RETRY = b"retry: 1000\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
_REV = re.compile(r"\d{1,18}")


class EventStream(StreamingResponse):
    """A stream of events; it holds a place among the open streams, or is the problem that there is none."""

    media_type = "text/event-stream"

    def __init__(self, service: Service, owner: str, events: AsyncIterator[bytes]) -> None:
        self._streams, self._owner, self._events = service.streams, owner, events
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.opened(self._owner) as given_up:
            self.body_iterator = _until(given_up, self._events)
            await super().__call__(scope, receive, send)


async def _until(given_up: asyncio.Event, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`events`, until the place of their stream is given up."""
    giving_up = asyncio.ensure_future(given_up.wait())
    following: asyncio.Future[bytes] | None = None
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
        await events.aclose()  # type: ignore[attr-defined]


@router.get(
    "/task_status/{task_id}/events",
    response_class=StreamingResponse,
    responses=answers({"text/event-stream": {}}, 400, 401, 404, 410, 429, 503),
)
async def task_events(
    service: Parts, owner: Owner, task_id: str, last_event_id: LastEventId = None
) -> StreamingResponse:
    """`page` for every page that ends, `progress` with every change, `end` at the end."""
    await service.task(owner, task_id)
    rev = int(last_event_id) if last_event_id and _REV.fullmatch(last_event_id) else 0
    return EventStream(service, owner, _task_stream(service, owner, task_id, rev))


async def _task_stream(service: Service, owner: str, task_id: str, rev: int) -> AsyncIterator[bytes]:
    yield RETRY
    clock = asyncio.get_running_loop()
    end_at = clock.time() + STREAM_S
    first = True
    while (left_s := end_at - clock.time()) > 0:
        try:
            wait_s = 0.0 if first else min(KEEP_ALIVE_S, left_s)
            view, pages = await service.book.events(owner, task_id, rev, wait_s)
        except (KeyError, TaskManagerUnavailableError):
            return  # deleted, or to be asked again by the browser
        if view.rev > rev or first:
            for block in blocks(view, pages):
                yield block
        else:
            yield KEEP_ALIVE
        if view.state.terminal:
            return
        first, rev = False, max(rev, view.rev)


def blocks(view: TaskView, pages: Sequence[PageEvent]) -> list[bytes]:
    """What has happened to a task, as events. An id stands where everything up to its rev has been told."""
    out = [
        event("page", page_data(page), str(page.rev) if at == len(pages) or pages[at].rev != page.rev else None)
        for at, page in enumerate(pages, 1)
    ]
    out.append(event("progress", progress_data(view), str(view.rev)))
    if view.state.terminal:
        out.append(event("end", end_data(view), str(view.rev)))
    return out


def page_data(page: PageEvent) -> dict[str, Any]:
    """A page that ended."""
    return {"page_number": page.page_number, "status": page.status, "error": page.error}


def progress_data(view: TaskView) -> dict[str, Any]:
    """How far a task is."""
    return {
        "task_id": view.record.task_id,
        "state": view.state,
        "rev": view.rev,
        "progress": progress_body(view),
    }


def end_data(view: TaskView) -> dict[str, Any]:
    """How a task ended."""
    return {**progress_data(view), "outcome": view.outcome}


def event(name: str, data: dict[str, Any], event_id: str | None) -> bytes:
    """One event of the stream."""
    identity = f"id: {event_id}\n" if event_id is not None else ""
    return f"{identity}event: {name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()

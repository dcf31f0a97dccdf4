"""`one_ocr_ray.AsyncClient`: a service's tasks over HTTP, with waiting, events and results."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Self

import httpx

from one_ocr_ray.errors import OneOcrError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

WAIT_S = 25  # of one long poll; the service takes up to 30
TIMEOUT_S = 60.0
TRIES = 5  # of a request that the service is too busy for, or that is lost on its way
PAUSE_MAX_S = 60.0
_ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
_BUSY = frozenset({429, 502, 503, 504})


class ServiceError(OneOcrError):
    """The service refused a request, or cannot be reached. `code` is the service's own; None where it gave none."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Task:
    """One uploaded document as the service tells it. `body` is the whole status body of the HTTP API."""

    task_id: str
    state: str  # PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED
    filename: str
    outcome: str | None = None  # complete, partial, empty
    pages_total: int | None = None
    pages_done: int = 0
    pages_failed: int = 0
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Nothing more happens to it by itself."""
        return self.state in _ENDED


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a task: `progress`, `page` or `end`, with the API's data."""

    name: str
    data: Mapping[str, Any]
    id: str | None = None


class AsyncClient:
    """A service at `url`, such as `http://127.0.0.1:8000`, with an API key if it asks.

    A context manager. Methods raise ServiceError for what the service refuses. Requests that it is too busy for are
    sent again after the time that it names; an upload has an idempotency key, so that it is taken once.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def upload(self, *files: str | Path | tuple[str, bytes], **options: Any) -> list[Task]:
        """Upload files, by path or as a name with bytes. A task for each that the service takes, in their order.

        `options` are those of the HTTP API, such as `pages="1-3"`. Raises ServiceError when it takes none.
        """
        key = token_hex(16)
        for attempt in range(1, TRIES + 1):
            with ExitStack() as opened:
                form = [("files", _named(file, opened)) for file in files]
                data = {"options": json.dumps(options)} if options else {}
                answer = await self._try(
                    "POST", "/upload", attempt, files=form, data=data, headers={"Idempotency-Key": key}
                )
            if answer is not None:
                break
        return [_task(each) for each in _refused(answer).json()["tasks"]]

    async def status(self, task: Task | str) -> Task:
        """How the task is now."""
        return _task((await self._send("GET", f"/task_status/{_id(task)}")).json())

    async def wait(self, task: Task | str, timeout_s: float | None = None) -> Task:
        """The task at its end. Raises TimeoutError when it has not ended after `timeout_s`."""
        async with asyncio.timeout(timeout_s):
            answer = await self._send("GET", f"/task_status/{_id(task)}")
            known = _task(answer.json())
            while not known.ended:
                headers = {"If-None-Match": answer.headers["ETag"]}
                url = f"/task_status/{known.task_id}"
                later = await self._send("GET", url, params={"wait": WAIT_S}, headers=headers)
                if later.status_code != httpx.codes.NOT_MODIFIED:
                    answer, known = later, _task(later.json())
            return known

    async def events(self, task: Task | str) -> AsyncIterator[Event]:
        """The task's events as they come, to its end. A stream that breaks off goes on behind its last event."""
        last: dict[str, str] = {}
        lost = 0
        while True:
            try:
                async with self._http.stream("GET", f"/task_status/{_id(task)}/events", headers=last) as answer:
                    if answer.is_error:
                        await answer.aread()
                        _refused(answer)
                    async for event in _parsed(answer):
                        last = {"Last-Event-ID": event.id} if event.id else last
                        lost = 0
                        yield event
                        if event.name == "end":
                            return
            except httpx.TransportError as error:
                lost += 1
                if lost == TRIES:
                    raise _unreachable(error) from error
                await asyncio.sleep(_pause_s(None, lost))

    async def pages(self, task: Task | str) -> list[Mapping[str, Any]]:
        """The task's pages: number, status and error of each."""
        return list((await self._send("GET", f"/v1/tasks/{_id(task)}/pages")).json()["items"])

    async def result(self, task: Task | str, file_format: str = "md", *, partial: bool = False) -> bytes:
        """The result as a file: md, txt, json, jsonl, parquet, zip, and others on offer.

        Raises ServiceError for a task that has not ended, unless what there is will do (`partial`).
        """
        query = {"format": file_format, "partial": str(partial).lower()}
        return (await self._send("GET", f"/v1/tasks/{_id(task)}/result", params=query)).content

    async def markdown(self, task: Task | str) -> str:
        """The whole document as Markdown. Raises ServiceError for a task that has not ended."""
        return (await self.result(task)).decode()

    async def retry(self, task: Task | str, pages: Sequence[int] | None = None) -> Task:
        """Read pages again: those numbers, or all that failed."""
        wanted = {"pages": "failed" if pages is None else list(pages)}
        await self._send("POST", f"/v1/tasks/{_id(task)}/retry", json=wanted)
        return await self.status(task)

    async def cancel(self, task: Task | str) -> Task:
        """Stop reading; what is read stays."""
        await self._send("POST", f"/v1/tasks/{_id(task)}/cancel")
        return await self.status(task)

    async def delete(self, task: Task | str) -> None:
        """Erase the upload and its results."""
        await self._send("DELETE", f"/v1/tasks/{_id(task)}")

    async def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            if (answer := await self._try(method, url, attempt, **content)) is not None:
                break
        return _refused(answer)

    async def _try(self, method: str, url: str, attempt: int, **content: Any) -> httpx.Response | None:
        """The answer; None, after a pause, when the request is worth sending again."""
        try:
            answer = await self._http.request(method, url, **content)
        except httpx.TransportError as error:
            if attempt == TRIES:
                raise _unreachable(error) from error
            answer = None
        if answer is not None and (answer.status_code not in _BUSY or attempt == TRIES):
            return answer
        await asyncio.sleep(_pause_s(answer, attempt))
        return None


def _named(file: str | Path | tuple[str, bytes], opened: ExitStack) -> tuple[str, Any]:
    if isinstance(file, tuple):
        return file
    path = Path(file)
    return path.name, opened.enter_context(path.open("rb"))


def _id(task: Task | str) -> str:
    return task if isinstance(task, str) else task.task_id


def _task(body: Mapping[str, Any]) -> Task:
    progress = body.get("progress") or {}
    return Task(
        task_id=body["task_id"],
        state=body["state"],
        filename=body["filename"],
        outcome=body.get("outcome"),
        pages_total=progress.get("pages_total"),
        pages_done=progress.get("pages_done", 0),
        pages_failed=progress.get("pages_failed", 0),
        body=body,
    )


def _refused(answer: httpx.Response | None) -> httpx.Response:
    """`answer`, unless it is a refusal, which raises ServiceError with the service's own sentence."""
    assert answer is not None  # noqa: S101 - the last try answers or raises
    if not answer.is_error:
        return answer
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    code = body.get("code") or next((each.get("code") for each in body.get("rejected", ())), None)
    raise ServiceError(body.get("detail") or f"The service answered {answer.status_code}.", answer.status_code, code)


def _unreachable(error: httpx.TransportError) -> ServiceError:
    return ServiceError(f"The service cannot be reached: {type(error).__name__}.")


def _pause_s(answer: httpx.Response | None, attempt: int) -> float:
    """The time that the service names, else one that doubles."""
    named = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(float(named) if named.isdigit() else 2.0 ** (attempt - 1), PAUSE_MAX_S)


async def _parsed(answer: httpx.Response) -> AsyncIterator[Event]:
    """Server-sent events (HTML standard, section 9.2), as far as the service writes them."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
            fields = {}

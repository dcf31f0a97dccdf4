"""`one_ocr_ray.Client`: `AsyncClient` for programs without an event loop, and for notebooks, which run one."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from one_ocr_ray.python.client import TIMEOUT_S, AsyncClient

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from one_ocr_ray.python.client import Event, Task

_Result = TypeVar("_Result")


class Client:
    """A service at `url`, such as `http://127.0.0.1:8000`, with an API key where it asks for one. A context manager.

    The methods are those of AsyncClient, and do the same; each waits for its answer.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="one-ocr-client", daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, key, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; no method may follow."""
        if not self._loop.is_closed():
            self._wait_for(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def upload(self, *files: str | Path | tuple[str, bytes], **options: Any) -> list[Task]:
        """Upload files, by path or as a name with bytes; a task for each that the service takes."""
        return self._wait_for(self._client.upload(*files, **options))

    def status(self, task: Task | str) -> Task:
        """How the task is now."""
        return self._wait_for(self._client.status(task))

    def wait(self, task: Task | str, timeout_s: float | None = None) -> Task:
        """The task at its end. Raises TimeoutError when it has not ended after `timeout_s`."""
        return self._wait_for(self._client.wait(task, timeout_s))

    def events(self, task: Task | str) -> Iterator[Event]:
        """The task's events as they come, to its end."""
        events = self._client.events(task)

        async def following() -> Event | None:
            return await anext(events, None)

        while (event := self._wait_for(following())) is not None:
            yield event

    def pages(self, task: Task | str) -> list[Mapping[str, Any]]:
        """The task's pages: number, status and error of each."""
        return self._wait_for(self._client.pages(task))

    def result(self, task: Task | str, file_format: str = "md", *, partial: bool = False) -> bytes:
        """The result as a file: md, txt, json, jsonl, parquet, zip, and what the service offers more."""
        return self._wait_for(self._client.result(task, file_format, partial=partial))

    def markdown(self, task: Task | str) -> str:
        """The whole document as Markdown."""
        return self._wait_for(self._client.markdown(task))

    def retry(self, task: Task | str, pages: Sequence[int] | None = None) -> Task:
        """Read pages again: those numbers, or all that failed."""
        return self._wait_for(self._client.retry(task, pages))

    def cancel(self, task: Task | str) -> Task:
        """Stop reading; what is read stays."""
        return self._wait_for(self._client.cancel(task))

    def delete(self, task: Task | str) -> None:
        """Erase the upload and its results."""
        self._wait_for(self._client.delete(task))

    def _wait_for(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do `work` in the client's own loop; an interrupt of the caller cancels it."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

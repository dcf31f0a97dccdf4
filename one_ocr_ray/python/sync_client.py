"""`one_ocr_ray.Client`: `AsyncClient` for programs without an event loop, and for notebooks, which run one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from one_ocr_ray.python.client import TIMEOUT_S, AsyncClient
from one_ocr_ray.python.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from one_ocr_ray.python.client import Event, Task


class Client:
    """A service at `url`, such as `http://127.0.0.1:8000`, with an API key if it asks. A context manager.

    The methods are those of AsyncClient, and do the same; each waits for its answer.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._loop = LoopThread("one-ocr-client")
        self._client = AsyncClient(url, key, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; no method may follow."""
        if not self._loop.is_closed:
            self._loop.wait_for(self._client.close())
            self._loop.close()

    def upload(self, *files: str | Path | tuple[str, bytes], **options: Any) -> list[Task]:
        """Upload files, by path or as a name with bytes. A task for each that the service takes."""
        return self._loop.wait_for(self._client.upload(*files, **options))

    def status(self, task: Task | str) -> Task:
        """How the task is now."""
        return self._loop.wait_for(self._client.status(task))

    def wait(self, task: Task | str, timeout_s: float | None = None) -> Task:
        """The task at its end. Raises TimeoutError when it has not ended after `timeout_s`."""
        return self._loop.wait_for(self._client.wait(task, timeout_s))

    def events(self, task: Task | str) -> Iterator[Event]:
        """The task's events as they come, to its end."""
        events = self._client.events(task)

        async def following() -> Event | None:
            return await anext(events, None)

        while (event := self._loop.wait_for(following())) is not None:
            yield event

    def pages(self, task: Task | str) -> list[Mapping[str, Any]]:
        """The task's pages: number, status and error of each."""
        return self._loop.wait_for(self._client.pages(task))

    def result(self, task: Task | str, file_format: str = "md", *, partial: bool = False) -> bytes:
        """The result as a file: md, txt, json, jsonl, parquet, zip, and others on offer."""
        return self._loop.wait_for(self._client.result(task, file_format, partial=partial))

    def markdown(self, task: Task | str) -> str:
        """The whole document as Markdown."""
        return self._loop.wait_for(self._client.markdown(task))

    def retry(self, task: Task | str, pages: Sequence[int] | None = None) -> Task:
        """Read pages again: those numbers, or all that failed."""
        return self._loop.wait_for(self._client.retry(task, pages))

    def cancel(self, task: Task | str) -> Task:
        """Stop reading; what is read stays."""
        return self._loop.wait_for(self._client.cancel(task))

    def delete(self, task: Task | str) -> None:
        """Erase the upload and its results."""
        self._loop.wait_for(self._client.delete(task))

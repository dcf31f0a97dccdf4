"""Checks uploaded files and draws their pages, in child processes that may die.

A reader serves one call at a time and keeps its document open for the next. A call whose client is gone runs on in its
thread, and keeps its owner's turn, until the deadline of the child ends it.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from one_ocr_ray.model import Failure, PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo, PdfLimits
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.storage.tasks.task_store import TaskStore

_Result = TypeVar("_Result")

_READERS = 4  # one owner has at most two of them
_WAITING = 100  # images of one owner that may wait for a reader: each is an open request
_LIMITS = PdfLimits(open_timeout_s=10.0, page_timeout_s=10.0)
LARGEST_SIDE_PX = 4000


class PdfReaders:
    """A few child processes. Each starts when it is first needed."""

    def __init__(self, store: TaskStore, folder: Path, password: str | None) -> None:
        self._turns = FairSemaphore(_READERS, shared=True)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="pdf")
        self._readers = [_Reader(store, folder, password) for _ in range(_READERS)]
        self._idle = list(self._readers)
        self._lock = threading.Lock()

    async def inspect(self, owner: str, path: Path, name: str) -> PdfInfo | Failure:
        """Open the file at `path` and say what it is. `name` is what its owner calls it."""
        return await self._run_in_turn(owner, None, lambda reader: reader.inspect(path, name))

    async def image(self, owner: str, task_id: str, page_number: int, width_px: int) -> bytes | Failure:
        """Draw a page of a task's upload as a JPEG, about `width_px` wide.

        Raises FileNotFoundError when the upload is not there, IndexError when it has no such page, and Problem when too
        many images of the owner are waiting.
        """
        if self._turns.waiting(owner) >= _WAITING:
            raise Problem("rate_limited", "Too many images are being drawn; ask for a few at a time.", retry_after_s=2)
        return await self._run_in_turn(owner, task_id, lambda reader: reader.image(task_id, page_number, width_px))

    async def forget(self, task_id: str) -> None:
        """Close the document of a task."""
        await asyncio.wrap_future(self._begin(task_id, lambda reader: reader.forget(task_id)))

    def close(self) -> None:
        """End the children."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.close()

    async def _run_in_turn(self, owner: str, task_id: str | None, work: Callable[[_Reader], _Result]) -> _Result:
        await self._turns.take(owner)
        loop = asyncio.get_running_loop()

        def give_back(_: Future[_Result]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._turns.give_back, owner)

        running = self._begin(task_id, work)
        running.add_done_callback(give_back)
        return await asyncio.wrap_future(running)

    def _begin(self, task_id: str | None, work: Callable[[_Reader], _Result]) -> Future[_Result]:
        def call() -> _Result:
            with self._lock:  # there is a reader for each thread, so one is idle; best the one that has the task open
                reader = next((each for each in self._idle if each.task_id == task_id), self._idle[0])
                self._idle.remove(reader)
            try:
                return work(reader)
            finally:
                with self._lock:
                    self._idle.append(reader)

        return self._threads.submit(call)


class _Reader:
    """One child process and the document it has open."""

    def __init__(self, store: TaskStore, folder: Path, password: str | None) -> None:
        self.task_id: str | None = None
        self._store = store
        self._folder = folder
        self._password = password
        self._child = PdfChild(_LIMITS)
        self._page_count = 0
        self._copy: TemporaryDirectory[str] | None = None

    def inspect(self, path: Path, name: str) -> PdfInfo | Failure:
        self._drop()
        return self._child.inspect(path, self._password, name)

    def image(self, task_id: str, page_number: int, width_px: int) -> bytes | Failure:
        if self.task_id != task_id:
            self._drop()
            self._copy = TemporaryDirectory(dir=self._folder)
            info = self._child.inspect(self._store.fetch_upload(task_id, Path(self._copy.name)), self._password)
            if isinstance(info, Failure):
                return info
            self.task_id, self._page_count = task_id, info.page_count
        if page_number > self._page_count:
            raise IndexError(page_number)
        # pdfium takes the longest side; the first drawing shows which one that is.
        page = self._child.render(page_number, width_px)
        if isinstance(page, PageImage) and page.height_px > page.width_px:
            longest_px = round(width_px * page.height_px / page.width_px)
            page = self._child.render(page_number, min(longest_px, LARGEST_SIDE_PX))
        return page.data if isinstance(page, PageImage) else page.failure

    def forget(self, task_id: str) -> None:
        if self.task_id == task_id:
            self.close()

    def close(self) -> None:
        self._drop()
        self._child.close()

    def _drop(self) -> None:
        self.task_id = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

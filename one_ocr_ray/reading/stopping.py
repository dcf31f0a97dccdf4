"""`Ending`: the early end of a reading. Pages that wait end at once; a request under way gets time, for it is paid."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from one_ocr_ray.errors import StoppedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ending:
    """One for all pages of a job in one event loop."""

    def __init__(self, wait_s: float = 0.0) -> None:
        """`wait_s` is the time for requests under way when a page itself ends the job."""
        self.reason: StoppedError | None = None  # None: the reading goes on
        self._wait_s = wait_s
        self._is_over = False  # the time of requests under way, too
        self._waiting: set[asyncio.Task[Any]] = set()
        self._asking: set[asyncio.Task[Any]] = set()

    def begin(self, reason: StoppedError, wait_s: float) -> None:
        """Send nothing more. The first reason stands, and the wait that ends first."""
        self.reason = self.reason or reason
        _cancel(self._waiting)
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._end_requests)
        else:
            self._end_requests()

    def _end_requests(self) -> None:
        self._is_over = True
        _cancel(self._asking)

    @contextmanager
    def begins_here(self) -> Iterator[None]:
        """In the block a StoppedError begins the end and goes no further. A StorageError passes."""
        try:
            yield
        except StorageError:
            raise
        except StoppedError as error:
            if self.reason is None:
                self.begin(error, self._wait_s)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block that the end cancels; it raises StoppedError then."""
        if self.reason is not None:
            raise _same(self.reason)
        with self._cancelled_from(self._waiting):
            yield

    @contextmanager
    def requesting(self) -> Iterator[None]:
        """A block around a request. The end cancels it when its time is over, and lets none begin after."""
        if self._is_over and self.reason is not None:
            raise _same(self.reason)
        with self._cancelled_from(self._asking):
            yield

    @contextmanager
    def _cancelled_from(self, tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
        task: Any = asyncio.current_task()
        tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task in tasks or task.uncancel() > 0 or self.reason is None:
                raise  # somebody else wants the task to end
            raise _same(self.reason) from None
        finally:
            tasks.discard(task)


def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel each task and forget it. So a task knows who has cancelled it."""
    while tasks:
        tasks.pop().cancel()


def _same(reason: StoppedError) -> StoppedError:
    """A copy for each task: a shared one would gather the traces of all."""
    return StoppedError(str(reason), reason.code)

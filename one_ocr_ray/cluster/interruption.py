"""What ends a run early from outside: a signal, or another driver that has taken the output over."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from one_ocr_ray.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = "Interrupted; finished pages are kept. The same command resumes."
TAKEN_OVER = "Another run has taken this output over, because this one was silent for too long."


class Interruption:
    """Turns the first interruption into the end of one task, and a second signal into the end of the process.

    A block around the whole run: the second one counts after the task too, while the run is being cleared away.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._before: dict[signal.Signals, Any] = {}  # handlers

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def lost(self) -> None:
        """The lease is another driver's. May be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, TAKEN_OVER)
        else:
            self._reason = TAKEN_OVER

    @contextmanager
    def ends_this_task(self) -> Iterator[None]:
        """Within the block an interruption cancels the current task; it comes out as StoppedError."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in self._before:
            self._loop.add_signal_handler(number, self._signalled)
        try:
            if self._reason:
                raise StoppedError(self._reason)
            yield
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            raise StoppedError(self._reason) from None
        finally:
            for number, handler in self._before.items():
                self._loop.remove_signal_handler(number)
                signal.signal(number, _end_at_once if self._reason else handler)
            self._loop = self._task = None

    def _signalled(self) -> None:
        if self._reason is not None:
            _end_at_once()
        self._end(INTERRUPTED)

    def _end(self, reason: str) -> None:
        self._reason = reason
        if self._task is not None:
            self._task.cancel()


def _end_at_once(*_signal: object) -> None:
    """Asked twice: the user will not wait for anything."""
    os._exit(StoppedError.exit_code)

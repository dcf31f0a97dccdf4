"""What ends a run early from outside: a signal, or a new driver."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from one_ocr_ray.environment import is_inside_ray_job
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.policy import shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = "Interrupted; finished pages are kept. The same command resumes."
TAKEN_OVER = "Another run has taken this output over, because this one was silent for too long."
WAITING = "Interrupted. Requests under way are paid and have {wait_s:g} s to be answered; ask again to end at once."


class Interruption:
    """The first interruption ends one task, and a second signal ends the process.

    A block around the whole run: before the task an interruption is a KeyboardInterrupt, whatever the signal, and the
    second one counts after the task too, while the run is being cleared away.
    """

    def __init__(self, stop_wait_s: float = 0.0, say: Callable[[str], None] = lambda _: None) -> None:
        """`stop_wait_s` is the time for requests under way, if nobody is in a hurry."""
        self.wait_s = stop_wait_s  # what is left of it after the interruption that came
        self._say = say
        self._reason: str | None = None
        self._signalled_s: float | None = None  # monotonic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._before: dict[signal.Signals, Any] = {}  # handlers

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._signalled_outside)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def lost(self) -> None:
        """End, for another driver has the lease. May be called from any thread."""
        self.wait_s = 0.0  # that one asks for the same pages
        self.end(TAKEN_OVER)

    def end(self, reason: str) -> None:
        """End for `reason`, one sentence. May be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, reason)
        else:
            self._reason = self._reason or reason

    @contextmanager
    def ends_this_task(self) -> Iterator[None]:
        """In the block an interruption cancels the current task. The block raises StoppedError then."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in self._before:
            self._loop.add_signal_handler(number, self._signalled, number)
        try:
            if self._reason:
                raise StoppedError(self._reason)
            yield
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            raise StoppedError(self._reason) from None
        finally:
            for number in self._before:
                self._loop.remove_signal_handler(number)
                signal.signal(number, self._signalled_outside)
            self._loop = self._task = None

    def _signalled(self, number: signal.Signals) -> None:
        if not self._is_first():
            return
        self.wait_s = shutdown.wait_s(
            self.wait_s, is_sigterm=number == signal.SIGTERM, is_inside_ray_job=is_inside_ray_job()
        )
        if self.wait_s:
            self._say(WAITING.format(wait_s=self.wait_s))
        self._end(INTERRUPTED)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._task is not None:
            self._task.cancel()

    def _signalled_outside(self, *_signal: object) -> None:
        if self._is_first() and self._reason is None:
            raise KeyboardInterrupt

    def _is_first(self) -> bool:
        """True for the first signal. A second wish of the user ends the process."""
        now_s = time.monotonic()
        if self._signalled_s is None:
            self._signalled_s = now_s
            return True
        if shutdown.is_second_request(self._signalled_s, now_s):
            os._exit(StoppedError.exit_code)
        return False

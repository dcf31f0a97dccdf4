"""Threads for the long work of requests: files of results, HTML of pages. Owners share them fairly.

Neither the event loop nor requests to the store wait for that work.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

_AT_ONCE = 4  # one owner has at most two of them
_WAITING = 100  # of one owner: each is an open request


class FairExecutor:
    """For one event loop."""

    def __init__(self) -> None:
        self._turns = FairSemaphore(_AT_ONCE, shared=True)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="making")

    async def run(self, owner: str, work: Callable[[], _Result]) -> _Result:
        """Run `work` when it is the owner's turn. Raises Problem when too much of the owner's work is waiting."""
        if self._turns.waiting(owner) >= _WAITING:
            raise Problem("rate_limited", "Too many results are being made; ask for a few at a time.", retry_after_s=2)
        async with self._turns.turn(owner):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

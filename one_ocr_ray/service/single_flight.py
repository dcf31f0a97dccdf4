"""Work of a request that takes long: files of results, HTML of pages. In threads of its own, shared among owners, so
that neither the event loop nor what asks the store waits for it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from one_ocr_ray.reading.fair_semaphore import FairSemaphore
from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

_AT_ONCE = 4  # one owner has two of them at most
_WAITING = 100  # of one owner: each holds a place among the requests under way


class Making:
    """For one event loop."""

    def __init__(self) -> None:
        self._turns = FairSemaphore(_AT_ONCE, shared=True)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="making")

    async def run(self, owner: str, work: Callable[[], _Result]) -> _Result:
        """What `work` gives, when it is its owner's turn. Raises Problem when too much of the owner's is waiting."""
        if self._turns.waiting(owner) >= _WAITING:
            raise Problem("rate_limited", "Too many results are being made; ask for a few at a time.", retry_after_s=2)
        async with self._turns.turn(owner):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

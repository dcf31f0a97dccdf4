"""Requests that wait for a permit, first come, first served. Accounts of several endpoints may grant to one queue."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from one_ocr_ray.reading.limits.permits import LeasedPermits


@dataclass(eq=False, slots=True)
class Waiter:
    """One request. `avoids`: accounts whose endpoints have just failed it."""

    tokens: int
    avoids: Collection[LeasedPermits] = ()
    granted: asyncio.Future[LeasedPermits] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WaitingRequests:
    """The queue."""

    def __init__(self) -> None:
        self._waiters: deque[Waiter] = deque()

    def add(self, tokens: int, avoids: Collection[LeasedPermits] = ()) -> Waiter:
        """Let a request of `tokens` wait."""
        waiter = Waiter(tokens, avoids)
        self._waiters.append(waiter)
        return waiter

    async def wait(self, waiter: Waiter) -> LeasedPermits:
        """Wait until it is granted; gives the account. Raises what the queue failed with."""
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiters.remove(waiter)
            if not waiter.granted.cancelled() and waiter.granted.exception() is None:  # both in one instant
                waiter.granted.result().give_back(waiter.tokens)
            raise

    @property
    def tokens_each(self) -> float:
        """The mean of the requests that wait."""
        return sum(waiter.tokens for waiter in self._waiters) / len(self._waiters)

    def of(self, account: LeasedPermits) -> int:
        """How many requests wait that `account` may grant."""
        return sum(account not in waiter.avoids for waiter in self._waiters)

    def take(self, account: LeasedPermits) -> Waiter | None:
        """The first request that `account` may grant, which is no longer waiting then."""
        for waiter in self._waiters:
            if not waiter.granted.done() and account not in waiter.avoids:
                self._waiters.remove(waiter)
                return waiter
        return None

    def avoid_nobody(self) -> None:
        """Let every account grant to every request: others are away."""
        for waiter in self._waiters:
            waiter.avoids = ()

    def drop(self, waiter: Waiter, error: BaseException) -> None:
        """End the wait of one with `error`, unless it is granted."""
        if not waiter.granted.done():
            self._waiters.remove(waiter)
            waiter.granted.set_exception(error)

    def fail(self, error: BaseException) -> None:
        """End the wait of all."""
        while self._waiters:
            granted = self._waiters.popleft().granted
            if not granted.done():
                granted.set_exception(error)

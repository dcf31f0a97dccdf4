"""`FairSemaphore` serves several owners in turn, not first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(eq=False, slots=True)
class _Waiter:
    size_bytes: int
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairSemaphore:
    """`at_once` turns for the coroutines of one event loop.

    With `shared` an owner has at most half of the turns that the others leave. So one is free for the next owner even
    when turns last for hours. `bytes_at_once` also bounds the bytes in hand; something larger goes alone.
    """

    def __init__(self, at_once: int, *, shared: bool = False, bytes_at_once: float = math.inf) -> None:
        self._at_once = at_once
        self._shared = shared
        self._bytes_at_once = bytes_at_once
        self._held: Counter[str] = Counter()
        self._held_bytes = 0
        self._waiting: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @property
    def free(self) -> int:
        """The number of free turns."""
        return self._at_once - self._held.total()

    def waiting(self, owner: str) -> int:
        """The number of coroutines of `owner` that wait."""
        return sum(not waiter.turn.cancelled() for waiter in self._waiting.get(owner, ()))

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it during the block."""
        await self.take(owner)
        try:
            yield
        finally:
            self.give_back(owner)

    def grow(self, turns: int) -> None:
        """Add turns."""
        self._at_once += turns
        self._serve()

    async def take(self, owner: str, size_bytes: int = 0) -> None:
        """Wait for a turn. Release it with the same size."""
        mine = _Waiter(size_bytes)
        self._waiting.setdefault(owner, deque()).append(mine)
        self._serve()
        try:
            await mine.turn
        except asyncio.CancelledError:
            if mine.turn.done() and not mine.turn.cancelled():  # both in one instant
                self.give_back(owner, size_bytes)
            else:
                self._serve()  # what it was too large for may be enough for the next one
            raise

    def give_back(self, owner: str, size_bytes: int = 0) -> None:
        """Release a turn."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._held_bytes -= size_bytes
        self._serve()

    def _serve(self) -> None:
        while self.free > 0 and (owner := self._next()) is not None:
            queue = self._waiting[owner]
            if self._held_bytes and self._held_bytes + queue[0].size_bytes > self._bytes_at_once:
                return
            waiter = queue.popleft()
            del self._waiting[owner]
            if queue:
                self._waiting[owner] = queue  # to the end: the others come first
            self._held[owner] += 1
            self._held_bytes += waiter.size_bytes
            waiter.turn.set_result(None)

    def _next(self) -> str | None:
        """The next owner in turn with a coroutine that still waits."""
        for owner, queue in list(self._waiting.items()):
            while queue and queue[0].turn.cancelled():
                queue.popleft()
            if not queue:
                del self._waiting[owner]
            elif not self._shared or self._held[owner] < math.ceil((self.free + self._held[owner]) / 2):
                return owner
        return None

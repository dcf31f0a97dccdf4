"""A worker's share of a cost ceiling. No request goes out whose dearest outcome passes it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.cost.budget import Budget

SPENT = (
    "The cost ceiling is reached (--max-cost; of an upload also max_cost_usd and its key's budget): the next request "
    "may cost up to {most_usd:.4f} USD, and less is left. Raise it and run the same command to go on."
)
NO_PRICE = "The price of the model is unknown, so the cost ceiling (--max-cost) cannot be kept."


class BudgetSource(Protocol):
    """A `Budget` that several shares draw from. Raises StoppedError when it is lost."""

    async def allocate(self, needed_usd: float) -> float:
        """A chunk of at least `needed_usd`, or 0.0."""

    async def refund(self, usd: float) -> None:
        """Take back what a share does not need."""


class OwnBudget:
    """`BudgetSource` of a process that shares its budget with no other."""

    def __init__(self, left_usd: float) -> None:
        self._budget = Budget(left_usd)

    async def allocate(self, needed_usd: float) -> float:
        return self._budget.allocate(needed_usd)

    async def refund(self, usd: float) -> None:
        self._budget.refund(usd)


class BudgetShare:
    """What one worker may still spend of a ceiling. It asks `source` for more; without one it has `free_usd` alone."""

    def __init__(self, source: BudgetSource | None = None, *, free_usd: float = 0.0) -> None:
        self._source = source
        self._free_usd = free_usd
        self._reservations = 0
        self._settled = asyncio.Event()
        self._refilling = asyncio.Lock()
        self._allocations: set[asyncio.Task[float]] = set()

    async def reserve(self, most_usd: float | None) -> None:
        """Set aside the most that a request can cost. Raises StoppedError when the ceiling leaves no room for it."""
        if most_usd is None:
            raise StoppedError(NO_PRICE, ErrorCode.BUDGET)
        while self._free_usd < most_usd:
            async with self._refilling:
                await self._refill(most_usd)
        self._free_usd -= most_usd
        self._reservations += 1

    def settle(self, reserved_usd: float, cost_usd: float | None) -> None:
        """The request has cost `cost_usd`; unknown counts as the most it could cost."""
        self._free_usd += reserved_usd - (reserved_usd if cost_usd is None else cost_usd)
        self._reservations -= 1
        self._settled.set()

    async def close(self) -> None:
        """Refund what is not spent. Nobody may have reserved any of it."""
        if self._allocations:
            await asyncio.wait(self._allocations)
        await self._refund_all()

    async def _refill(self, wanted_usd: float) -> None:
        """Get the missing money, or wait until a request costs less than it reserved."""
        self._settled.clear()
        if self._free_usd >= wanted_usd:
            return  # others have settled meanwhile
        allocation = asyncio.create_task(self._allocate(wanted_usd - self._free_usd))
        self._allocations.add(allocation)
        allocation.add_done_callback(self._allocations.discard)
        if await asyncio.shield(allocation):
            return
        if self._reservations:
            await self._settled.wait()
        elif self._free_usd < wanted_usd:
            await self._refund_all()
            raise StoppedError(SPENT.format(most_usd=wanted_usd), ErrorCode.BUDGET)

    async def _allocate(self, missing_usd: float) -> float:
        """Add a chunk, even if the page that asked is gone: others spend it."""
        chunk = await self._source.allocate(missing_usd) if self._source is not None else 0.0
        self._free_usd += chunk
        return chunk

    async def _refund_all(self) -> None:
        if self._source is not None:
            usd, self._free_usd = self._free_usd, 0.0
            await self._source.refund(usd)

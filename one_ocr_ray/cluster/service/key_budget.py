"""What uploads of one API key may cost in a day: one keeper a service, and tills that draw from it for a task.

A day is one of UTC. Its record is in the store, so that it outlives the service.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.policy.cost.budget import Till
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.key_budgets import KeyDay, forget_days_before, keep_key_day, key_day

if TYPE_CHECKING:
    from datetime import date

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.budget import SharedTill
    from one_ocr_ray.settings import ServiceSettings

LOST = "The keeper of the key's budget is away. Try again later."


class KeyBudgets:
    """Actor body: the tills of all keys for the day that is now."""

    def __init__(self, store: str, budget_usd: float) -> None:
        self._store = Objects(store)
        self._budget_usd = budget_usd
        self._day = today()
        self._tills: dict[str, Till] = {}

    def draw(self, owner: str, needed_usd: float) -> float:
        """A chunk of at least `needed_usd` for `owner`, or 0.0. Raises StorageError, and hands nothing out then."""
        till = self._till(owner)
        chunk = till.draw(needed_usd)
        keep_key_day(self._store, owner, self._day, KeyDay(till.left_usd, 0.0 if chunk else needed_usd))
        return chunk

    def give_back(self, owner: str, usd: float) -> None:
        """What was not needed; of a day before, it gives this one no more than its budget."""
        till = self._till(owner)
        till.give_back(min(usd, self._budget_usd - till.left_usd))
        before = key_day(self._store, owner, self._day)
        refused_usd = before.refused_usd if before is not None else 0.0
        keep_key_day(self._store, owner, self._day, KeyDay(till.left_usd, refused_usd))

    def _till(self, owner: str) -> Till:
        if self._day != today():
            self._day, self._tills = today(), {}
            forget_days_before(self._store, self._day)
        if owner not in self._tills:
            stands = key_day(self._store, owner, self._day)
            # A budget that was lowered since holds as it is now.
            self._tills[owner] = Till(self._budget_usd if stands is None else min(stands.left_usd, self._budget_usd))
        return self._tills[owner]


def today() -> date:
    return datetime.now(UTC).date()


def start_key_budgets(settings: ServiceSettings) -> ActorHandle[KeyBudgets] | None:
    """The keeper of this service, where keys have a budget; it ends with the process that starts it."""
    if settings.key_budget_usd is None:
        return None
    keeper: Any = ray.remote(KeyBudgets)
    started: ActorHandle[KeyBudgets] = keeper.options(num_cpus=0, max_restarts=-1).remote(
        settings.store, settings.key_budget_usd
    )
    return started


class KeyTill:
    """`SharedTill` of one task under the budget of its key, and under a ceiling of its own where it has one."""

    def __init__(self, keeper: Any, owner: str, own: SharedTill | None) -> None:
        self._keeper = keeper
        self._owner = owner
        self._own = own

    async def draw(self, needed_usd: float) -> float:
        chunk = await self._draw(needed_usd)
        if not chunk or self._own is None:
            return chunk
        own = await self._own.draw(chunk) or await self._own.draw(needed_usd)
        if own > chunk:
            await self._own.give_back(own - chunk)
        elif own < chunk:
            await self._give_back(chunk - own)
        return min(own, chunk)

    async def give_back(self, usd: float) -> None:
        await self._give_back(usd)
        if self._own is not None:
            await self._own.give_back(usd)

    async def _draw(self, needed_usd: float) -> float:
        try:
            return float(await self._keeper.draw.remote(self._owner, needed_usd))
        except RayError as error:
            raise StoppedError(LOST) from error

    async def _give_back(self, usd: float) -> None:
        try:
            await self._keeper.give_back.remote(self._owner, usd)
        except RayError as error:
            raise StoppedError(LOST) from error

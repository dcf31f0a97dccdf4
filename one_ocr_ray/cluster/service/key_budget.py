"""Bounds what uploads of one API key may cost in a day. One actor keeps the budgets of all keys.

A day is one of UTC. Its record is in the store, so that it outlives the service.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.policy.cost.budget import Budget
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.key_budgets import KeyDay, forget_days_before, keep_key_day, key_day

if TYPE_CHECKING:
    from datetime import date

    from ray.actor import ActorHandle

    from one_ocr_ray.settings.service import ServiceSettings

LOST = "The keeper of the key's budget is away. Try again later."


class KeyBudgets:
    """Actor body: the budgets of all keys for the day that is now."""

    def __init__(self, store: str, budget_usd: float) -> None:
        self._store = Objects(store)
        self._budget_usd = budget_usd
        self._day = today()
        self._budgets: dict[str, Budget] = {}

    def allocate(self, owner: str, needed_usd: float) -> float:
        """A chunk of at least `needed_usd` for `owner`, or 0.0. Raises StorageError, and hands nothing out then."""
        budget = self._budget_of(owner)
        chunk = budget.allocate(needed_usd)
        keep_key_day(self._store, owner, self._day, KeyDay(budget.left_usd, 0.0 if chunk else needed_usd))
        return chunk

    def refund(self, owner: str, usd: float) -> None:
        """Take back what was not needed. Money of an earlier day gives this one no more than its budget."""
        budget = self._budget_of(owner)
        budget.refund(min(usd, self._budget_usd - budget.left_usd))
        before = key_day(self._store, owner, self._day)
        refused_usd = before.refused_usd if before is not None else 0.0
        keep_key_day(self._store, owner, self._day, KeyDay(budget.left_usd, refused_usd))

    def _budget_of(self, owner: str) -> Budget:
        if self._day != today():
            self._day, self._budgets = today(), {}
            forget_days_before(self._store, self._day)
        if owner not in self._budgets:
            before = key_day(self._store, owner, self._day)
            # A budget that was lowered since holds as it is now.
            left_usd = self._budget_usd if before is None else min(before.left_usd, self._budget_usd)
            self._budgets[owner] = Budget(left_usd)
        return self._budgets[owner]


def today() -> date:
    return datetime.now(UTC).date()


def start_key_budgets(settings: ServiceSettings) -> ActorHandle[KeyBudgets] | None:
    """The actor of this service, where keys have a budget. It ends with the process that starts it."""
    if settings.key_budget_usd is None:
        return None
    actor: Any = ray.remote(KeyBudgets)
    started: ActorHandle[KeyBudgets] = actor.options(num_cpus=0, max_restarts=-1).remote(
        settings.store, settings.key_budget_usd
    )
    return started

"""`budgets/<day>/<owner>.json` in the service's store: the rest of an API key's budget for a UTC day.

It is written before money is handed out, so after a crash unused money counts as spent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from datetime import date

    from one_ocr_ray.storage.store.objects import Objects

BUDGETS = "budgets"


@dataclass(frozen=True, slots=True)
class KeyDay:
    """The rest of a key's budget for a day. Also the highest cost of the last request that did not fit into it."""

    left_usd: float
    refused_usd: float = 0.0

    @property
    def is_over(self) -> bool:
        """True if no request fits into the rest of the budget."""
        return self.left_usd < self.refused_usd


def key_day(store: Objects, owner: str, day: date) -> KeyDay | None:
    """The budget of a key for a day; None if nothing was spent yet."""
    data = store.get(_path(owner, day))
    return KeyDay(**orjson.loads(data)) if data else None


def keep_key_day(store: Objects, owner: str, day: date, budget: KeyDay) -> None:
    """Store the budget of a key for a day."""
    store.put(_path(owner, day), orjson.dumps(asdict(budget)))


def forget_days_before(store: Objects, day: date) -> None:
    """Delete the budgets of earlier days."""
    for name in store.folders(BUDGETS):
        if name < day.isoformat():
            store.delete_all(f"{BUDGETS}/{name}")


def _path(owner: str, day: date) -> str:
    return f"{BUDGETS}/{day.isoformat()}/{owner or 'all'}.json"

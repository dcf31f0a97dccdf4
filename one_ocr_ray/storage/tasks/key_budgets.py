"""`budgets/<day>/<owner>.json` in the service's store: what is left of a key's budget for a day, in UTC.

Written before money is handed out: after a crash what was in hand counts as spent.
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
    """A key's day: what is left of its budget, and what the last request could cost that it was too little for."""

    left_usd: float
    refused_usd: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it is spent, but for a rest that no request fits into."""
        return self.left_usd < self.refused_usd


def key_day(store: Objects, owner: str, day: date) -> KeyDay | None:
    """How a key's day stands; None: nothing was spent yet."""
    data = store.get(_path(owner, day))
    return KeyDay(**orjson.loads(data)) if data else None


def keep_key_day(store: Objects, owner: str, day: date, stands: KeyDay) -> None:
    """Make it durable."""
    store.put(_path(owner, day), orjson.dumps(asdict(stands)))


def forget_days_before(store: Objects, day: date) -> None:
    """Remove the days that are over."""
    for name in store.folders(BUDGETS):
        if name < day.isoformat():
            store.delete_all(f"{BUDGETS}/{name}")


def _path(owner: str, day: date) -> str:
    return f"{BUDGETS}/{day.isoformat()}/{owner or 'all'}.json"

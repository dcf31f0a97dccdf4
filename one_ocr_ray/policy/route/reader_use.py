"""What each reader of a route has read and cost in a run, and what that has saved against the reader that is paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.known_sums import add_known

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ReaderUse:
    """Pages that a reader answered. `cost_usd`: of these pages, earlier readers included; None: unknown."""

    pages: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: ReaderUse) -> ReaderUse:
        return ReaderUse(self.pages + other.pages, add_known(self.cost_usd, other.cost_usd))


def saved_usd(readers: Mapping[str, ReaderUse], name: str) -> float | None:
    """What the pages of `name` would have cost the dearest reader of the run in the mean; None if that is unknown."""
    means = [use.cost_usd / use.pages for use in readers.values() if use.pages and use.cost_usd is not None]
    use = readers[name]
    if use.cost_usd is None or len(means) < len(readers) or not any(means):
        return None
    return max(0.0, max(means) * use.pages - use.cost_usd)

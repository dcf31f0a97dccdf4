"""Adds up an API key's use: pages, tokens and USD by day and reader."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.known_sums import add_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from one_ocr_ray.policy.tasks.transitions import PageOutcome


@dataclass(frozen=True, slots=True)
class Use:
    """Pages that were read, what they took, and what they cost. None: the price is unknown."""

    pages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.pages + other.pages,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            add_known(self.cost_usd, other.cost_usd),
        )


DailyUse = dict[str, dict[str, Use]]  # by day (UTC, ISO 8601) and reader


def use_of(pages: Iterable[PageOutcome]) -> DailyUse:
    """What `pages` have used."""
    uses: list[DailyUse] = []
    for page in pages:
        was_lost = page.cost_usd is None and page.input_tokens is None  # the answer: its price is not what is unknown
        cost_usd = 0.0 if was_lost else page.cost_usd
        use = Use(1, page.input_tokens or 0, page.output_tokens or 0, cost_usd)
        uses.append({page.finished_at.date().isoformat(): {page.reader: use}})
    return added(uses)


def added(uses: Iterable[DailyUse]) -> DailyUse:
    """The sum of `uses`."""
    total: dict[str, dict[str, Use]] = defaultdict(lambda: defaultdict(Use))
    for use in uses:
        for day, readers in use.items():
            for reader, each in readers.items():
                total[day][reader] += each
    return {day: dict(total[day]) for day in sorted(total)}


def since(use: DailyUse, first: date) -> DailyUse:
    """`use` from the day `first` on."""
    return {day: readers for day, readers in use.items() if day >= first.isoformat()}


def encoded(use: DailyUse) -> dict[str, Any]:
    """`use` as JSON holds it."""
    return {day: {reader: astuple(each) for reader, each in readers.items()} for day, readers in use.items()}


def decoded(values: Mapping[str, Any]) -> DailyUse:
    """The use that `encoded` made. Raises ValueError, TypeError or AttributeError for anything else."""
    return {day: {reader: Use(*each) for reader, each in readers.items()} for day, readers in values.items()}

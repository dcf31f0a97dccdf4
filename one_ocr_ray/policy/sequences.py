"""What decisions on sequences share: runs of items that belong together, and the weighted median."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_Item = TypeVar("_Item")


def runs(items: Iterable[_Item], continues: Callable[[list[_Item], _Item], bool]) -> list[list[_Item]]:
    """Cut `items` into runs. One for which `continues(run, item)` is false begins the next."""
    found: list[list[_Item]] = []
    run: list[_Item] = []
    for item in items:
        if run and continues(run, item):
            run.append(item)
        else:
            run = [item]
            found.append(run)
    return found


def weighted_median(values: Iterable[tuple[float, float]]) -> float | None:
    """The median of (value, weight); None when there are no values."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    for value, weight in ordered:
        half -= weight
        if half <= 0:
            return value
    return None

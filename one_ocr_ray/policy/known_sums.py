"""Adds numbers that may be unknown. None stands for unknown, and makes the whole sum unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

_Number = TypeVar("_Number", int, float)


def add_known(one: _Number | None, other: _Number | None) -> _Number | None:
    """The sum of two numbers; None if one of them is unknown."""
    return None if one is None or other is None else one + other


def sum_known(values: Iterable[_Number | None]) -> _Number | None:
    """The sum of `values`. None if one of them is unknown, 0 if there are none."""
    total: _Number | None = 0
    for value in values:
        total = add_known(total, value)
    return total

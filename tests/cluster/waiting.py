"""Waiting for something to become true, with a deadline that only a broken program reaches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Found = TypeVar("_Found")


def until(look: Callable[[], _Found | None], what: str, within_s: float = 120.0) -> _Found:
    """What `look` finds, as soon as it is true."""
    deadline_s = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s:g} s"
        time.sleep(0.2)
    return found

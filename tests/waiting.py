"""Waiting for something to become true, with a deadline that only a broken program reaches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Found = TypeVar("_Found")

PATIENCE_S = 120.0  # for a loaded machine; what is there is seen at once
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


def until(look: Callable[[], _Found | None], what: str, within_s: float = PATIENCE_S) -> _Found:
    """What `look` finds, as soon as it is true."""
    looked_s = time.monotonic()
    deadline_s = looked_s + within_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s:g} s"
        pause(_PAUSE_S, looked_s)
        looked_s = time.monotonic()
    return found


def pause(least_s: float, looked_s: float) -> None:
    """Sleep after a look that began at `looked_s`: longer where it takes its time, for others need the CPU."""
    time.sleep(max(least_s, min(3 * (time.monotonic() - looked_s), _LONGEST_PAUSE_S)))


async def eventually(look: Callable[[], _Found | None], what: str, within_s: float = PATIENCE_S) -> _Found:
    """The same in an event loop; `look` has a thread of its own, for it may ask another process."""
    return await asyncio.to_thread(until, look, what, within_s)

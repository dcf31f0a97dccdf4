"""Waiting for something to become true, with a deadline that only a broken program reaches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Found = TypeVar("_Found")

PATIENCE_S = 120.0  # for a loaded machine; what is there is seen at once
_PAUSE_S = 0.05


def until(look: Callable[[], _Found | None], what: str, within_s: float = PATIENCE_S) -> _Found:
    """What `look` finds, as soon as it is true."""
    deadline_s = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s:g} s"
        time.sleep(_PAUSE_S)
    return found


async def eventually(look: Callable[[], _Found | None], what: str, within_s: float = PATIENCE_S) -> _Found:
    """The same in an event loop; `look` has a thread of its own, for it may ask another process."""
    return await asyncio.to_thread(until, look, what, within_s)

"""A clock that only moves when it is told to, and when somebody sleeps on it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tests.values import NOON


class ManualClock:
    """The `Clock` of the page loop without real waiting. `slept` holds every wait, in order, in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now_s = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def utc(self) -> datetime:
        """The clock was made at noon."""
        return NOON + timedelta(seconds=self._now_s)

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once; others get their turn, as in a real wait."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

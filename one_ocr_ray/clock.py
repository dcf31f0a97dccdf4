"""Time as the page loop needs it: the seam, and the machine's clock behind it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as the flow needs it, so that tests can turn it by hand."""

    def monotonic_s(self) -> float:
        """Seconds that never fall."""

    def utc(self) -> datetime:
        """The wall clock."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clock of the machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

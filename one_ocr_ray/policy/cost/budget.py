"""The cost ceiling of a job, reckoned before each request: what is spent and what is in flight never pass it.

Money is handed out in chunks, so that not every request asks: a purse in each worker draws chunks from the one till of
the job, reserves the most a request can cost, and takes back what it did not cost.
"""

from __future__ import annotations

# A chunk holds this many requests at their dearest: few questions, and little lies idle in other purses at the end.
CHUNK_REQUESTS = 16


class Till:
    """What is left of the ceiling and not handed out, in USD."""

    def __init__(self, left_usd: float) -> None:
        self._left_usd = max(0.0, left_usd)

    @property
    def left_usd(self) -> float:
        return self._left_usd

    def draw(self, needed_usd: float) -> float:
        """A chunk of at least `needed_usd`; 0.0 when there is not that much."""
        if self._left_usd < needed_usd:
            return 0.0
        # At the end chunks get smaller, so that all workers can spend the rest.
        chunk = min(max(needed_usd, min(needed_usd * CHUNK_REQUESTS, self._left_usd / CHUNK_REQUESTS)), self._left_usd)
        self._left_usd -= chunk
        return chunk

    def give_back(self, usd: float) -> None:
        """Take back what a purse does not need."""
        self._left_usd += usd


class Purse:
    """A worker's share: what it may still reserve, and how many reservations are out."""

    def __init__(self) -> None:
        self._free_usd = 0.0
        self.reservations = 0

    def add(self, usd: float) -> None:
        """Put a chunk in."""
        self._free_usd += usd

    def missing(self, usd: float) -> float:
        """How much must be added before `usd` can be reserved."""
        return max(0.0, usd - self._free_usd)

    def empty(self) -> float:
        """Take everything out that is not reserved."""
        usd, self._free_usd = self._free_usd, 0.0
        return usd

    def reserve(self, usd: float) -> bool:
        """Set the most that one request can cost aside; False when there is not that much."""
        if self._free_usd < usd:
            return False
        self._free_usd -= usd
        self.reservations += 1
        return True

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """A request that had `reserved_usd` set aside has cost `cost_usd`."""
        self._free_usd += reserved_usd - cost_usd
        self.reservations -= 1

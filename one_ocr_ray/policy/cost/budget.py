"""A cost ceiling that holds in advance: spent and reserved money never exceed it.

Money is handed out in chunks, so that not every request needs a call. A worker holds its share in `reading/limits`.
"""

from __future__ import annotations

# A chunk pays for this many requests in the worst case: few calls, and little money idle in other shares at the end.
CHUNK_REQUESTS = 16


class Budget:
    """The part of a ceiling that is not handed out yet, in USD. The body of an actor if workers share it."""

    def __init__(self, left_usd: float) -> None:
        self._left_usd = max(0.0, left_usd)

    @property
    def left_usd(self) -> float:
        return self._left_usd

    def allocate(self, needed_usd: float) -> float:
        """Take out a chunk of at least `needed_usd`; 0.0 if there is not enough."""
        if self._left_usd < needed_usd:
            return 0.0
        # Chunks get smaller towards the end, so that all workers can spend the rest.
        chunk = min(max(needed_usd, min(needed_usd * CHUNK_REQUESTS, self._left_usd / CHUNK_REQUESTS)), self._left_usd)
        self._left_usd -= chunk
        return chunk

    def refund(self, usd: float) -> None:
        """Take back money that a share does not need."""
        self._left_usd += usd

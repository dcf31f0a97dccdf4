"""A cost ceiling, counted before requests are sent: what is spent and what is under way never pass it.

Money is handed out in chunks, so that not every request asks. `reading/budget.py` holds a worker's share.
"""

from __future__ import annotations

# A chunk holds this many requests at their dearest: few questions, and at the end little lies idle in other shares.
CHUNK_REQUESTS = 16


class Budget:
    """What is left of a ceiling and not handed out, in USD. Also the body of an actor where workers share a ceiling."""

    def __init__(self, left_usd: float) -> None:
        self._left_usd = max(0.0, left_usd)

    @property
    def left_usd(self) -> float:
        return self._left_usd

    def allocate(self, needed_usd: float) -> float:
        """A chunk of at least `needed_usd`; 0.0 when there is not that much."""
        if self._left_usd < needed_usd:
            return 0.0
        # At the end chunks get smaller, so that all workers can spend the rest.
        chunk = min(max(needed_usd, min(needed_usd * CHUNK_REQUESTS, self._left_usd / CHUNK_REQUESTS)), self._left_usd)
        self._left_usd -= chunk
        return chunk

    def refund(self, usd: float) -> None:
        """Take back what a share does not need."""
        self._left_usd += usd

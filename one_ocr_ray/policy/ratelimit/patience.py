"""Tells throttles from a spent budget: long refusal of everything is no throttle."""

from __future__ import annotations

# Longer than any per-minute window and its longest pause. A run that waits longer for nothing should say so and stop.
REFUSED_AT_MOST_S = 900.0
REFUSALS_NEEDED = 5  # one long pause proves nothing


class Patience:
    """Counts refusals since the last answer."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._refusals = 0

    def record(self, answers: int, now: float, *, refused: bool) -> None:
        """Record what became of requests; any answer shows that the account works."""
        if answers:
            self.reset()
        if refused:
            self._since = now if self._since is None else self._since
            self._refusals += 1

    def reset(self) -> None:
        """Forget all refusals."""
        self._since, self._refusals = None, 0

    def is_over(self, now: float) -> bool:
        """True if only refusals have come for too long."""
        return self._since is not None and now - self._since >= REFUSED_AT_MOST_S and self._refusals >= REFUSALS_NEEDED

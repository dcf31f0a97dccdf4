"""How long an account may refuse everything before it is no throttle any more: a spent budget that nobody names."""

from __future__ import annotations

# Longer than any window of a minute's limit and its longest pause; a run that waits so long for nothing should say so.
REFUSED_AT_MOST_S = 900.0
REFUSALS_NEEDED = 5  # a single long pause proves nothing


class Patience:
    """Counts refusals since the last answer."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._refusals = 0

    def record(self, answers: int, now: float, *, refused: bool) -> None:
        """Take in what became of requests; any answer is a sign that the account works."""
        if answers:
            self.forget()
        if refused:
            self._since = now if self._since is None else self._since
            self._refusals += 1

    def forget(self) -> None:
        """Begin anew."""
        self._since, self._refusals = None, 0

    def is_over(self, now: float) -> bool:
        """Whether nothing but refusals has come for too long."""
        return self._since is not None and now - self._since >= REFUSED_AT_MOST_S and self._refusals >= REFUSALS_NEEDED

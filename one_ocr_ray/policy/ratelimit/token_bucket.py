"""The classic token bucket: `tokens_per_second` flow in, at most `max_tokens` are kept."""

from __future__ import annotations

_ROUNDING = 1e-9  # tokens: a computed wait must be long enough


class TokenBucket:
    """A bucket that starts full. `now` is in seconds of any monotonic clock."""

    def __init__(self, tokens_per_second: float, max_tokens: float, now: float) -> None:
        """Raises ValueError unless both are positive."""
        if tokens_per_second <= 0 or max_tokens <= 0:
            raise ValueError("tokens_per_second and max_tokens must be positive")
        self._tokens_per_second = tokens_per_second
        self._max_tokens = max_tokens
        self._tokens = max_tokens
        self._at = now

    def wait_s(self, tokens: float, now: float) -> float:
        """Seconds until `tokens` are there; 0.0 when they are. Raises ValueError when they never will be."""
        if not 0 < tokens <= self._max_tokens:
            raise ValueError(f"{tokens:g} tokens at once from a bucket that holds {self._max_tokens:g}")
        missing = tokens - self._tokens_at(now)
        return missing / self._tokens_per_second if missing > _ROUNDING else 0.0

    def take(self, tokens: float, now: float) -> None:
        """Take tokens that are there."""
        self._tokens = max(0.0, self._tokens_at(now) - tokens)
        self._at = now

    def _tokens_at(self, now: float) -> float:
        return min(self._max_tokens, self._tokens + (now - self._at) * self._tokens_per_second)

"""A window of requests in flight for servers without a quota (vLLM, SGLang, Ollama), found by trying."""

from __future__ import annotations

_START = 8.0
_CUT = 0.7
_CUT_EVERY_S = 2.0
_LATENCY_BOUND = 2.0  # times the best latency: more requests would only wait in the server's queue
_FORGET_BEST = 1.001  # per request, so that harder pages do not keep the window small for ever


class InFlightWindow:
    """Doubles per round trip until the server slows down, then grows by 1; shrinks to 0.7 when requests fail."""

    def __init__(self) -> None:
        self._size = _START
        self._doubling = True
        self._cut_at = -_CUT_EVERY_S
        self._latency_s: float | None = None
        self._best_s = 0.0

    @property
    def size(self) -> int:
        return int(self._size)

    def record(self, successes: int, failures: int, latency_s: float, in_flight: int, now: float) -> None:
        """Learn from requests that ended, of `in_flight`. `latency_s` is the sum over the successes."""
        if failures:
            self._doubling = False
            if now - self._cut_at >= _CUT_EVERY_S:  # the failures of one round trip are one event
                self._cut_at = now
                self._size = max(1.0, self._size * _CUT)
        elif successes:
            self._grow(successes, latency_s / successes, is_used=2 * in_flight >= self._size)

    def _grow(self, successes: int, latency_s: float, *, is_used: bool) -> None:
        if self._latency_s is None:
            self._latency_s = self._best_s = latency_s
        self._latency_s += (latency_s - self._latency_s) * (1 - 0.9**successes)
        self._best_s = min(self._latency_s, self._best_s * _FORGET_BEST**successes)
        if not is_used:  # a window that is not used proves nothing
            return
        if self._latency_s > _LATENCY_BOUND * self._best_s:
            self._doubling = False
        else:
            self._size += successes if self._doubling else successes / self._size

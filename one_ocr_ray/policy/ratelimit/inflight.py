"""Finds by trying how many requests a server without a quota (vLLM, Ollama) takes at once.

More requests at once are worth it while the server answers more a second. By Little's law it answers `size / latency`,
so that the latency may grow with the window, only not as fast: a server that batches answers ever slower and ever more,
until its seats are full. A server that tells its own queue needs no such trying: the window is what it works on, and a
few more.
"""

from __future__ import annotations

_START = 8.0
_CUT = 0.7
_CUT_EVERY_S = 2.0
# A latency that grows with this power of the window or a higher one: a window a quarter larger brings less than 3 %.
_WORTH = 0.88
_STEP = 1.25
_REPORTED_S = 10.0  # how long a report of the server on its queue counts
_HELD_ROUNDS = 30  # then a larger window is tried again: pages and servers change


class InFlightWindow:
    """Doubles per round trip while that brings more answers a second, then grows by 1. Shrinks to 0.7 on failures."""

    def __init__(self) -> None:
        self._size = _START
        self._doubling = True
        self._trying = False  # a larger window than the one that was found
        self._worth_more = True
        self._held_rounds = 0
        self._cut_at = -_CUT_EVERY_S
        self._base: tuple[float, float] | None = None  # the last window that was worth it, and its latency
        self._answers = 0  # in this round trip
        self._late_answers = 0  # in its second half: they were sent while the window had this size
        self._late_s = 0.0
        self._reported_at = -_REPORTED_S  # when the server last reported its queue

    @property
    def size(self) -> int:
        return int(self._size)

    def record(self, successes: int, failures: int, latency_s: float, in_flight: int, now: float) -> None:
        """Learn from requests that ended, of `in_flight`. `latency_s` is the sum over the successes."""
        if failures:
            self._doubling = self._trying = False
            if now - self._cut_at >= _CUT_EVERY_S:  # the failures of one round trip are one event
                self._cut_at = now
                self._size = max(1.0, self._size * _CUT)
                self._worth_more = True
        elif now - self._reported_at < _REPORTED_S:  # it is known, not tried
            self._answers = self._late_answers = 0
            self._late_s = 0.0
        elif successes and 2 * in_flight >= self._size:  # a window that is not used proves nothing
            if self._answers >= self._size / 2:
                self._late_answers += successes
                self._late_s += latency_s
            self._answers += successes
            if self._worth_more and not self._doubling and not self._trying:
                self._size += successes / self._size
            if self._answers >= self._size:
                self._judge(self._late_s / self._late_answers if self._late_answers else latency_s / successes)
                self._answers = self._late_answers = 0
                self._late_s = 0.0

    def record_queue(self, running: int, waiting: int, now: float) -> None:
        """Learn how many requests the server works on and how many wait, others' included."""
        self._reported_at = now
        self._doubling = self._trying = False
        self._base = None
        if waiting == 0:
            self._size = max(self._size, running + max(_START, running / 4))
        elif waiting > max(_START / 2, running / 8):
            self._size = max(1.0, running + _START / 2)

    def _judge(self, latency_s: float) -> None:
        """A round trip has ended: let the window grow, hold it, or go back."""
        size, latency = self._base or (self._size, latency_s)
        self._worth_more = latency_s <= latency * max(1.0, self._size / size) ** _WORTH
        self._held_rounds = 0 if self._worth_more else self._held_rounds + 1
        steps = self._doubling or self._trying
        if self._worth_more and (steps or self._base is None or self._size >= _STEP * size):
            self._base = self._size, latency_s
        if self._worth_more and steps:
            self._size *= 2.0 if self._doubling else _STEP
        elif steps:  # the server is full somewhere between the two
            brought = (self._size / latency_s) / (size / latency)
            self._size = size if self._trying else min(max(size, _STEP * size * brought), self._size)
            self._doubling = self._trying = False
        elif self._held_rounds >= _HELD_ROUNDS:
            self._base, self._held_rounds, self._trying = (self._size, latency_s), 0, True
            self._size *= _STEP

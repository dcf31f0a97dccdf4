"""The circuit breaker: stops requests to a server that fails nearly all of them, then sends a few probes."""

from __future__ import annotations

from collections import deque

_OUTCOMES = 20
_OUTCOMES_NEEDED = 10
# Of those. A server that fails every other request stays in use: retries are few, and every page has five of them.
# An open breaker would take longer, since half of its probes fail, too.
_FAILED_SHARE = 0.9
_OPEN_S = 30.0
_OPEN_AT_MOST_S = 600.0
_PROBES = (1, 3)
_PROBE_PATIENCE_S = 60.0  # a probe whose worker died never reports


class Breaker:
    """Closed, or open until `opens_at`, or half open: one probe, then three, then closed."""

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES)
        self._open_s = _OPEN_S
        self._open_until = 0.0
        self._stage: int | None = None  # index into _PROBES; None = closed
        self._probes_sent = 0
        self._probes_passed = 0
        self._probed_at = 0.0

    def opens_at(self, now: float) -> float:
        """When the next request may go: `now`, unless the breaker is open."""
        return self._open_until if self._stage is not None else now

    def allowance(self, now: float) -> int | None:
        """How many requests may be granted; None = any number."""
        if self._stage is None:
            return None
        if now - self._probed_at > _PROBE_PATIENCE_S:
            self._probes_sent = self._probes_passed
        return _PROBES[self._stage] - self._probes_sent

    def granted(self, requests: int, now: float) -> None:
        if self._stage is not None:
            self._probes_sent += requests
            self._probed_at = now

    def is_outdated(self, sent_at: float) -> bool:
        """True if a request was sent before the breaker last let requests through; its failure is old news."""
        return sent_at < self._open_until

    def record(self, successes: int, failures: int, now: float) -> None:
        """Count what became of requests. Reports that come while the breaker is open are outdated."""
        if now < self._open_until:
            return
        if self._stage is not None:
            self._judge_probes(successes, failures, now)
            return
        self._outcomes.extend([True] * min(successes, _OUTCOMES))
        self._outcomes.extend([False] * min(failures, _OUTCOMES))
        failed = self._outcomes.count(False)
        if len(self._outcomes) >= _OUTCOMES_NEEDED and failed >= _FAILED_SHARE * len(self._outcomes):
            self._open(now)

    def _judge_probes(self, successes: int, failures: int, now: float) -> None:
        if failures:
            self._open_s = min(2 * self._open_s, _OPEN_AT_MOST_S)
            self._open(now)
            return
        self._probes_passed += successes
        if self._stage is not None and self._probes_passed >= _PROBES[self._stage]:
            self._enter(self._stage + 1)

    def _open(self, now: float) -> None:
        self._open_until = now + self._open_s
        self._outcomes.clear()
        self._enter(0)

    def _enter(self, stage: int) -> None:
        self._probes_sent = self._probes_passed = 0
        self._stage = stage if stage < len(_PROBES) else None
        if self._stage is None:
            self._open_s = _OPEN_S

"""The circuit breaker stops requests to a server that fails nearly all, then sends probes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerBounds:
    """When a breaker opens, by the last `outcomes`, and for how long."""

    outcomes: int
    needed: int  # outcomes before it can open
    failures: int  # of those, at least
    failed_share: float
    open_s: float
    open_at_most_s: float


# A server that fails every other request stays in use: retries are few, and every page has five of them. An open
# breaker would take longer, since half of its probes fail, too.
ALONE = BreakerBounds(outcomes=20, needed=10, failures=9, failed_share=0.9, open_s=30.0, open_at_most_s=600.0)
# Pages can go elsewhere, so that little is lost by a breaker that opens early.
WITH_OTHERS = BreakerBounds(outcomes=5, needed=3, failures=3, failed_share=0.6, open_s=5.0, open_at_most_s=60.0)
_PROBES = (1, 3)
_PROBE_PATIENCE_S = 60.0  # a probe whose worker died never reports


class Breaker:
    """Closed, or open until `opens_at`, or half open: one probe, then three, then closed."""

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=ALONE.outcomes)
        self._open_s = 0.0  # of the last time that it opened, since it was closed
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

    def returned(self, requests: int) -> None:
        """Let others send probes in place of those that were granted and not sent."""
        self._probes_sent = max(self._probes_passed, self._probes_sent - max(0, requests))

    def came_back(self, now: float) -> None:
        """Probe at once: the server was seen to be gone and to be there again. That stands for the first probe."""
        if self._stage == 0:
            self._open_until = min(self._open_until, now)
            self._enter(1)

    def is_outdated(self, sent_at: float) -> bool:
        """True if a request was sent before the breaker last let requests through. Its failure is old news."""
        return sent_at < self._open_until

    def record(self, successes: int, failures: int, now: float, bounds: BreakerBounds = ALONE) -> None:
        """Count what became of requests. Reports that come while the breaker is open are outdated."""
        if now < self._open_until:
            return
        if self._stage is not None:
            if failures:
                self._open(now, min(2 * self._open_s, bounds.open_at_most_s))
                return
            self._probes_passed += successes
            if self._probes_passed >= _PROBES[self._stage]:
                self._enter(self._stage + 1)
            return
        self._outcomes.extend([True] * min(successes, ALONE.outcomes))
        self._outcomes.extend([False] * min(failures, ALONE.outcomes))
        recent = list(self._outcomes)[-bounds.outcomes :]
        failed = recent.count(False)
        if len(recent) >= bounds.needed and failed >= max(bounds.failures, bounds.failed_share * len(recent)):
            self._open(now, bounds.open_s)

    def _open(self, now: float, for_s: float) -> None:
        self._open_s, self._open_until = for_s, now + for_s
        self._outcomes.clear()
        self._enter(0)

    def _enter(self, stage: int) -> None:
        self._probes_sent = self._probes_passed = 0
        self._stage = stage if stage < len(_PROBES) else None

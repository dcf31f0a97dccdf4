"""Meters allowances by virtual scheduling (GCRA, ITU-T I.371), and requests per day. There is hardly any credit."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient, RequestHistory

SAVED_AT_MOST_S = 5.0  # of the rate
# A grant that spends credit is denser than the rate by this share. It is small at first, since providers that count
# single seconds tolerate a tenth at most. It is larger when estimates were far off, so that much credit has piled up.
DENSER_AT_LEAST, DENSER_AT_MOST = 0.05, 0.5
SPENT_OVER_S = 2.0
# A gate whose process got no CPU for a moment catches up by this much, and so slowly that no second holds noticeably
# more. Together with permits that are used late it fits into the unused part of a minute (`adapt.HEADROOM`).
MISSED_AT_MOST_S = 0.15
CATCH_UP = 0.01
_HOUR_S = 3600.0
_HOURS_KEPT = 25  # 24 and the current one: no 24 hours exceed the limit, whenever the provider's day begins


class GcraMeter:
    """Meters one rate. Idle time earns no burst. Any amount is granted; the next grant waits for it."""

    def __init__(self) -> None:
        self.next_at = 0.0  # when everything granted is used up
        self._missed_s = 0.0
        self._credit = 0.0  # granted and not used, as settled afterwards

    def take(self, start: float, amount: float, rate: float) -> float:
        """Grant `amount` from `start` on, which is not before `next_at`. Gives the seconds it lasts at `rate`.

        Credit shortens that time, so a refund makes grants denser but never a burst.
        """
        denser = min(DENSER_AT_LEAST + self._credit / (rate * SPENT_OVER_S), DENSER_AT_MOST)
        rebate = min(self._credit, amount * denser)
        self._credit -= rebate
        lasts_s = (amount - rebate) / rate
        self._missed_s = min(self._missed_s + start - self.next_at, MISSED_AT_MOST_S)
        caught_up_s = min(self._missed_s, CATCH_UP * lasts_s)
        self._missed_s -= caught_up_s
        lasts_s -= caught_up_s
        self.next_at = start + lasts_s
        return lasts_s

    def settle(self, surplus: float, now: float, rate: float) -> None:
        """Correct an earlier grant by `surplus` (used minus granted)."""
        self._credit = min(self._credit - surplus, rate * SAVED_AT_MOST_S)
        if self._credit < 0:
            self.next_at = max(self.next_at, now) - self._credit / rate
            self._credit = 0.0


class DayMeter:
    """Counts the requests of the last 24 hours, by the hour."""

    def __init__(self) -> None:
        self._hours: deque[tuple[int, int]] = deque()  # (hour, requests)
        self._jobs: Counter[str] = Counter()  # requests of each job
        self._unused: dict[str, int] = {}  # permits that each client has returned

    def take(self, requests: int, now: float, job: str = "") -> None:
        """Count `requests` of `job` that may be sent now."""
        if not requests:
            return
        self._jobs[job] += requests
        hour = int(now // _HOUR_S)
        if self._hours and self._hours[-1][0] == hour:
            requests += self._hours.pop()[1]
        self._hours.append((hour, requests))

    def record_feedback(self, who: LimiterClient, feedback: Feedback, now: float) -> int:
        """Take unused permits back, and give their number. Count earlier requests of a client older than this meter."""
        known = self._unused.get(who.client_id)
        returned = 0 if known is None else feedback.unused - known
        if known is None:
            self.take(feedback.received - feedback.unused, now, who.job)
        else:
            permits = returned
            self._jobs[who.job] -= permits
            while permits > 0 and self._hours:
                hour, requests = self._hours.pop()
                if requests > permits:
                    self._hours.append((hour, requests - permits))
                permits -= requests
        if feedback.leaving:
            self._unused.pop(who.client_id, None)
        else:
            self._unused[who.client_id] = feedback.unused
        return returned

    def remember(self, earlier: RequestHistory, now: float) -> None:
        """Count requests that jobs sent before this meter started, without those it has counted already."""
        hours = Counter(dict(self._hours))
        for job, requests in earlier.items():
            unknown = sum(number for _, number in requests) - self._jobs[job]
            for age_s, number in sorted(requests):
                counted = min(number, max(0, unknown))
                unknown -= counted
                self._jobs[job] += counted
                hours[int((now - age_s) // _HOUR_S)] += counted
        self._hours = deque(sorted(hours.items()))

    def left(self, limit: int, now: float) -> int:
        """How many of `limit` requests per day are left."""
        self._forget(now)
        return max(0, limit - sum(requests for _, requests in self._hours))

    def is_empty(self, now: float) -> bool:
        """True if no request of the last day is known."""
        self._forget(now)
        return not self._hours

    def _forget(self, now: float) -> None:
        while self._hours and self._hours[0][0] + _HOURS_KEPT <= now // _HOUR_S:
            self._hours.popleft()
        if not self._hours:
            self._jobs.clear()

    def frees_at(self) -> float:
        """When the oldest hour stops counting."""
        return (self._hours[0][0] + _HOURS_KEPT) * _HOUR_S if self._hours else 0.0

"""Meters: when is an allowance that was granted used up? Virtual scheduling (ITU-T I.371, GCRA), hardly any credit."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Client, Earlier, Feedback

SAVED_AT_MOST_S = 5.0  # of the rate
# So much denser than the rate is a grant that spends what was saved. Little at first, for providers that look at single
# seconds leave a tenth of room at most; more when estimates are so far off that much has been saved.
DENSER_AT_LEAST, DENSER_AT_MOST = 0.05, 0.5
SPENT_OVER_S = 2.0
# A gate whose process got no CPU for a moment makes up for that moment: this much, and so slowly that no second holds
# more for it. It fits into what is left unused of a minute (`adapt.HEADROOM`) together with permits that are used late.
MISSED_AT_MOST_S = 0.15
CATCH_UP = 0.01
_HOUR_S = 3600.0
_HOURS_KEPT = 25  # 24 and the one under way: no 24 hours hold more than the limit, wherever the provider's day begins


class GcraMeter:
    """One rate. An idle meter saves no burst up; an amount larger than any burst is granted, and the next one pays."""

    def __init__(self) -> None:
        self.next_at = 0.0  # all that was granted is used up then
        self._missed_s = 0.0
        self._saved = 0.0  # granted and not used, as settled afterwards

    def take(self, start: float, amount: float, rate: float) -> float:
        """Grant `amount` from `start` on, which is not before `next_at`; the seconds it lasts at `rate`.

        What was saved shortens that, so that a refund makes grants denser and never a burst.
        """
        denser = min(DENSER_AT_LEAST + self._saved / (rate * SPENT_OVER_S), DENSER_AT_MOST)
        rebate = min(self._saved, amount * denser)
        self._saved -= rebate
        lasts_s = (amount - rebate) / rate
        self._missed_s = min(self._missed_s + start - self.next_at, MISSED_AT_MOST_S)
        caught_up_s = min(self._missed_s, CATCH_UP * lasts_s)
        self._missed_s -= caught_up_s
        lasts_s -= caught_up_s
        self.next_at = start + lasts_s
        return lasts_s

    def settle(self, surplus: float, now: float, rate: float) -> None:
        """Correct what was granted by `surplus` (used minus granted)."""
        self._saved = min(self._saved - surplus, rate * SAVED_AT_MOST_S)
        if self._saved < 0:
            self.next_at = max(self.next_at, now) - self._saved / rate
            self._saved = 0.0


class DayMeter:
    """Requests of the last 24 hours, counted by the hour."""

    def __init__(self) -> None:
        self._hours: deque[tuple[int, int]] = deque()  # (hour, requests)
        self._jobs: Counter[str] = Counter()  # what each has sent
        self._unused: dict[str, int] = {}  # what each client has given back

    def take(self, requests: int, now: float, job: str = "") -> None:
        """Count `requests` of `job` that may be sent now."""
        if not requests:
            return
        self._jobs[job] += requests
        hour = int(now // _HOUR_S)
        if self._hours and self._hours[-1][0] == hour:
            requests += self._hours.pop()[1]
        self._hours.append((hour, requests))

    def hear(self, who: Client, feedback: Feedback, now: float) -> None:
        """Permits that a client has not used were no requests; one that is older than this meter has sent some."""
        known = self._unused.get(who.client_id)
        if known is None:
            self.take(feedback.received - feedback.unused, now, who.job)
        else:
            self._give_back(feedback.unused - known, who.job)
        if feedback.leaving:
            self._unused.pop(who.client_id, None)
        else:
            self._unused[who.client_id] = feedback.unused

    def _give_back(self, permits: int, job: str) -> None:
        self._jobs[job] -= permits
        while permits > 0 and self._hours:
            hour, requests = self._hours.pop()
            if requests > permits:
                self._hours.append((hour, requests - permits))
            permits -= requests

    def remember(self, earlier: Earlier, now: float) -> None:
        """Count what jobs have sent before this meter began; what it knows of them is not counted again."""
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
        """How many of `limit` requests a day are left."""
        self._forget(now)
        return max(0, limit - sum(requests for _, requests in self._hours))

    def is_empty(self, now: float) -> bool:
        """Whether no request of the last day is known."""
        self._forget(now)
        return not self._hours

    def _forget(self, now: float) -> None:
        while self._hours and self._hours[0][0] + _HOURS_KEPT <= now // _HOUR_S:
            self._hours.popleft()
        if not self._hours:
            self._jobs.clear()

    def frees_at(self) -> float:
        """When the oldest hour is forgotten."""
        return (self._hours[0][0] + _HOURS_KEPT) * _HOUR_S if self._hours else 0.0

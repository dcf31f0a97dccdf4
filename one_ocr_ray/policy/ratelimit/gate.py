"""The gate of one bucket grants clients permits, each for one request at one instant.

A client has at most one acquire pending. The gate answers it when its first permit is at most `LEAD_S` away, so that
it weighs priorities and throttles as late as possible. A grant covers at most `QUANTUM_S` of the bucket, divided by
the waiting clients, so that few permits are out when something changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.adapt import Rates
from one_ocr_ray.policy.ratelimit.breaker import ALONE, WITH_OTHERS, Breaker
from one_ocr_ray.policy.ratelimit.clients import ClientTable
from one_ocr_ray.policy.ratelimit.inflight import InFlightWindow
from one_ocr_ray.policy.ratelimit.messages import GateState, Grant, Held, Priority, Snapshot
from one_ocr_ray.policy.ratelimit.meter import DayMeter, GcraMeter
from one_ocr_ray.policy.ratelimit.patience import REFUSED_AT_MOST_S, Patience
from one_ocr_ray.policy.ratelimit.shares import FairShares

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient, RequestHistory

LEAD_S = 0.05
QUANTUM_S = 0.2
REFUSES_ALL = Failure(
    ErrorCode.PROVIDER_UNAVAILABLE,
    f"The provider has refused every request for {REFUSED_AT_MOST_S / 60:.0f} minutes as one too many. "
    "Check the limits and the credit of the account; the same command resumes.",
    Action.STOP,
)
# A pause that is longer is an outage for pages that can go elsewhere. Usual throttles take a second or two.
AWAY_AFTER_S = 10.0
PROBED_AGAIN_S = 1.0  # about when a probe of a half-open breaker has ended
LOOK_EVERY_S = 1.0  # while a client waits; a message or a known instant may come earlier


@dataclass(frozen=True, slots=True)
class PendingAcquire:
    """A client that waits for permits."""

    who: LimiterClient
    wanted: int
    tokens_each: float


class Gate:
    """All state of one bucket. Not thread-safe."""

    def __init__(self, now: float) -> None:
        # Permits of a gate that has just died may still be used: the new gate grants nothing until they have expired.
        self._silent_until = now + LEAD_S + QUANTUM_S
        self._requests = GcraMeter()
        self._tokens = GcraMeter()
        self._day = DayMeter()
        self._knows_a_day = False
        self._rates = Rates(now)
        self._window = InFlightWindow()
        self._breaker = Breaker()
        self._patience = Patience()
        self._clients = ClientTable()
        self._shares = {priority: FairShares() for priority in Priority}  # among owners
        self._shares_of: defaultdict[str, FairShares] = defaultdict(FairShares)  # among the jobs of each
        self._pending: dict[str, PendingAcquire] = {}
        self._stopped: Failure | None = None
        self._expected_by: float | None = None  # the next dispatch, while a client waits for a known instant
        self._throttles = 0

    def record_feedback(self, who: LimiterClient, feedback: Feedback, now: float, jitter: float) -> None:
        """Record what a client has seen. `jitter` is 0-1, at random.

        A stop holds for the jobs that met it. A job that is new, or was silent for a minute, lifts it: the user may
        have corrected the key or paid the bill.
        """
        if self._clients.see(who, feedback, now):
            self._stopped = None
            self._patience.reset()
        self._breaker.returned(self._day.record_feedback(who, feedback, now))
        self._knows_a_day = self._knows_a_day or who.limits.requests_per_day is not None
        self._rates.set_configured(self._clients.limits, now)
        if feedback.limits is not None:
            self._rates.observe_headers(feedback.limits, now)
        elif feedback.successes:
            self._rates.probe.answered()
        if tokens_per_s := self._rates.at(now).tokens:
            self._tokens.settle(feedback.unsettled_tokens, now, tokens_per_s)
        failures = len(feedback.failed_after_s)
        fresh = sum(not self._breaker.is_outdated(now - after_s) for after_s in feedback.failed_after_s)
        self._breaker.record(feedback.successes, fresh, now, WITH_OTHERS if who.elsewhere else ALONE)
        if feedback.back:
            self._breaker.came_back(now)
        full = self._rates.unlimited and feedback.throttle is not None  # one without a quota has too many at once
        self._window.record(feedback.successes, failures + full, feedback.latency_s, self._clients.in_flight, now)
        if feedback.queue is not None:
            self._rates.tells_queue = True
            self._window.record_queue(*feedback.queue, now)
        self._patience.record(feedback.successes, now, refused=feedback.throttle is not None)
        if feedback.throttle is not None:
            self._throttles += 1
            self._rates.throttle(feedback.throttle, now, jitter)
        self._stopped = feedback.stop or (REFUSES_ALL if self._patience.is_over(now) else self._stopped)
        if feedback.leaving:
            self.cancel(who.client_id)
            self._clients.leave(who.client_id)

    def enqueue(self, who: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> None:
        """Replace the client's pending acquire. `record_feedback` has already seen its feedback."""
        self._clients.received(who.client_id, feedback.received)
        self._pending[who.client_id] = PendingAcquire(who, wanted, tokens_each)

    def remember(self, earlier: RequestHistory, now: float) -> None:
        """Count earlier requests of jobs towards the daily limit."""
        self._day.remember(earlier, now)

    def counts_a_day(self, now: float) -> bool:
        """True if a job has a daily limit and requests of the last day count."""
        return self._knows_a_day and not self._day.is_empty(now)

    def cancel(self, client_id: str) -> None:
        """Drop the client's pending acquire."""
        self._pending.pop(client_id, None)

    def dispatch(self, now: float) -> tuple[dict[str, Grant], float | None]:
        """Answer the acquires that are due, by client. Say when to look again (None: after the next message)."""
        for job in self._clients.sweep(self._pending, now):
            self._shares_of.pop(job, None)
            for shares in (*self._shares.values(), *self._shares_of.values()):
                shares.forget(job)
        answers: dict[str, Grant] = {}
        # If this process got no CPU, its clients may have had none either, and may only now use their last permits.
        late = self._expected_by is not None and now > self._expected_by
        self._expected_by = None
        if late and (requests_per_s := self._rates.at(now).requests):
            self._silent_until = now + min(1 / requests_per_s, QUANTUM_S)
        while self._pending:
            if away := self.away(now):
                gone = [name for name, each in self._pending.items() if each.who.elsewhere]
                answers |= {name: Grant(held=away) for name in gone}
                self._pending = {name: each for name, each in self._pending.items() if name not in answers}
            if refusal := self._stopped or self._day_is_over(now):
                answers |= dict.fromkeys(self._pending, Grant(stopped=refusal))
                self._pending.clear()
                break
            start = max(
                now,
                self._silent_until,
                self._rates.adaptive.paused_until,
                self._breaker.opens_at(now),
                self._requests.next_at,
                self._tokens.next_at,
            )
            if start > now + LEAD_S:
                self._expected_by = start
                return answers, min(start - LEAD_S, now + LOOK_EVERY_S)
            acquire = self._next(now)
            if acquire is None:
                return answers, now + LOOK_EVERY_S
            answers[acquire.who.client_id] = self._grant(acquire, start, now)
        return answers, None

    def snapshot(self, now: float) -> Snapshot:
        """Rates and state of the bucket at `now`."""
        state, ends_at = self._state(now)
        rate = self._rates.at(now)
        return Snapshot(
            state=state,
            state_ends_in_s=None if ends_at is None else ends_at - now,
            stopped=self._stopped,
            configured_rpm=self._rates.ceiling.requests_per_minute,
            configured_tpm=self._rates.ceiling.tokens_per_minute,
            granted_rpm=rate.requests and rate.requests * 60,
            granted_tpm=rate.tokens and rate.tokens * 60,
            in_flight=self._clients.in_flight,
            throttles=self._throttles,
            window=self._window.size if self._rates.windowed else self._clients.most_in_flight,
            waiting=sum(each.wanted for each in self._pending.values()),
        )

    def away(self, now: float) -> Held | None:
        """Why a page that can go elsewhere should not wait here; None if it should."""
        if self._rates.adaptive.paused_until > now + AWAY_AFTER_S:
            return Held(GateState.PAUSED, self._rates.adaptive.paused_until - now)
        opens_in_s = self._breaker.opens_at(now) - now
        if opens_in_s > LEAD_S:
            return Held(GateState.BROKEN, opens_in_s)
        probes = self._breaker.allowance(now)
        return Held(GateState.BROKEN, PROBED_AGAIN_S) if probes is not None and probes < 1 else None

    def held(self, now: float) -> Held | None:
        """Why the provider keeps requests from being sent now; None if it does not."""
        state, ends_at = self._state(now)
        if ends_at is None or state not in {GateState.PAUSED, GateState.BROKEN}:
            return None
        return Held(state, ends_at - now)

    def _state(self, now: float) -> tuple[GateState, float | None]:
        if self._stopped:
            return GateState.STOPPED, None
        if self._day_is_over(now):
            return GateState.QUOTA_DAY, self._day.frees_at()
        if self._rates.adaptive.paused_until > now:
            return GateState.PAUSED, self._rates.adaptive.paused_until
        if self._breaker.opens_at(now) > now:
            return GateState.BROKEN, self._breaker.opens_at(now)
        return GateState.OPEN, None

    def _day_is_over(self, now: float) -> Failure | None:
        limit = self._clients.limits.requests_per_day
        if limit is None or self._day.left(limit, now) or self._clients.in_flight:  # some of these may come back unused
            return None
        return Failure(
            ErrorCode.QUOTA_DAY,
            f"The {limit} requests a day that --rpd allows are used up.",
            Action.STOP,
            retry_after_s=self._day.frees_at() - now,
        )

    def _next(self, now: float) -> PendingAcquire | None:
        """The acquire to answer next: online first, then who received least; None: all are full."""
        if self._shared_capacity(now) < 1:
            return None
        return min(
            (each for each in self._pending.values() if self._clients.job(each.who.job).capacity >= 1),
            key=lambda each: (
                each.who.priority,
                self._shares[each.who.priority].virtual_time(each.who.sharer),
                self._shares_of[each.who.sharer].virtual_time(each.who.job),
                self._clients.job(each.who.job).shares.virtual_time(each.who.client_id),
            ),
            default=None,
        )

    def _shared_capacity(self, now: float) -> float:
        """How many requests the whole bucket may grant now, apart from its rates."""
        capacity = self._window.size - self._clients.in_flight if self._rates.windowed else math.inf
        probes = self._breaker.allowance(now)
        limit = self._clients.limits.requests_per_day
        return min(
            capacity,
            math.inf if probes is None else probes,
            math.inf if limit is None else self._day.left(limit, now),
        )

    def _grant(self, acquire: PendingAcquire, start: float, now: float) -> Grant:
        who = acquire.who
        job = self._clients.job(who.job)
        rate = self._rates.at(now)
        capacity = min(job.capacity, self._shared_capacity(now))
        step_s = max(
            1 / rate.requests if rate.requests else 0.0, acquire.tokens_each / rate.tokens if rate.tokens else 0.0
        )
        fair_lease = (QUANTUM_S / step_s if step_s else capacity) / len(self._pending)  # of a quantum, or of the window
        permits = int(max(1, min(acquire.wanted, capacity, fair_lease)))
        saturated = capacity - permits < permits * len(self._pending)  # will not last another round
        # The meters are charged for all permits, the slower one says how long they last.
        by_requests_s = self._requests.take(start, permits, rate.requests) if rate.requests else 0.0
        by_tokens_s = self._tokens.take(start, permits * acquire.tokens_each, rate.tokens) if rate.tokens else 0.0
        lasts_s = max(by_requests_s, by_tokens_s)
        share = lasts_s if step_s else permits / self._window.size
        del self._pending[who.client_id]
        self._clients.granted(who.client_id, permits)
        self._shares[who.priority].charge(who.sharer, share)
        self._shares_of[who.sharer].charge(who.job, share)
        job.shares.charge(who.client_id, share)
        self._day.take(permits, now, who.job)
        self._breaker.granted(permits, now)
        self._rates.probe.sent(permits, now)
        return Grant(
            permits,
            start - now,
            lasts_s / permits,
            saturated,
            window=self._window.size if self._rates.windowed else None,
            per_s=1 / step_s if step_s and self._rates.known else None,
            under_way=self._clients.in_flight,
        )

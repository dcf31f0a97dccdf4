"""The gate of one bucket: clients ask, the gate says who may send how many requests at which instants.

A client has one question outstanding. It is answered when its first permit is at most `LEAD_S` away, so that
priorities and throttles are judged at the last moment, and with permits for at most `QUANTUM_S` of the bucket divided
by the waiting clients, so that little has been given away when something changes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.adapt import Rates
from one_ocr_ray.policy.ratelimit.breaker import Breaker
from one_ocr_ray.policy.ratelimit.clients import ClientTable
from one_ocr_ray.policy.ratelimit.inflight import InFlightWindow
from one_ocr_ray.policy.ratelimit.messages import GateState, Grant, Held, Priority, Snapshot
from one_ocr_ray.policy.ratelimit.meter import DayMeter, GcraMeter
from one_ocr_ray.policy.ratelimit.patience import REFUSED_AT_MOST_S, Patience
from one_ocr_ray.policy.ratelimit.shares import FairShares

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.adapt import Rate
    from one_ocr_ray.policy.ratelimit.messages import Client, Earlier, Feedback

LEAD_S = 0.05
QUANTUM_S = 0.2
REFUSES_ALL = Failure(
    ErrorCode.PROVIDER_UNAVAILABLE,
    f"The provider has refused every request for {REFUSED_AT_MOST_S / 60:.0f} minutes as one too many. "
    "Check the limits and the credit of the account; the same command resumes.",
    Action.STOP,
)
LOOK_EVERY_S = 1.0  # while somebody waits; what frees the gate earlier is a message, or an instant that is known


@dataclass(frozen=True, slots=True)
class Question:
    who: Client
    wanted: int
    tokens_each: float


class Gate:
    """All state of one bucket. Not thread-safe."""

    def __init__(self, now: float) -> None:
        # Permits of a gate that died a moment ago may still be spent: this one begins with nothing and with silence.
        self._silent_until = now + LEAD_S + QUANTUM_S
        self._requests = GcraMeter()
        self._tokens = GcraMeter()
        self._day = DayMeter()
        self._knows_a_day = False
        self._rates = Rates(now)
        self._window = InFlightWindow()
        self._breaker = Breaker()
        self._patience = Patience()
        self._members = ClientTable()
        self._shares = {priority: FairShares() for priority in Priority}  # among owners
        self._shares_of: defaultdict[str, FairShares] = defaultdict(FairShares)  # among the jobs of each
        self._questions: dict[str, Question] = {}
        self._stopped: Failure | None = None
        self._expected_by: float | None = None  # the next turn, while somebody waits for an instant that is known
        self._permits_granted = 0
        self._throttles = 0

    def heed(self, who: Client, feedback: Feedback, now: float, jitter: float) -> None:
        """Take in what a client has seen. `jitter` is 0-1, at random.

        A stop holds for the jobs that met it. One that is new, or was silent for a minute, tries again: the user may
        have mended the key or paid the bill.
        """
        if self._members.see(who, feedback, now):
            self.reopen()
        self._day.hear(who, feedback, now)
        self._knows_a_day = self._knows_a_day or who.limits.requests_per_day is not None
        self._rates.tell(self._members.limits, now)
        if feedback.limits is not None:
            self._rates.hear(feedback.limits, now)
        elif feedback.successes:
            self._rates.probe.answered()
        if tokens_per_s := self._rates.at(now).tokens:
            self._tokens.settle(feedback.unsettled_tokens, now, tokens_per_s)
        failures = len(feedback.failed_after_s)
        fresh = sum(not self._breaker.is_of_before(now - after_s) for after_s in feedback.failed_after_s)
        self._breaker.record(feedback.successes, fresh, now)
        self._window.record(feedback.successes, failures, feedback.latency_s, self._members.in_flight, now)
        self._patience.record(feedback.successes, now, refused=feedback.throttle is not None)
        if feedback.throttle is not None:
            self._throttles += 1
            self._rates.throttle(feedback.throttle, now, jitter)
        if feedback.stop is not None:
            self._stopped = feedback.stop
        elif self._patience.is_over(now):
            self._stopped = REFUSES_ALL
        if feedback.leaving:
            self.withdraw(who.client_id)
            self._members.leave(who.client_id)

    def ask(self, who: Client, wanted: int, tokens_each: float, feedback: Feedback) -> None:
        """Put the client's question in the place of the one before it. Its feedback has been heeded already."""
        self._members.received(who.client_id, feedback.received)
        self._questions[who.client_id] = Question(who, wanted, tokens_each)

    def remember(self, earlier: Earlier, now: float) -> None:
        """Count towards the day what jobs have sent before."""
        self._day.remember(earlier, now)

    def counts_a_day(self, now: float) -> bool:
        """Whether somebody has told a limit of a day, and requests of the last one count towards it."""
        return self._knows_a_day and not self._day.is_empty(now)

    def withdraw(self, client_id: str) -> None:
        """The client does not wait any more."""
        self._questions.pop(client_id, None)

    def reopen(self) -> None:
        """Lift a stop."""
        self._stopped = None
        self._patience.forget()

    def turn(self, now: float) -> tuple[dict[str, Grant], float | None]:
        """The answers that are due, by client, and when to look again (None: not before somebody speaks)."""
        for job in self._members.sweep(self._questions, now):
            self._shares_of.pop(job, None)
            for shares in (*self._shares.values(), *self._shares_of.values()):
                shares.forget(job)
        answers: dict[str, Grant] = {}
        self._make_room_if_late(now)
        while self._questions:
            if refusal := self._stopped or self._day_is_over(now):
                answers |= dict.fromkeys(self._questions, Grant(stopped=refusal))
                self._questions.clear()
                break
            start = self._opens_at(now)
            if start > now + LEAD_S:
                self._expected_by = start
                return answers, min(start - LEAD_S, now + LOOK_EVERY_S)
            question = self._next(now)
            if question is None:
                return answers, now + LOOK_EVERY_S
            answers[question.who.client_id] = self._grant(question, start, now)
        return answers, None

    def _make_room_if_late(self, now: float) -> None:
        """When this process got no CPU, its clients may have had none either, and use their last permits just now."""
        late = self._expected_by is not None and now > self._expected_by
        self._expected_by = None
        if late and (requests_per_s := self._rates.at(now).requests):
            self._silent_until = now + min(1 / requests_per_s, QUANTUM_S)

    def snapshot(self, now: float) -> Snapshot:
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
            in_flight=self._members.in_flight,
            waiting_clients=len(self._questions),
            permits_granted=self._permits_granted,
            throttles=self._throttles,
        )

    def held(self, now: float) -> Held | None:
        """Why nothing is sent now, where the provider is the reason."""
        state, ends_at = self._state(now)
        if ends_at is None or state not in {GateState.PAUSED, GateState.BROKEN}:
            return None
        return Held(state, ends_at - now)

    def _state(self, now: float) -> tuple[GateState, float | None]:
        if self._stopped:
            return GateState.STOPPED, None
        if self._day_is_over(now):
            return GateState.QUOTA_DAY, self._day.frees_at()
        if self._rates.pace.paused_until > now:
            return GateState.PAUSED, self._rates.pace.paused_until
        if self._breaker.opens_at(now) > now:
            return GateState.BROKEN, self._breaker.opens_at(now)
        return GateState.OPEN, None

    def _day_is_over(self, now: float) -> Failure | None:
        limit = self._members.limits.requests_per_day
        if limit is None or self._day.left(limit, now) or self._members.in_flight:  # of these some may be given back
            return None
        return Failure(
            ErrorCode.QUOTA_DAY,
            f"The {limit} requests a day that --rpd allows are used up.",
            Action.STOP,
            retry_after_s=self._day.frees_at() - now,
        )

    def _opens_at(self, now: float) -> float:
        return max(
            now,
            self._silent_until,
            self._rates.pace.paused_until,
            self._breaker.opens_at(now),
            self._requests.next_at,
            self._tokens.next_at,
        )

    def _next(self, now: float) -> Question | None:
        """Online before batch; then the owner, the job, the client that had least; None when nobody has room."""
        shared_room = self._shared_room(now)
        return min(
            (each for each in self._questions.values() if min(shared_room, self._members.job(each.who.job).room) >= 1),
            key=lambda each: (
                each.who.priority,
                self._shares[each.who.priority].turn(each.who.sharer),
                self._shares_of[each.who.sharer].turn(each.who.job),
                self._members.job(each.who.job).shares.turn(each.who.client_id),
            ),
            default=None,
        )

    def _shared_room(self, now: float) -> float:
        """How many requests the bucket as a whole may grant now, rates aside."""
        room = math.inf if self._rates.known else self._window.size - self._members.in_flight
        probes = self._breaker.allowance(now)
        limit = self._members.limits.requests_per_day
        return min(
            room,
            math.inf if probes is None else probes,
            math.inf if limit is None else self._day.left(limit, now),
        )

    def _grant(self, question: Question, start: float, now: float) -> Grant:
        who = question.who
        job = self._members.job(who.job)
        rate = self._rates.at(now)
        room = min(job.room, self._shared_room(now))
        permits = int(max(1, min(question.wanted, room, self._fair_lease(rate, question.tokens_each))))
        crowded = room - permits < permits * len(self._questions)  # will not last another round
        lasts_s = self._take(permits, question.tokens_each, start, rate)
        del self._questions[who.client_id]
        self._members.granted(who.client_id, permits)
        self._shares[who.priority].charge(who.sharer, lasts_s)
        self._shares_of[who.sharer].charge(who.job, lasts_s)
        job.shares.charge(who.client_id, lasts_s)
        self._day.take(permits, now, who.job)
        self._breaker.granted(permits, now)
        self._rates.probe.sent(permits, now)
        self._permits_granted += permits
        return Grant(permits, start - now, lasts_s / permits, crowded)

    def _fair_lease(self, rate: Rate, tokens_each: float) -> float:
        """How many permits are this client's part of a quantum."""
        step_s = max(1 / rate.requests if rate.requests else 0.0, tokens_each / rate.tokens if rate.tokens else 0.0)
        return QUANTUM_S / step_s / len(self._questions) if step_s else math.inf

    def _take(self, permits: int, tokens_each: float, start: float, rate: Rate) -> float:
        """Charge the meters; the seconds that `permits` permits last."""
        by_requests_s = self._requests.take(start, permits, rate.requests) if rate.requests else 0.0
        by_tokens_s = self._tokens.take(start, permits * tokens_each, rate.tokens) if rate.tokens else 0.0
        return max(by_requests_s, by_tokens_s)

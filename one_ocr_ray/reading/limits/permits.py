"""`LeasedPermits`, the rate limiter's client, gives permits to a process's coroutines and feedback to the limiter.

At most one `acquire` is outstanding, and only while more permits are wanted than held. A permit is valid at one
instant: it is used then or returned. Nothing is ever sent without one, also while the limiter is away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action
from one_ocr_ray.policy.cost.metering import total_tokens
from one_ocr_ray.policy.ratelimit.hold import HoldStatus
from one_ocr_ray.policy.ratelimit.messages import Feedback, GateState, Held, Throttle
from one_ocr_ray.reading.limits.waiting import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.model import Answer, Failure, TokenUsage
    from one_ocr_ray.policy.ratelimit.messages import LimiterClient
    from one_ocr_ray.reading.limits.endpoints import EndpointPermits
    from one_ocr_ray.reading.limits.ports import Limiter

# A permit that comes later than the first, and than a step of its lease or the second, is given back. This and the
# moment that a meter makes up for are what the limiter leaves unused of a minute. So late permits push none over it.
LATE_S, LATE_WHEN_SLOW_S = 0.15, 1.0
TICK_S = 0.001  # timers are no finer
# Late permits, as after the event loop stood still, keep this share of their step between them. All at once they would
# be refused by a provider that counts single seconds.
MIN_SPACING = 0.99
JITTER_S = 0.005  # so late is every event loop
HEARTBEAT_S = 5.0
BACK_OFF_S, BACK_OFF_AT_MOST_S = 0.1, 2.0
# An `acquire` costs a millisecond of CPU, here and at the limiter. After a rest it waits for more coroutines, for a
# share of a request's time that nobody notices.
COALESCE_SHARE, COALESCE_AT_MOST_S = 0.005, 0.02
# Feedback goes with the next `acquire`, or alone after this delay. The delay is a fiftieth of a request's time when the
# account is saturated: somebody may wait for requests to end.
FEEDBACK_DELAY_S = 0.5
FEEDBACK_DELAY_SHARE = 0.02
SHORTEST_DELAY_S, LONGEST_DELAY_S = 0.005, 0.05  # when saturated
# An account that refuses everybody may be mended while the run goes on elsewhere: it is tried again after this.
STOPPED_S = 600.0


@dataclass(frozen=True, slots=True)
class _Permit:
    due: float  # loop time
    step_s: float  # to the next one
    tokens: float


class LeasedPermits:
    """`Permits` from a limiter, for the coroutines of one event loop. Each `acquire` is followed by one `report`."""

    def __init__(
        self,
        limiter: Limiter,
        client: LimiterClient,
        tokens_counted: Callable[[TokenUsage], int | None] = total_tokens,
        *,
        waiting: WaitingRequests | None = None,
        peers: EndpointPermits | None = None,
    ) -> None:
        """`tokens_counted` gives the tokens of a request that the account's limit counts.

        With `peers` the account of one endpoint of several: `waiting` is what all of them grant permits to.
        """
        self._limiter = limiter
        self._client = client
        self._tokens_counted = tokens_counted
        self._waiting = WaitingRequests() if waiting is None else waiting
        self._peers = peers
        self.stopped: Failure | None = None  # why nobody is answered any more
        self.away_until = 0.0  # loop time
        self._under_way = 0  # of all clients, when the newest permit came
        self._takes: tuple[int | None, float | None] = None, None  # at once, a second; None: not known
        self._permits: deque[_Permit] = deque()
        self._request: asyncio.Task[None] | None = None
        self._dispatch_timer: asyncio.TimerHandle | None = None
        self._spaced_at = 0.0  # not before then is the next permit used
        self._feedback_timer: asyncio.TimerHandle | None = None
        self._feedback_at = 0.0  # loop time; uvloop's handles do not tell it when it is now
        self._feedback = Feedback()
        self._usual_latency_s = 1.0
        self._saturated = False
        self._hold = HoldStatus()

    async def ready(self) -> None:
        """Have the limiter started."""
        await self._limiter.ready()

    async def acquire(self, tokens: int) -> None:
        """Wait until one request of about `tokens` tokens may be sent; first come, first served.

        Raises StoppedError when the bucket is closed: the account cannot be used, or its day is used up.
        """
        waiter = self._waiting.add(tokens)
        self.look()
        await self._waiting.wait(waiter)

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        """Say what became of the request that was acquired with `estimated_tokens`. None: it was given up."""
        if answer is None:
            self._count_finished(1, 0.0)
            return
        used = self._tokens_counted(answer.usage)
        self._count_finished(1, 0.0 if used is None else used - estimated_tokens)
        if answer.limits is not None:
            self._feedback = replace(self._feedback, limits=answer.limits)
        if answer.queue is not None:
            self._feedback = replace(self._feedback, queue=answer.queue)
        failure = answer.failure
        self._hold.record_answer(failure, asyncio.get_running_loop().time())
        if failure is None:
            self._usual_latency_s += 0.1 * (latency_s - self._usual_latency_s)
            self._count_answer(latency_s)
        elif failure.action is Action.THROTTLED:
            self._send_feedback_now(
                replace(self._feedback, throttle=Throttle(failure.retry_after_s, failure.slow_down))
            )
        elif failure.action is Action.RETRY:
            self._feedback = replace(self._feedback, failed_after_s=(*self._feedback.failed_after_s, latency_s))
        else:  # a refusal is an answer, but how fast it came says nothing of the server's load
            self._count_answer(self._usual_latency_s)

    def held(self) -> Held | None:
        """What has kept requests from being answered for a while, if anything."""
        return self._hold.at(asyncio.get_running_loop().time())

    def stop(self, failure: Failure) -> None:
        """Close the bucket for `failure`, which concerns the whole job. `report` is about one request."""
        self.stopped = failure
        self._send_feedback_now(replace(self._feedback, stop=failure))
        if self._peers is not None:
            self.leave(STOPPED_S, failure)

    async def close(self) -> None:
        """Give everything back. Nobody may be waiting any more."""
        if self._request is not None:
            self._request.cancel()
            await asyncio.wait([self._request])
        if self._dispatch_timer is not None:
            self._dispatch_timer.cancel()
        self.give_back(0.0, len(self._permits))
        self._permits.clear()
        self._feedback = replace(self._feedback, finished=self._feedback.received, leaving=True)
        self._send_feedback()

    @property
    def load(self) -> float:
        """The share of what the account takes that this process has under way there."""
        at_once, per_s = self._takes
        size = at_once or (per_s * self._usual_latency_s if per_s else 1.0)
        return (self._feedback.received - self._feedback.finished) / size

    @property
    def under_way(self) -> int:
        """About how many requests the account has under way, those of other processes among them."""
        return max(self._feedback.received - self._feedback.finished, self._under_way)

    def give_back(self, tokens: float, permits: int = 1) -> None:
        """Return `permits` for requests of `tokens` in all, unused."""
        self._feedback = replace(self._feedback, unused=self._feedback.unused + permits)
        self._count_finished(permits, -tokens)

    def look(self) -> None:
        """Ask for permits if requests wait that have none."""
        loop = asyncio.get_running_loop()
        if self._request is None and loop.time() >= self.away_until and self._waiting.of(self) > len(self._permits):
            self._request = loop.create_task(self._request_permits())
            self._request.add_done_callback(self._request_ended)

    def come_back(self) -> None:
        """Ask the limiter again now: the server was gone, and is there again."""
        self._feedback, self.away_until = replace(self._feedback, back=True), asyncio.get_running_loop().time()
        self.look()

    def leave(self, for_s: float, failure: Failure | None = None, *, is_broken: bool = False) -> None:
        """Grant nothing for `for_s`, and ask the limiter again after it."""
        loop = asyncio.get_running_loop()
        self.stopped, self.away_until = failure, max(self.away_until, loop.time() + for_s)
        if for_s < inf:
            loop.call_later(for_s + TICK_S, self.look)
        if self._peers is not None:
            self._peers.away(self, is_broken=is_broken)

    async def _request_permits(self) -> None:
        delay_s = self._peers.delay_s(self) if self._peers is not None else 0.0
        await asyncio.sleep(delay_s + min(COALESCE_SHARE * self._usual_latency_s, COALESCE_AT_MOST_S))
        back_off_s = BACK_OFF_S
        while self.away_until < inf and (wanted := self._waiting.of(self) - len(self._permits)) > 0:
            tokens_each = self._waiting.tokens_each
            grant = await self._limiter.acquire(self._client, wanted, tokens_each, self._take_feedback())
            if grant is None:
                await asyncio.sleep(back_off_s)
                back_off_s = min(2 * back_off_s, BACK_OFF_AT_MOST_S)
            elif grant.stopped and self._peers is None:
                self._waiting.fail(StoppedError(grant.stopped.message, grant.stopped.code))
            else:
                back_off_s = BACK_OFF_S
                if grant.held is not None:
                    self._hold.begin(grant.held, asyncio.get_running_loop().time())
                if self._peers is not None and (grant.stopped or grant.held):
                    held = grant.held or Held(GateState.STOPPED, STOPPED_S)
                    self.leave(held.ends_in_s, grant.stopped, is_broken=held.state is GateState.BROKEN)
                    break
                # A delay, not an instant: clocks of nodes differ. Counted from receipt it errs towards late.
                first = asyncio.get_running_loop().time() + grant.first_in_s
                self._saturated = grant.saturated
                if grant.permits:
                    self.stopped, self._takes, self._under_way = None, (grant.window, grant.per_s), grant.under_way
                self._permits.extend(
                    _Permit(first + number * grant.step_s, grant.step_s, tokens_each) for number in range(grant.permits)
                )
                self._feedback = replace(self._feedback, received=self._feedback.received + grant.permits)
                self._dispatch()

    def _request_ended(self, task: asyncio.Task[None]) -> None:
        self._request = None
        if not task.cancelled():
            if error := task.exception():
                self._waiting.fail(error)
            self.look()

    def _dispatch(self) -> None:
        """Use the permits that are due, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._permits and self._next_at() <= now + TICK_S:
            fired_at = max(self._next_at(), now - JITTER_S)
            permit = self._permits.popleft()
            on_time = now - permit.due <= max(LATE_S, min(permit.step_s, LATE_WHEN_SLOW_S)) and self.away_until < inf
            waiter = self._waiting.take(self) if on_time else None
            if waiter is None:
                self.give_back(permit.tokens)
            else:
                self._spaced_at = fired_at + MIN_SPACING * permit.step_s
                self._feedback = replace(
                    self._feedback, unsettled_tokens=self._feedback.unsettled_tokens + waiter.tokens - permit.tokens
                )
                waiter.granted.set_result(self)
        if self._dispatch_timer is not None:
            self._dispatch_timer.cancel()
        self._dispatch_timer = loop.call_at(self._next_at(), self._dispatch) if self._permits else None
        self.look()

    def _next_at(self) -> float:
        """When the first permit may be used: when due, and apart from the last."""
        return max(self._permits[0].due, self._spaced_at)

    def _count_answer(self, latency_s: float) -> None:
        feedback = self._feedback
        self._feedback = replace(feedback, successes=feedback.successes + 1, latency_s=feedback.latency_s + latency_s)

    def _count_finished(self, permits: int, unsettled_tokens: float) -> None:
        """Count `permits` as over, used or not."""
        feedback = self._feedback
        self._feedback = replace(
            feedback,
            finished=feedback.finished + permits,
            unsettled_tokens=feedback.unsettled_tokens + unsettled_tokens,
        )
        soon_s = min(max(FEEDBACK_DELAY_SHARE * self._usual_latency_s, SHORTEST_DELAY_S), LONGEST_DELAY_S)
        self._send_feedback_within(soon_s if self._saturated else FEEDBACK_DELAY_S)

    def _send_feedback_now(self, feedback: Feedback) -> None:
        """Send feedback that closes the bucket, and return all permits."""
        self._feedback = feedback
        self.give_back(sum(permit.tokens for permit in self._permits), len(self._permits))
        self._permits.clear()
        self._send_feedback()
        self.look()

    def _send_feedback_within(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + wait_s
        if self._feedback_timer is None or at < self._feedback_at:
            if self._feedback_timer is not None:
                self._feedback_timer.cancel()
            self._feedback_timer, self._feedback_at = loop.call_at(at, self._send_feedback), at

    def _send_feedback(self) -> None:
        self._limiter.report(self._client, self._take_feedback())

    def _take_feedback(self) -> Feedback:
        feedback = self._feedback
        self._feedback = Feedback(feedback.received, feedback.finished, feedback.unused)
        if self._feedback_timer is not None:
            self._feedback_timer.cancel()
            self._feedback_timer = None
        if feedback.received > feedback.finished:
            self._send_feedback_within(HEARTBEAT_S)
        return feedback

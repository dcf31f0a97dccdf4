"""A gate with saturating clients and a provider, on a clock that jumps from event to event."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.gate import Gate
from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient, Limits, Priority, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.model import AccountLimits
    from one_ocr_ray.policy.ratelimit.messages import Grant

JITTER = 0.5


def rpm(requests_per_minute: float, **more: float) -> Limits:
    """A job's limits, requests per minute first."""
    return Limits(requests_per_minute=requests_per_minute, **more)  # type: ignore[arg-type]


@dataclass(slots=True)
class Reply:
    """What the simulated provider says to one request."""

    throttle: Throttle | None = None
    latency_s: float = 0.5
    failed: bool = False
    limits: AccountLimits | None = None
    queue: tuple[int, int] | None = None


@dataclass(slots=True)
class SimClient:
    """A worker that always wants `wanted` more permits."""

    who: LimiterClient
    wanted: int = 64
    tokens_each: float = 0.0
    used_tokens: float | None = None
    news: Feedback = field(default_factory=Feedback)
    sent: list[float] = field(default_factory=list)
    lease: int = 0  # a throttle makes the permits of the leases before it void


class Simulation:
    """`provider(now)` is asked at every request. Messages take `trip_s` each way."""

    def __init__(self, provider: Callable[[float], Reply] = lambda _: Reply(), trip_s: float = 0.001) -> None:
        self.now = 0.0
        self.gate = Gate(self.now)
        self.provider = provider
        self.trip_s = trip_s
        self.sent: list[float] = []
        self.throttled: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = self._alarm = 0
        self._clients: dict[str, SimClient] = {}

    def client(self, name: str, job: str = "job", limits: Limits = rpm(600), **more: object) -> SimClient:
        """Add a client that begins to ask now."""
        priority = more.pop("priority", Priority.BATCH)
        owner = str(more.pop("owner", ""))
        client = SimClient(LimiterClient(name, job, priority, limits, owner), **more)  # type: ignore[arg-type]
        self._clients[name] = client
        self.after(0.0, lambda: self._ask(client))
        return client

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + delay_s, self._number, do))

    def run_until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = end

    def turn(self) -> None:
        answers, look_at = self.gate.dispatch(self.now)
        for name, grant in answers.items():
            client = self._clients[name]
            self.after(self.trip_s, lambda client=client, grant=grant: self._receive(client, grant))  # type: ignore[misc]
        self._alarm += 1
        if look_at is not None:
            self.after(look_at - self.now, lambda alarm=self._alarm: self._ring(alarm))  # type: ignore[misc]

    def _ring(self, alarm: int) -> None:
        if alarm == self._alarm:  # else it was set anew
            self.turn()

    def _ask(self, client: SimClient) -> None:
        news, client.news = client.news, Feedback(client.news.received, client.news.finished)
        self.gate.record_feedback(client.who, news, self.now, JITTER)
        self.gate.enqueue(client.who, client.wanted, client.tokens_each, news)
        self.turn()

    def _receive(self, client: SimClient, grant: Grant) -> None:
        if grant.stopped:
            return
        client.news = replace(client.news, received=client.news.received + grant.permits)
        for number in range(grant.permits):
            lease = client.lease
            self.after(
                grant.first_in_s + number * grant.step_s,
                lambda lease=lease: self._send(client, lease),  # type: ignore[misc]
            )
        self.after(self.trip_s, lambda: self._ask(client))

    def _send(self, client: SimClient, lease: int) -> None:
        if lease != client.lease:
            client.news = replace(client.news, finished=client.news.finished + 1)
            return
        client.sent.append(self.now)
        self.sent.append(self.now)
        reply = self.provider(self.now)
        self.after(0.02 if reply.throttle else reply.latency_s, lambda: self._hear(client, reply))

    def _hear(self, client: SimClient, reply: Reply) -> None:
        news = client.news
        ok = not reply.failed and reply.throttle is None
        client.news = replace(
            news,
            finished=news.finished + 1,
            successes=news.successes + ok,
            failed_after_s=(*news.failed_after_s, reply.latency_s) if reply.failed else news.failed_after_s,
            latency_s=news.latency_s + reply.latency_s * ok,
            unsettled_tokens=news.unsettled_tokens + (client.used_tokens or client.tokens_each) - client.tokens_each,
            limits=reply.limits or news.limits,
            queue=reply.queue,
            throttle=reply.throttle,
        )
        if reply.throttle:
            client.lease += 1
            self.throttled.append(self.now)
        news, client.news = client.news, Feedback(client.news.received, client.news.finished)
        self.gate.record_feedback(client.who, news, self.now, JITTER)
        self.turn()


def busiest(instants: list[float], window_s: float) -> int:
    """The highest count of `instants` in any window of that length."""
    most = first = 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most

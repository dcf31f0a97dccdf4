"""The jobs and clients of a bucket: limits of jobs, requests in flight of clients.

Workers die without a word, so a client that is silent for a while is forgotten. Clients send a message at least every
five seconds while they wait for permits or have requests in flight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.policy.ratelimit.shares import FairShares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient

CLIENT_SILENCE_S = 15.0
JOB_SILENCE_S = 60.0


@dataclass(slots=True)
class JobState:
    """One job: its limits and what its clients have in flight."""

    limits: Limits
    seen_at: float
    in_flight: int = 0
    shares: FairShares = field(default_factory=FairShares)  # among its clients

    @property
    def capacity(self) -> float:
        """How many more requests the job may have in flight."""
        return float("inf") if self.limits.max_in_flight is None else self.limits.max_in_flight - self.in_flight


@dataclass(slots=True)
class ClientState:
    """One client. Its requests in flight are those granted minus those it has reported as finished."""

    who: LimiterClient
    seen_at: float
    granted: int = 0
    finished: int = 0

    @property
    def in_flight(self) -> int:
        return self.granted - self.finished


class ClientTable:
    """All jobs and clients that have sent a message lately."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobState] = {}
        self._clients: dict[str, ClientState] = {}
        self.in_flight = 0
        self.limits = Limits()  # the lowest of all jobs

    @property
    def most_in_flight(self) -> int | None:
        """What all jobs together may have in flight; None: any number."""
        limits = [job.limits.max_in_flight for job in self._jobs.values()]
        known = [limit for limit in limits if limit is not None]
        return sum(known) if known and len(known) == len(limits) else None

    def job(self, name: str) -> JobState:
        return self._jobs[name]

    def see(self, who: LimiterClient, feedback: Feedback, now: float) -> bool:
        """Record a message of `who`; True if its job is new."""
        job = self._jobs.get(who.job)
        new_job = job is None
        if job is None or job.limits != who.limits:
            self._jobs[who.job] = job = job or JobState(who.limits, now)
            job.limits = who.limits
            self._find_limits()
        job.seen_at = now
        client = self._clients.get(who.client_id)
        if client is None:
            client = self._clients[who.client_id] = ClientState(who, now)
            self._count(client, feedback.received, feedback.finished)
        client.seen_at = now
        self._count(client, client.granted, max(client.finished, feedback.finished))  # messages can change order
        return new_job

    def received(self, client_id: str, permits: int) -> None:
        """Correct what was granted to what the client received. A client that acquires again gets no earlier grant."""
        client = self._clients[client_id]
        self._count(client, permits, client.finished)

    def granted(self, client_id: str, permits: int) -> None:
        client = self._clients[client_id]
        self._count(client, client.granted + permits, client.finished)

    def leave(self, client_id: str) -> None:
        """Remove a client that sends no more messages."""
        client = self._clients.pop(client_id)
        self._count(client, client.finished, client.finished)
        self._jobs[client.who.job].shares.forget(client_id)

    def sweep(self, waiting: Iterable[str], now: float) -> list[str]:
        """Forget clients and jobs that were silent too long, except `waiting` ones. Gives the forgotten jobs."""
        for client_id in waiting:
            client = self._clients[client_id]
            client.seen_at = self._jobs[client.who.job].seen_at = now
        for client_id in [name for name, each in self._clients.items() if now - each.seen_at > CLIENT_SILENCE_S]:
            self.leave(client_id)
        silent = [name for name, job in self._jobs.items() if now - job.seen_at > JOB_SILENCE_S]
        for name in silent:
            del self._jobs[name]
        if silent:
            self._find_limits()
        return silent

    def _count(self, client: ClientState, granted: int, finished: int) -> None:
        change = granted - finished - client.in_flight
        client.granted, client.finished = granted, finished
        self.in_flight += change
        self._jobs[client.who.job].in_flight += change

    def _find_limits(self) -> None:
        self.limits = Limits.lowest(job.limits for job in self._jobs.values())

"""Who is at work on a bucket: jobs with their limits, clients with what they have in flight.

Nobody says goodbye for certain (workers die), so everybody is forgotten after a while of silence. Clients speak at
least every five seconds while they wait for permits or have requests under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.policy.ratelimit.shares import FairShares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.policy.ratelimit.messages import Client, Feedback

CLIENT_SILENCE_S = 15.0
JOB_SILENCE_S = 60.0


@dataclass(slots=True)
class Job:
    limits: Limits
    seen_at: float
    in_flight: int = 0
    shares: FairShares = field(default_factory=FairShares)  # among its clients

    @property
    def room(self) -> float:
        """How many more requests it may have under way."""
        return float("inf") if self.limits.max_in_flight is None else self.limits.max_in_flight - self.in_flight


@dataclass(slots=True)
class ClientState:
    """One client. In flight is what was granted to it minus what it says has ended."""

    who: Client
    seen_at: float
    granted: int = 0
    finished: int = 0

    @property
    def in_flight(self) -> int:
        return self.granted - self.finished


class ClientTable:
    """All jobs and clients that were heard of lately."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._members: dict[str, ClientState] = {}
        self.in_flight = 0
        self.limits = Limits()  # the lowest of all jobs

    def job(self, name: str) -> Job:
        return self._jobs[name]

    def see(self, who: Client, feedback: Feedback, now: float) -> bool:
        """`who` has spoken; whether its job is a new one."""
        job = self._jobs.get(who.job)
        new_job = job is None
        if job is None or job.limits != who.limits:
            self._jobs[who.job] = job = job or Job(who.limits, now)
            job.limits = who.limits
            self._find_limits()
        job.seen_at = now
        member = self._members.get(who.client_id)
        if member is None:
            member = self._members[who.client_id] = ClientState(who, now)
            self._count(member, feedback.received, feedback.finished)
        member.seen_at = now
        self._count(member, member.granted, max(member.finished, feedback.finished))  # messages may overtake each other
        return new_job

    def received(self, client_id: str, permits: int) -> None:
        """A client that asks again has received all that it ever will of what it was granted: a grant can get lost."""
        member = self._members[client_id]
        self._count(member, permits, member.finished)

    def granted(self, client_id: str, permits: int) -> None:
        member = self._members[client_id]
        self._count(member, member.granted + permits, member.finished)

    def leave(self, client_id: str) -> None:
        """Nothing more will come of this client."""
        member = self._members.pop(client_id)
        self._count(member, member.finished, member.finished)
        self._jobs[member.who.job].shares.forget(client_id)

    def sweep(self, waiting: Iterable[str], now: float) -> list[str]:
        """Forget who has been silent for too long, but not clients that are `waiting`; the jobs among them."""
        for client_id in waiting:
            member = self._members[client_id]
            member.seen_at = self._jobs[member.who.job].seen_at = now
        for client_id in [name for name, each in self._members.items() if now - each.seen_at > CLIENT_SILENCE_S]:
            self.leave(client_id)
        silent = [name for name, job in self._jobs.items() if now - job.seen_at > JOB_SILENCE_S]
        for name in silent:
            del self._jobs[name]
        if silent:
            self._find_limits()
        return silent

    def _count(self, member: ClientState, granted: int, finished: int) -> None:
        change = granted - finished - member.in_flight
        member.granted, member.finished = granted, finished
        self.in_flight += change
        self._jobs[member.who.job].in_flight += change

    def _find_limits(self) -> None:
        self.limits = Limits.lowest(job.limits for job in self._jobs.values())

"""What the clients of a bucket and its gate say to each other. Values only; they cross process borders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from one_ocr_ray.model import AccountLimits, Failure

_Number = TypeVar("_Number", int, float)


class Priority(IntEnum):
    """Classes of work; a waiting request of a lower number always goes first."""

    ONLINE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job was told about its account; None = not told."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    requests_per_day: int | None = None
    max_in_flight: int | None = None  # of this job alone

    @staticmethod
    def lowest(several: Iterable[Limits]) -> Limits:
        """Of each limit the lowest that is told; `max_in_flight` is nobody else's business."""
        told = list(several)
        return Limits(
            requests_per_minute=_lowest(limits.requests_per_minute for limits in told),
            tokens_per_minute=_lowest(limits.tokens_per_minute for limits in told),
            requests_per_day=_lowest(limits.requests_per_day for limits in told),
        )


def _lowest(values: Iterable[_Number | None]) -> _Number | None:
    return min((value for value in values if value is not None), default=None)


@dataclass(frozen=True, slots=True)
class Client:
    """Who speaks: one worker process at work on one job.

    The limits travel with every message: a gate that was restarted, or that another job created, knows them at once.
    """

    client_id: str
    job: str
    priority: Priority = Priority.BATCH
    limits: Limits = Limits()
    owner: str = ""  # for whom: owners with many jobs and with few have equal shares; a job without one is its own

    @property
    def sharer(self) -> str:
        """Whose share of the bucket it takes."""
        return self.owner or self.job


@dataclass(frozen=True, slots=True)
class Throttle:
    """The provider said: too fast."""

    retry_after_s: float | None = None
    slow_down: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a client has seen. The first three count from its birth, the rest since its last message."""

    received: int = 0  # permits
    finished: int = 0  # of these: requests that ended, and permits that were not used
    unused: int = 0  # of these: the latter
    successes: int = 0  # requests that the server answered, whatever it said
    failed_after_s: tuple[float, ...] = ()  # requests that the network or the server failed: how long each took
    latency_s: float = 0.0  # of the successes, summed
    unsettled_tokens: float = 0.0  # used minus granted
    limits: AccountLimits | None = None  # as the provider's headers had them
    throttle: Throttle | None = None
    stop: Failure | None = None
    leaving: bool = False  # its last message


# What jobs have sent before, as their results tell: by job, and of each how many requests how many seconds ago.
Earlier = Mapping[str, Sequence[tuple[float, int]]]


class GateState(StrEnum):
    OPEN = "open"
    PAUSED = "paused"  # throttled by the provider
    BROKEN = "broken"  # the server fails; it is left alone for a while
    QUOTA_DAY = "quota_day"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Held:
    """Why nothing is sent now (paused or broken), and for how long."""

    state: GateState
    ends_in_s: float


@dataclass(frozen=True, slots=True)
class Grant:
    """`permits` requests may be sent: the first `first_in_s` after receipt of this, the others `step_s` apart.

    No permits and no `stopped`: nothing was free in time, ask again. `stopped`: nothing will be, for this reason.
    `held`: why nothing was free, where the provider is the reason.
    `crowded`: the places for requests under way are nearly taken, somebody may wait for those of requests that end.
    """

    permits: int = 0
    first_in_s: float = 0.0
    step_s: float = 0.0
    crowded: bool = False
    stopped: Failure | None = None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A bucket at one moment, for metrics and status pages; rates per minute, None = no limit known."""

    state: GateState
    state_ends_in_s: float | None  # None = open, or stopped for good
    stopped: Failure | None
    configured_rpm: float | None
    configured_tpm: float | None
    granted_rpm: float | None  # what the gate allows itself now
    granted_tpm: float | None
    in_flight: int
    waiting_clients: int
    permits_granted: int
    throttles: int

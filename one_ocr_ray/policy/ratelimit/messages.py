"""Messages between a bucket's clients and its gate: plain values that cross process borders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from one_ocr_ray.model import AccountLimits, Failure

_Number = TypeVar("_Number", int, float)


class Priority(IntEnum):
    """Classes of work; a waiting request with a lower number always goes first."""

    ONLINE = 0
    BATCH = 1


NO_QUOTA = math.inf  # requests per minute of a server that refuses none for their rate, such as one of the run's own


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an account as the user configured them; None = not configured."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    requests_per_day: int | None = None
    max_in_flight: int | None = None  # of this job alone

    @staticmethod
    def lowest(several: Iterable[Limits]) -> Limits:
        """The lowest of each limit; `max_in_flight` is left out, since it belongs to one job."""
        known = list(several)
        return Limits(
            requests_per_minute=_lowest(limits.requests_per_minute for limits in known),
            tokens_per_minute=_lowest(limits.tokens_per_minute for limits in known),
            requests_per_day=_lowest(limits.requests_per_day for limits in known),
        )


def _lowest(values: Iterable[_Number | None]) -> _Number | None:
    return min((value for value in values if value is not None), default=None)


@dataclass(frozen=True, slots=True)
class LimiterClient:
    """The sender of a message: one worker process that works on one job.

    Every message carries the limits, so a gate that was restarted, or that another job created, knows them at once.
    """

    client_id: str
    job: str
    priority: Priority = Priority.BATCH
    limits: Limits = Limits()
    owner: str = ""  # owners have equal shares, however many jobs they have; a job without an owner counts as one
    elsewhere: bool = False  # its pages can go to somebody else: it hears at once when the account is away
    shown_as: tuple[str, str] | None = None  # engine and endpoint, in metrics

    @property
    def sharer(self) -> str:
        """The name whose share of the bucket this client uses."""
        return self.owner or self.job


@dataclass(frozen=True, slots=True)
class Throttle:
    """The provider's answer that requests come too fast."""

    retry_after_s: float | None = None
    slow_down: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a client has seen. The first three count from its start, the rest since its last message."""

    received: int = 0  # permits
    finished: int = 0  # of `received`: requests that ended, and permits that were not used
    unused: int = 0  # of `finished`: permits that were not used
    successes: int = 0  # requests that the server answered, with any content
    failed_after_s: tuple[float, ...] = ()  # how long each request took that the network or the server failed
    latency_s: float = 0.0  # of the successes, summed
    unsettled_tokens: float = 0.0  # used minus granted
    limits: AccountLimits | None = None  # from the provider's headers
    queue: tuple[int, int] | None = None  # of the server: requests that it works on, and that wait there
    throttle: Throttle | None = None
    stop: Failure | None = None
    leaving: bool = False  # its last message
    back: bool = False  # the server was gone, and is there again


# Earlier requests by job: pairs of age in seconds and number of requests.
RequestHistory = Mapping[str, Sequence[tuple[float, int]]]


class GateState(StrEnum):
    OPEN = "open"
    PAUSED = "paused"  # throttled by the provider
    BROKEN = "broken"  # the server fails and gets no requests for a while
    QUOTA_DAY = "quota_day"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Held:
    """Why no request is sent now (paused or broken), and for how long."""

    state: GateState
    ends_in_s: float


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send `permits` requests: the first `first_in_s` after receipt, the others `step_s` apart.

    No permits and no `stopped`: none was free in time; acquire again. `stopped`: there will be none, for this reason.
    `held`: why none was free, if the provider is the reason. `saturated`: the limit of requests in flight is nearly
    reached, so others may wait for requests to end. `window`, `per_s`: how much the account takes at once or a second,
    None where that is not what limits it. `under_way`: requests of all clients, these among them.
    """

    permits: int = 0
    first_in_s: float = 0.0
    step_s: float = 0.0
    saturated: bool = False
    stopped: Failure | None = None
    held: Held | None = None
    window: int | None = None
    per_s: float | None = None
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A bucket at one moment, for metrics; rates per minute, None = no limit known."""

    state: GateState
    state_ends_in_s: float | None  # None = open, or stopped for good
    stopped: Failure | None
    configured_rpm: float | None
    configured_tpm: float | None
    granted_rpm: float | None  # what the gate allows now
    granted_tpm: float | None
    in_flight: int
    throttles: int
    window: int | None = None  # of requests in flight: found by trying, or what the jobs allow where a rate is known
    waiting: int = 0  # requests that clients ask a permit for

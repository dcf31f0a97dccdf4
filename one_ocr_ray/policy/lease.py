"""Who may work on an output: what a lease object says, and what to do about another driver's. No clock, no I/O.

Each takeover creates the next generation of the lease, put-if-absent, so of two that take over one wins; the highest
generation holds. The lease saves work and money; that rows stand once rests on put-if-absent commits alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import Enum

import orjson

HEARTBEAT_S = 2.0
STANDSTILL_S = 10.0  # five missed heartbeats


@dataclass(frozen=True, slots=True)
class Lease:
    """One driver's claim; `beat` counts up while it lives.

    `machine`: this start of one kernel and the namespace that `pid` counts in. A host name tells neither: containers
    and copies of a machine share theirs, and there a living process would look dead.
    """

    host: str  # for people
    pid: int
    run_id: str
    beat: int = 0
    machine: str = ""  # empty where the system does not tell

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def decode_lease(data: bytes) -> Lease | None:
    """The lease in `data`; None when it cannot be understood."""
    try:
        values = orjson.loads(data)
        return Lease(**{field.name: values[field.name] for field in fields(Lease) if field.name in values})
    except (orjson.JSONDecodeError, TypeError):
        return None


def deployment(deployed_at_s: float, token: str) -> str:
    """The name of a service that was deployed then: names are in the order of their times."""
    return f"{int(deployed_at_s * 1e6):018d}-{token}"


def is_later(one: Lease, other: Lease) -> bool:
    """Whether the holder of `one` belongs to a later deployment of the service than that of `other`."""
    return one.run_id.partition(".")[0] > other.run_id.partition(".")[0]


class Verdict(Enum):
    """What a driver that meets a lease does."""

    TAKE = "take"  # its holder is gone
    WAIT = "wait"  # nothing has moved yet
    REFUSE = "refuse"  # its holder is at work


def is_of_machine(lease: Lease, machine: str) -> bool:
    """Whether the process of `lease` can be looked for on `machine`: if it is not there, it is dead."""
    return bool(machine) and lease.machine == machine


def judge(first: Lease | None, now: Lease | None, waited_s: float, *, holder_is_dead: bool) -> Verdict:
    """What to do about a lease first seen as `first` and, `waited_s` later, as `now`.

    `holder_is_dead`: known for certain, on the same machine only. One that cannot be understood is waited out.
    """
    if holder_is_dead:
        return Verdict.TAKE
    if first != now:
        return Verdict.REFUSE
    return Verdict.TAKE if waited_s >= STANDSTILL_S else Verdict.WAIT

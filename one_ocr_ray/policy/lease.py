"""The lease of an output: its contents, and what to do about another driver's lease.

Each takeover creates the next generation, put-if-absent, so one of two wins; the highest generation holds. The lease
only saves work and money: that every row exists once rests on put-if-absent commits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import Enum

import orjson

HEARTBEAT_S = 2.0
STANDSTILL_S = 10.0  # five missed heartbeats


@dataclass(frozen=True, slots=True)
class Lease:
    """One driver's claim; `beat` rises while the driver lives.

    `machine`: one boot of one kernel, and the pid namespace. A host name is not enough: containers and copies of a
    machine share it, so a living process could look dead.
    """

    host: str  # for people
    pid: int
    run_id: str
    beat: int = 0
    machine: str = ""  # empty if the system does not tell

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def decode_lease(data: bytes) -> Lease | None:
    """The lease in `data`; None if it cannot be read."""
    try:
        values = orjson.loads(data)
        return Lease(**{field.name: values[field.name] for field in fields(Lease) if field.name in values})
    except (orjson.JSONDecodeError, TypeError):
        return None


def deployment(deployed_at_s: float, token: str) -> str:
    """The name of a service deployment; names sort by time."""
    return f"{int(deployed_at_s * 1e6):018d}-{token}"


def is_later(one: Lease, other: Lease) -> bool:
    """True if the holder of `one` belongs to a later deployment than that of `other`."""
    return one.run_id.partition(".")[0] > other.run_id.partition(".")[0]


class Takeover(Enum):
    """What to do about another driver's lease."""

    TAKE = "take"  # its holder is gone
    WAIT = "wait"  # not known yet
    REFUSE = "refuse"  # its holder is alive


def is_of_machine(lease: Lease, machine: str) -> bool:
    """True if `lease` is of `machine`, where a missing process is known to be dead."""
    return bool(machine) and lease.machine == machine


def decide_takeover(first: Lease | None, now: Lease | None, waited_s: float, *, holder_is_dead: bool) -> Takeover:
    """Decide about a lease first seen as `first` and, `waited_s` later, as `now`.

    `holder_is_dead`: known for certain, only on the same machine. A lease that cannot be read is waited out.
    """
    if holder_is_dead:
        return Takeover.TAKE
    if first != now:
        return Takeover.REFUSE
    return Takeover.TAKE if waited_s >= STANDSTILL_S else Takeover.WAIT

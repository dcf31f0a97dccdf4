"""How many model servers there should be, and the states that they are in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

UNBOUNDED = 10_000


class ServerState(StrEnum):
    STARTING = "starting"  # or waits for its GPUs
    READY = "ready"
    DRAINING = "draining"
    DOWN = "down"  # ended by itself; it is started again, or given up


@dataclass(frozen=True, slots=True)
class FleetSize:
    """`first` servers at the start. `least` are kept, though they wait for GPUs, and `most` where some are free."""

    first: int
    least: int
    most: int
    asks: bool = True  # the autoscaler is asked for GPUs

    def wants_more(self, servers: int, *, has_room: bool) -> bool:
        """True if another server should be started; `has_room`: GPUs are free for it."""
        return servers < self.least or (has_room and servers < self.most)

    def asked_for(self, shards_open: int, *, more_planned: bool) -> int:
        """For how many servers the autoscaler is asked: each keeps a shard busy. 0: for none."""
        if not self.asks:
            return 0
        return self.most if more_planned else min(self.most, max(self.least, shards_open))


def cpus_of_server(nodes: Iterable[tuple[float, float]], gpus_each: float, servers: int) -> int:
    """A CPU for each server, where that leaves every node one to draw pages. Else none.

    `nodes`: the CPUs and GPUs of each. A node holds as many of the `servers` as it has GPUs for, or all. Those that no
    node holds wait for one that the autoscaler starts: its CPUs are not known, and may be one.
    """
    held = [(cpus, min(servers, gpus // gpus_each) if gpus_each else servers) for cpus, gpus in nodes]
    return int(sum(of_node for _, of_node in held) >= servers and all(cpus > of_node for cpus, of_node in held))


BUSY_S = 60.0  # of work without a pause: another server is worth its start
IDLE_S = 900.0  # then those beyond the least are paid in vain


@dataclass(frozen=True, slots=True)
class Load:
    """How many servers a service wants, and since when there has been work, or none."""

    wanted: int
    since_s: float
    is_busy: bool = False

    def seen(self, size: FleetSize, now_s: float, *, has_work: bool) -> Load:
        """The load after a look: another server a minute under work, the least after rest."""
        if has_work is not self.is_busy:
            return Load(self.wanted, now_s, has_work)
        if has_work and now_s - self.since_s >= BUSY_S:
            return Load(min(size.most, self.wanted + 1), now_s, is_busy=True)
        if not has_work and now_s - self.since_s >= IDLE_S:
            return Load(size.least, now_s)
        return self

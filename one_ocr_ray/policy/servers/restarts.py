"""When a server that ended is started again, and when the run gives up. Pure: `now_s` is passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace

STARTS_BEFORE_READY = 2  # a wrong flag or a missing model ends every start in the same way
STABLE_S = 600.0  # a server that was ready for so long starts its count of restarts anew
MOST_RESTARTS = 5
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """One server's life so far. `ready_s`: since when the present start has been ready; None before."""

    was_ready: bool = False
    failed_starts: int = 0
    restarts: int = 0
    ready_s: float | None = None


def ready(before: Restarts, now_s: float) -> Restarts:
    """The server answers."""
    return replace(before, was_ready=True, failed_starts=0, ready_s=now_s)


def ended(before: Restarts, now_s: float) -> tuple[Restarts, float | None]:
    """The server has ended by itself. Gives the new state and the seconds until it is started again; None: never."""
    if before.ready_s is None:
        after = replace(before, failed_starts=before.failed_starts + 1)
        if after.failed_starts >= STARTS_BEFORE_READY + (MOST_RESTARTS if before.was_ready else 0):
            return after, None
        return after, min(LONGEST_WAIT_S, 2.0**after.failed_starts)
    stable = now_s - before.ready_s >= STABLE_S
    after = replace(before, restarts=1 if stable else before.restarts + 1, ready_s=None)
    return after, None if after.restarts > MOST_RESTARTS else min(LONGEST_WAIT_S, 2.0 ** (after.restarts - 1))

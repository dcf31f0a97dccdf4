"""The number of CPUs that a run asks the autoscaler for."""

from __future__ import annotations

import math

# With an LLM a CPU renders, encodes and parses, 14 ms per page: one feeds 64 requests of a second or more.
REQUESTS_PER_CPU = 64


def cpus_wanted(cpus_now: int, shards_open: int, *, more_planned: bool, max_in_flight: int | None) -> int:
    """CPUs that `shards_open` shards, handed out or waiting, keep busy: one each.

    `more_planned`: the planner is as far ahead as it may be, so more shards may follow; then twice the current CPUs are
    wanted. `max_in_flight` is set for an LLM engine, which is limited by its account, not by CPUs.
    """
    wanted = max(shards_open, 2 * cpus_now) if more_planned else shards_open
    return wanted if max_in_flight is None else min(wanted, math.ceil(max_in_flight / REQUESTS_PER_CPU))

"""How many CPUs a run could use now: what an autoscaler is asked for."""

from __future__ import annotations

import math

# With an LLM the CPU renders, encodes and parses, 14 ms a page: one CPU feeds 64 requests that take a second or more.
REQUESTS_PER_CPU = 64


def cpus_wanted(cpus_now: int, shards_open: int, *, more_planned: bool, max_in_flight: int | None) -> int:
    """CPUs that `shards_open` shards, handed out or waiting, can keep busy; one each.

    `more_planned`: as many shards wait as are ever planned ahead, so there may be any number behind them; then it is
    twice what there is now. `max_in_flight` is given for an LLM engine, whose account is the limit and not the CPU.
    """
    wanted = max(shards_open, 2 * cpus_now) if more_planned else shards_open
    return wanted if max_in_flight is None else min(wanted, math.ceil(max_in_flight / REQUESTS_PER_CPU))

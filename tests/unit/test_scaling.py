"""How many CPUs a run asks an autoscaler for."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.scaling import cpus_wanted


@pytest.mark.parametrize(
    ("cpus_now", "shards_open", "more_planned", "max_in_flight", "wanted"),
    [
        (0, 1, False, None, 1),  # from zero
        (8, 3, False, None, 3),  # the end of a run: what it has is enough
        (8, 18, True, None, 18),  # one CPU for each open shard
        (64, 32, True, None, 128),  # the queue is full: there may be any number behind it
        (0, 0, False, None, 0),
        (2, 18, True, 256, 4),  # an LLM's account is the limit, not the CPU
        (8, 2, False, 256, 2),
        (1, 18, True, 8, 1),
    ],
)
def test_cpus_follow_the_open_shards(
    cpus_now: int, shards_open: int, more_planned: bool, max_in_flight: int | None, wanted: int
) -> None:
    """One CPU a shard, twice what is there while the plan is ahead, and no more than requests under way can use."""
    assert cpus_wanted(cpus_now, shards_open, more_planned=more_planned, max_in_flight=max_in_flight) == wanted

"""Ray by itself: what starting it, two actors and a task, and stopping it takes before any page is read.

python -m benchmarks.ray_alone
"""

from __future__ import annotations

import logging
import os

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")  # before Ray is imported

import ray


class Actor:
    """The least there is."""

    async def answer(self) -> int:
        return 1


def task() -> int:
    """The least there is."""
    return 1


if __name__ == "__main__":
    ray.init(
        address="local", include_dashboard=False, object_store_memory=512 << 20,
        log_to_driver=False, logging_level=logging.ERROR,
    )  # fmt: skip
    actors = [ray.remote(num_cpus=0)(Actor).remote() for _ in range(2)]
    ray.get([actor.answer.remote() for actor in actors])
    ray.get(ray.remote(task).remote())
    ray.shutdown()

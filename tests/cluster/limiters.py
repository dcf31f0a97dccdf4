"""Rate limiters that tests leave behind: each is a process that stays for an hour, and takes its hundredth of a CPU."""

from __future__ import annotations

from contextlib import suppress

import ray

from one_ocr_ray.cluster.nodes import NAMESPACE


def end_limiters() -> None:
    """End those that nobody needs any more. Every run with a model of its own has made one."""
    if not ray.is_initialized():
        return
    for each in ray.util.list_named_actors(all_namespaces=True):
        if each["namespace"] == NAMESPACE and each["name"].startswith("limiter:"):
            with suppress(ValueError):  # it has ended meanwhile
                ray.kill(ray.get_actor(each["name"], namespace=NAMESPACE))

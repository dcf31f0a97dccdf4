"""A Ray of a run's own on this machine, without the helpers that serve nobody there.

`ray.init` starts them whatever it is told: the server of the dashboard, also where the dashboard is off, and waits for
it; the autoscaler, which has no node to add; the log monitor, which reads what workers write for a driver that does not
want it. Without them Ray is up in half the time, with 2 CPU seconds less. Ray's own class of a node can leave them out.
It is not public, so only this file knows it; the version of Ray is pinned.
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import ray
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.ray_constants import DASHBOARD_ADDRESS, KV_NAMESPACE_DASHBOARD

from one_ocr_ray.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bounded by the pages in flight, not by the machine: a few slices of rendered pages fit many times over.
OBJECT_STORE_BYTES = 512 << 20
OPEN_FILES = 65_536  # what `ray.init` raises the limit to, before it starts what inherits it
REGISTERED_WITHIN_S = 30.0  # Ray waits as long again, and says what is wrong
LOOK_EVERY_S = 0.02
SYSTEM_CONFIG = {
    # In every sixth start or so the raylet looks for the object store's socket just before it is there. It does so for
    # ten seconds, as by default, but not once a second.
    "raylet_client_connect_timeout_milliseconds": 20,
    "raylet_client_num_connect_attempts": 500,
    # Ray starts a worker for each CPU with the node and as many again for its first driver; the latter come as needed.
    "prestart_worker_first_driver": False,
}
AGENTS_LIBRARIES = "ray.dashboard.optional_deps"
NOBODY = b"127.0.0.1:0"  # an address at which nothing listens


class _HeadNode(Node):
    """Ray's head node that nobody looks at."""

    def start_api_server(self, **_: object) -> None:
        """No server of the dashboard, but what it would tell the agent, which asks and complains once a second."""
        cluster = self.get_gcs_client()  # type: ignore[no-untyped-call]
        cluster.internal_kv_put(DASHBOARD_ADDRESS.encode(), NOBODY, True, KV_NAMESPACE_DASHBOARD)

    def start_raylet(self, *values: Any, **named: Any) -> None:
        """Ray imports what its agent needs here too, a third of a CPU second, only to see whether it is installed. With
        this package it is, so an empty module stands in for it.
        """
        stand_in = ModuleType(AGENTS_LIBRARIES)
        found = sys.modules.setdefault(AGENTS_LIBRARIES, stand_in)
        try:
            super().start_raylet(*values, **named)
        finally:
            if found is stand_in:
                del sys.modules[AGENTS_LIBRARIES]

    def start_ray_processes(self) -> None:
        """Come back as soon as the node has registered: Ray itself looks for that once a second."""
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        cluster = self.get_gcs_client()  # type: ignore[no-untyped-call]
        deadline_s = time.monotonic() + REGISTERED_WITHIN_S
        while not cluster.get_all_node_info() and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)


@contextmanager
def local_ray(namespace: str) -> Iterator[None]:
    """Ray for the time of the block. Raises StoppedError when it does not come up, as on a machine that swaps."""
    _allow_open_files()
    with ExitStack() as ending:
        try:
            node = _started_node()
            ending.callback(node.kill_all_processes, check_alive=False, allow_graceful=True)
            ending.callback(ray.shutdown)
            ray.init(address=node.address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has no class of its own for it
            raise StoppedError(
                f"Ray did not start on this machine ({str(error).partition('.')[0]}). Is it short of CPU, memory or "
                "disk? The same command resumes."
            ) from error
        yield


def _started_node() -> Node:
    """A node whose processes the kernel, or a reaper of Ray's, ends should this process die without a word."""
    parameters = RayParams(
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # a bool
        no_monitor=True,
        object_store_memory=OBJECT_STORE_BYTES,
        _system_config=SYSTEM_CONFIG,  # type: ignore[arg-type]  # not strings alone
    )
    return _HeadNode(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True, ray_init_cluster=True)


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

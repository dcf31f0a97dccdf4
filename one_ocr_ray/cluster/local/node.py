"""A node of Ray on this machine without helpers that serve nobody there. The only file that knows Ray's private parts.

`ray.init` starts these helpers whatever it is told, and waits for most of them: the dashboard's server, even when the
dashboard is off; the autoscaler, which has no node to add; the log monitor, whose lines no driver wants. A run also
does without the node's two agents: one offers metrics at a port that nobody knows, the other installs a `runtime_env`,
which workers on the same machine do not need. Ray Serve needs both. Without helpers a run's first task is done in a
third of the time, with a third of the CPU seconds. Ray's own class of a node, which is not public, can leave them out.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import ray
from ray._private import node as ray_node
from ray._private import services, utils, worker
from ray._private.parameter import RayParams
from ray._private.ray_constants import DASHBOARD_ADDRESS, KV_NAMESPACE_DASHBOARD
from ray._raylet import (  # type: ignore[attr-defined]  # compiled
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    persist_port,
    wait_for_persisted_port,
)

from one_ocr_ray.cluster.nodes import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from types import ModuleType

# Bounded by the pages in flight, not by the machine: a few slices of rendered pages fit many times over.
OBJECT_STORE_BYTES = 512 << 20
REGISTERED_WITHIN_S = 30.0  # Ray waits as long again, and says what is wrong
LOOK_EVERY_MS = 10
SYSTEM_CONFIG = {
    # In every sixth start or so the raylet looks for the object store's socket just before it is there. It does so for
    # ten seconds, as by default, but not once a second.
    "raylet_client_connect_timeout_milliseconds": 20,
    "raylet_client_num_connect_attempts": 500,
    # Ray would start a worker for each CPU when the first driver comes. Beyond `PRESTARTED` they come as needed.
    "prestart_worker_first_driver": False,
    # Nor does anybody ask what became of a task; a driver would wait a quarter of a second at its end to have told.
    "task_events_report_interval_ms": 0,
    # Beyond one for each CPU, Ray would end idle workers after a second. A run's render tasks come and go, and a
    # worker's start takes a CPU second, as much as ten pages with text layers.
    "idle_worker_killing_time_threshold_ms": 30_000,
}
WITHOUT_AGENTS = {
    "enable_worker_prestart": True,  # with the node, while the driver waits for that: a worker's start takes as long
    "enable_metrics_collection": False,  # else every process looks for the agent that would take its metrics
    "enable_pipe_based_agent_to_parent_health_check": True,  # the raylet holds the other end of an agent's input
}
NOBODY = b"127.0.0.1:0"  # an address at which nothing listens
# What the raylet is told of an agent's port where there is no agent; of this one it takes a number only.
NO_PORT = -1
NOBODYS_PORT = 9  # "discard": nothing is sent there either
AGENT_PORTS = {
    METRICS_AGENT_PORT_NAME: NO_PORT,
    METRICS_EXPORT_PORT_NAME: NO_PORT,
    DASHBOARD_AGENT_LISTEN_PORT_NAME: NO_PORT,
    RUNTIME_ENV_AGENT_PORT_NAME: NOBODYS_PORT,
}
# A raylet ends with either of its agents. This one does nothing, and ends with its raylet.
IDLE_AGENT = subprocess.list2cmdline([sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"])
AGENT_FLAGS = ("--dashboard_agent_command", "--runtime_env_agent_command")
# The workers that every run needs start with the node, not one for each CPU. They are for the rate limiter (or an OCR
# engine), the pages, and two that open and render files.
PRESTART_FLAG = "--num_prestart_python_workers"
PRESTARTED = 4


class _HeadNode(ray_node.Node):
    """Ray's head node that nobody looks at."""

    system_config: ClassVar[dict[str, Any]] = SYSTEM_CONFIG

    def start_gcs_server(self) -> None:
        """Come back as soon as it is there, after 30 ms. Ray itself looks ten times a second."""
        look_often = partial(wait_for_persisted_port, poll_interval_ms=LOOK_EVERY_MS)
        with _replaced(ray_node, "wait_for_persisted_port", look_often):
            super().start_gcs_server()  # type: ignore[no-untyped-call]

    def start_api_server(self, **_: object) -> None:
        """Start no dashboard server. Store what it would tell the agent, which asks and complains once a second."""
        cluster = self.get_gcs_client()  # type: ignore[no-untyped-call]
        cluster.internal_kv_put(DASHBOARD_ADDRESS.encode(), NOBODY, True, KV_NAMESPACE_DASHBOARD)

    def start_raylet(self, *values: Any, **named: Any) -> None:
        """Skip Ray's check of what its agent needs. The import takes a third of a CPU second."""
        with _replaced(utils, "get_dashboard_dependency_error", lambda: None):
            super().start_raylet(*values, **named)

    def start_ray_processes(self) -> None:
        """Come back as soon as the node has registered. Ray itself looks once a second."""
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        cluster = self.get_gcs_client()  # type: ignore[no-untyped-call]
        deadline_s = time.monotonic() + REGISTERED_WITHIN_S
        while not cluster.get_all_node_info() and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_MS / 1000)


class _HeadNodeWithoutAgents(_HeadNode):
    """Ray's head node that nobody asks for metrics or for a `runtime_env`."""

    system_config = SYSTEM_CONFIG | WITHOUT_AGENTS

    def start_raylet(self, *values: Any, **named: Any) -> None:
        """With agents that do nothing, with nothing to wait for until they do, and with its first workers."""
        for name, port in AGENT_PORTS.items():
            persist_port(self._session_dir, self.node_id, name, port)

        def start_as_needed(command: list[str], *values: Any, **named: Any) -> Any:
            return start([_as_needed(argument) for argument in command], *values, **named)

        start: Callable[..., Any] = services.start_ray_process
        with _replaced(services, "start_ray_process", start_as_needed):
            super().start_raylet(*values, **named)


def start_local_node(ending: ExitStack, *, agents: bool, folder: str | None) -> None:
    """Start a node and join it; `ending` ends both. With `agents` it has what Ray Serve needs.

    The kernel, or a reaper of Ray's, ends the node's processes should this process die without a word.
    """
    kind = _HeadNode if agents else _HeadNodeWithoutAgents
    parameters = RayParams(
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # a bool
        no_monitor=True,
        object_store_memory=OBJECT_STORE_BYTES,
        temp_dir=folder,
        _system_config=kind.system_config,
    )
    node = kind(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True, ray_init_cluster=True)
    ending.callback(node.kill_all_processes, check_alive=False, allow_graceful=True)
    ending.callback(ray.shutdown)
    # Ray would make a `runtime_env` of the job around this process, of `uv run` or by a user's hook. Its workers would
    # have from it what they already have here from this process.
    with (
        _replaced(worker, "RAY_JOB_CONFIG_JSON_ENV_VAR", ""),  # the variable in which it looks for a job
        _replaced(worker, "_maybe_modify_runtime_env", lambda runtime_env, _: runtime_env),
    ):
        ray.init(address=node.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)


def _as_needed(argument: str) -> str:
    """An argument of the raylet, or what a run needs in its place."""
    flag, _, value = argument.partition("=")
    if flag in AGENT_FLAGS:
        return f"{flag}={IDLE_AGENT}"
    if flag == PRESTART_FLAG:
        return f"{flag}={min(int(value), PRESTARTED)}"
    return argument


@contextmanager
def _replaced(module: ModuleType, name: str, by: object) -> Iterator[None]:
    """`by` stands in for a name of Ray's for the time of the block."""
    original = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, original)

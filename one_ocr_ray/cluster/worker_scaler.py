"""Waits for the first nodes, asks for more, and starts workers on new ones.

Nodes come and go: an autoscaler adds them, a cloud takes them back, somebody plugs one in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.scaling import cpus_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.cluster.servers.own import OwnServers

    StartOnNode = Callable[[Node, int], Sequence[ActorHandle[Any]]]

LOOK_EVERY_S = 2.0
GROW_S = 2.0  # between two looks for nodes that have joined
ASK_EVERY_S = 10.0
# A cloud takes minutes to start a machine and to install what it needs.
FIRST_NODE_WAIT_S = 900.0
NO_NODE = "No node of this Ray cluster offers CPUs. Add a worker node, or give the head CPUs."
WAITING = "No node of this Ray cluster offers CPUs yet; the autoscaler is asked for one."

_log = logging.getLogger("one_ocr_ray")


def first_nodes(say: Callable[[str], None], *, autoscaled: bool) -> list[Node]:
    """The nodes that offer CPUs. A cluster that may grow is given time. Raises UsageError when there is none."""
    deadline_s = time.monotonic() + (FIRST_NODE_WAIT_S if autoscaled else 0.0)
    if autoscaled and not working_nodes():
        say(WAITING)
        request_nodes(1)
    while not (nodes := working_nodes()):
        if time.monotonic() >= deadline_s:
            raise UsageError(NO_NODE)
        time.sleep(LOOK_EVERY_S)
    return nodes


class WorkerScaler:
    """Starts a worker on each node that joins."""

    def __init__(self, nodes: Sequence[Node], workers: int, start: StartOnNode, actors: list[ActorHandle[Any]]) -> None:
        """`nodes` have their `workers` already.

        `start` starts the actors of a node, its worker first, which gets a number. Those that are used go to `actors`.
        """
        self._staffed = {node.node_id for node in nodes}
        self._seen = set(self._staffed)
        self._number = workers
        self._start = start
        self._actors = actors

    async def workers_on_new_nodes(self) -> list[ActorHandle[Any]]:
        """Start workers on new nodes, and give those whose node has what the engine needs.

        A node must be seen twice. Right after it has joined some nodes do not know it, and Ray would put its worker
        elsewhere. While the cluster's head is busy or being replaced there are none.
        """
        found = []
        with suppress(RayError):
            for node in await asyncio.to_thread(working_nodes):
                if node.node_id in self._seen and node.node_id not in self._staffed:
                    self._staffed.add(node.node_id)
                    actors = self._start(node, self._number)
                    self._number += 1
                    worker: Any = actors[0]
                    try:
                        await worker.check_engine.remote(False)
                    except RayError as error:  # it has no key, or is gone again; the work goes on without it
                        _log.warning("node not used", extra={"node": node.node_id, "fault": type(error).__name__})
                        for actor in actors:
                            ray.kill(actor)
                    else:
                        self._actors.extend(actors)
                        found.append(worker)
                self._seen.add(node.node_id)
        return found


class NodeDemand:
    """Tells the autoscaler how many CPUs a run could use.

    A request holds until the next one, whoever makes it. Several jobs take turns, and the largest request is served.
    """

    def __init__(self, max_in_flight: int | None, servers: OwnServers | None = None) -> None:
        """`max_in_flight` bounds the demand of an LLM engine; `servers` want GPUs."""
        self._max_in_flight = max_in_flight
        self._servers = servers
        self._ask_at_s = 0.0

    async def request_nodes(self, shards_open: int, *, more_planned: bool) -> None:
        """Ask for nodes, at most every `ASK_EVERY_S`."""
        if time.monotonic() < self._ask_at_s:
            return
        self._ask_at_s = time.monotonic() + ASK_EVERY_S
        cpus_now = sum(int(node.cpus) for node in await asyncio.to_thread(working_nodes))
        cpus = cpus_wanted(cpus_now, shards_open, more_planned=more_planned, max_in_flight=self._max_in_flight)
        servers = self._servers.bundles(shards_open, more_planned=more_planned) if self._servers is not None else []
        await asyncio.to_thread(request_nodes, cpus, servers)


def request_nodes(cpus: int, bundles: Sequence[dict[str, float]] = ()) -> None:
    """Request `cpus` in all, and room for `bundles`; 0 and none end the request. The newest request replaces others."""
    from ray.autoscaler.sdk import request_resources  # noqa: PLC0415 - the whole launcher, which a local Ray never needs

    request_resources(num_cpus=cpus, bundles=list(bundles) or None)

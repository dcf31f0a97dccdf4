"""A run and the nodes of its cluster: waiting for the first one, asking for more, and workers for those that come.

Nodes come and go while a run goes on: an autoscaler adds them, a cloud takes them back, somebody plugs one in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.batch.worker import start_workers
from one_ocr_ray.cluster.engine_pool import start_readers
from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.scaling import cpus_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.job import Job

LOOK_EVERY_S = 2.0
ASK_EVERY_S = 10.0
# A cloud takes minutes to start a machine and to install what it needs.
FIRST_NODE_WAIT_S = 900.0
NO_NODE = "No node of this Ray cluster offers CPUs. Add a worker node, or give the head CPUs."
WAITING = "No node of this Ray cluster offers CPUs yet; the autoscaler is asked for one."

_log = logging.getLogger("one_ocr_ray")


async def first_nodes(say: Callable[[str], None], *, autoscaled: bool, wait_s: float = FIRST_NODE_WAIT_S) -> list[Node]:
    """The nodes that offer CPUs; on a cluster that may grow, waits for the first one. Raises UsageError for none."""
    deadline_s = time.monotonic() + (wait_s if autoscaled else 0.0)
    if autoscaled and not working_nodes():
        say(WAITING)
        _ask_autoscaler(1)
    while not (nodes := working_nodes()):
        if time.monotonic() >= deadline_s:
            raise UsageError(NO_NODE)
        await asyncio.sleep(LOOK_EVERY_S)
    return nodes


class WorkerScaler:
    """Gives each node that joins a run a worker of its own, and with the embedded engine its readers too."""

    def __init__(self, job: Job, nodes: Sequence[Node], actors: list[ActorHandle[Any]], *, autoscaled: bool) -> None:
        """`nodes` have workers already; `actors` takes those that are started here, so that they end with the run."""
        self._job = job
        self._staffed = {node.node_id for node in nodes}
        self._seen = set(self._staffed)
        self._actors = actors
        self._number = len(nodes)
        self._autoscaled = autoscaled
        self._ask_at_s = 0.0

    async def newcomers(self) -> list[ActorHandle[Any]]:
        """Workers on nodes that have joined and have what the engine needs.

        A node must be met twice: right after it has joined, some other nodes do not know it yet, and Ray would put its
        worker elsewhere.
        """
        found = []
        for node in await asyncio.to_thread(working_nodes):
            if node.node_id in self._seen and node.node_id not in self._staffed:
                self._staffed.add(node.node_id)
                found.extend(await self._recruit(node))
            self._seen.add(node.node_id)
        return found

    async def ask_for_nodes(self, shards_open: int, *, more_planned: bool) -> None:
        """Tell the autoscaler now and then how many CPUs the open shards could use.

        A request holds until the next one, whoever makes it: several jobs take turns, and what the largest asks for
        is started.
        """
        if not self._autoscaled or time.monotonic() < self._ask_at_s:
            return
        self._ask_at_s = time.monotonic() + ASK_EVERY_S
        cpus_now = sum(int(node.cpus) for node in await asyncio.to_thread(working_nodes))
        in_flight = self._job.limits.max_in_flight if self._job.engine else None
        cpus = cpus_wanted(cpus_now, shards_open, more_planned=more_planned, max_in_flight=in_flight)
        await asyncio.to_thread(_ask_autoscaler, cpus)

    def done(self) -> None:
        """Ask for nothing any more."""
        if self._autoscaled:
            _ask_autoscaler(0)

    async def _recruit(self, node: Node) -> list[ActorHandle[Any]]:
        run_id = self._job.identity.run_id
        readers = {} if self._job.engine else start_readers([node], run_id)
        worker: Any = start_workers(self._job, [node], 1, list(readers), first=self._number)[0]
        self._number += 1
        try:
            await worker.check_engine.remote(False)
        except RayError as error:  # it has no key, or is gone again; a run that goes well needs it not
            _log.warning("node not used", extra={"run_id": run_id, "node": node.node_id, "fault": type(error).__name__})
            for actor in (worker, *readers.values()):
                ray.kill(actor)
            return []
        self._actors.extend((worker, *readers.values()))
        return [worker]


def _ask_autoscaler(cpus: int) -> None:
    from ray.autoscaler.sdk import request_resources  # noqa: PLC0415 - the whole launcher, which a local Ray never needs

    request_resources(num_cpus=cpus)

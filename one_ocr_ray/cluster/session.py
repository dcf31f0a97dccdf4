"""Connecting to Ray: a local one that lives as long as the run, or a cluster that is there."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from one_ocr_ray.errors import UsageError
from one_ocr_ray.settings import LOCAL_RAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray.actor import ActorHandle

NAMESPACE = "one-ocr"
# Bounded by the pages in flight, not by the machine: a few slices of rendered pages fit many times over.
LOCAL_OBJECT_STORE_BYTES = 512 << 20


@contextmanager
def ray_session(address: str, namespace: str = NAMESPACE) -> Iterator[None]:
    """Ray for the time of the block: the cluster at `address`, or for `local` a Ray of its own.

    A Ray that this process has joined already is used and left as it is. Raises UsageError when there is none at
    `address`.
    """
    if ray.is_initialized():
        yield
        return
    if address == LOCAL_RAY:
        ray.init(
            address=LOCAL_RAY,
            namespace=namespace,
            include_dashboard=False,
            object_store_memory=LOCAL_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    else:
        try:
            ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, ValueError) as error:
            raise UsageError(f"There is no Ray cluster at {address}. Start one, or leave --address out.") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def ending_actors() -> Iterator[list[ActorHandle[Any]]]:
    """A list for the actors of a run; at the end of the block those that are in it are ended."""
    actors: list[ActorHandle[Any]] = []
    try:
        yield actors
    finally:
        for actor in actors:
            ray.kill(actor)


class Node:
    """A node that can work: its id, its CPUs, and how many OCR engines fit on it."""

    def __init__(self, node_id: str, cpus: float, memory_bytes: float) -> None:
        self.node_id = node_id
        self.cpus = cpus
        self.memory_bytes = memory_bytes

    @property
    def here(self) -> NodeAffinitySchedulingStrategy:
        """Scheduling onto this node while it lives, anywhere else after."""
        return NodeAffinitySchedulingStrategy(self.node_id, soft=True)


def working_nodes() -> list[Node]:
    """The nodes that offer CPUs, in a stable order. A head node without CPUs is not one of them."""
    nodes = [
        Node(each["NodeID"], each["Resources"]["CPU"], each["Resources"].get("memory", 0.0))
        for each in ray.nodes()  # type: ignore[no-untyped-call]
        if each["Alive"] and each["Resources"].get("CPU", 0) > 0
    ]
    if not nodes:
        raise UsageError("No node of this Ray cluster offers CPUs. Add a worker node, or give the head CPUs.")
    return sorted(nodes, key=lambda node: node.node_id)

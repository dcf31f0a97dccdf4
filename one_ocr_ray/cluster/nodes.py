"""The cluster from inside: its nodes, and where actors are named and anchored. Loaded by every actor: no settings."""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# Of every named actor, so that jobs and the service find each other's.
NAMESPACE = "one-ocr"
# For an actor that takes no CPU but has its node: where it takes nothing at all, Ray (2.60) puts it on any node.
ANCHOR_BYTES = 1 << 20
# For an actor that serves the whole cluster: on the node that lives as long, and not on one that could be given back.
# The resource is Ray's own mark of the head node (`HEAD_NODE_RESOURCE_NAME`); Ray Train pins its actors by it too.
ON_HEAD = {"node:__internal_head__": 0.001}


def shared_by_the_cluster(name: str) -> dict[str, Any]:
    """Options of the one actor of that name: whoever comes first makes it, and it lives until its cluster does."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "resources": ON_HEAD,
        "max_restarts": -1,
    }


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

    @property
    def only_here(self) -> NodeAffinitySchedulingStrategy:
        """Scheduling onto this node or nowhere."""
        return NodeAffinitySchedulingStrategy(self.node_id, soft=False)


def working_nodes() -> list[Node]:
    """The nodes that offer CPUs, in a stable order. A head node without CPUs is not one of them."""
    nodes = (
        Node(each["NodeID"], each["Resources"]["CPU"], each["Resources"].get("memory", 0.0))
        for each in ray.nodes()  # type: ignore[no-untyped-call]
        if each["Alive"] and each["Resources"].get("CPU", 0) > 0
    )
    return sorted(nodes, key=lambda node: node.node_id)

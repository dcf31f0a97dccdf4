"""The cluster from inside: its nodes, where actors are named and placed, its errors. Every actor loads this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from one_ocr_ray.errors import OneOcrError

if TYPE_CHECKING:
    from ray.exceptions import RayTaskError

# The namespace of every named actor, so that jobs and the service find each other's.
NAMESPACE = "one-ocr"
# Memory of an actor that takes no CPU. Ray (2.60) puts an actor that takes nothing on any node, whatever it is told.
PLACEMENT_BYTES = 1 << 20
# Pins cluster-wide actors to the head node: it lives as long as the cluster and is never scaled down. The resource is
# Ray's own mark of the head node (`HEAD_NODE_RESOURCE_NAME`); Ray Train pins its actors by it too.
HEAD_NODE = {"node:__internal_head__": 0.001}


def shared_by_the_cluster(name: str) -> dict[str, Any]:
    """Options of the one actor of that name. Whoever comes first makes it; it lives as long as its cluster."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "resources": HEAD_NODE,
        "max_restarts": -1,
    }


def cause_of(error: RayTaskError) -> Exception:
    """Our own error without the remote traceback that Ray puts around it. Any other error as it came."""
    return error.cause if isinstance(error.cause, OneOcrError) else error


class Node:
    """A node that can work: its id, its CPUs, its memory and its GPUs."""

    def __init__(self, node_id: str, cpus: float, memory_bytes: float, gpus: float = 0.0) -> None:
        self.node_id = node_id
        self.cpus = cpus
        self.memory_bytes = memory_bytes
        self.gpus = gpus

    @property
    def here(self) -> NodeAffinitySchedulingStrategy:
        """Places an actor on this node while it lives, and anywhere else after."""
        return NodeAffinitySchedulingStrategy(self.node_id, soft=True)

    @property
    def only_here(self) -> NodeAffinitySchedulingStrategy:
        """Places an actor on this node or nowhere."""
        return NodeAffinitySchedulingStrategy(self.node_id, soft=False)


def is_alive(node_id: str) -> bool:
    """True while the cluster has that node."""
    return any(each["NodeID"] == node_id and each["Alive"] for each in ray.nodes())  # type: ignore[no-untyped-call]


def working_nodes() -> list[Node]:
    """The nodes that offer CPUs, by id. A head node without CPUs is not one of them."""
    nodes = (
        Node(
            each["NodeID"],
            each["Resources"]["CPU"],
            each["Resources"].get("memory", 0.0),
            each["Resources"].get("GPU", 0.0),
        )
        for each in ray.nodes()  # type: ignore[no-untyped-call]
        if each["Alive"] and each["Resources"].get("CPU", 0) > 0
    )
    return sorted(nodes, key=lambda node: node.node_id)

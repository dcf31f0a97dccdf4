"""Turns the facts of `one-ocr doctor` into checks: a status, and what to do.

Facts hold no secrets, and nothing is probed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

RAY_SUPPORTED = "2.60"  # as in pyproject.toml: streaming generators and actors were measured with this version


class CheckStatus(StrEnum):
    OK = "ok"
    FAIL = "fail"
    SKIP = "skip"  # nothing to check, or another check must pass first


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: CheckStatus
    sentence: str


@dataclass(frozen=True, slots=True)
class Versions:
    python: str
    ray: str
    package: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Facts of one node. If the node does not answer, only `fault` is set.

    A `..._fault` is a sentence, or None if all is well or nothing was checked.
    """

    address: str
    versions: Versions | None = None
    fault: str | None = None
    key_faults: Mapping[str, str | None] = field(default_factory=dict)  # by the name of an LLM engine
    engine_faults: Mapping[str, str | None] = field(default_factory=dict)
    engine_fault: str | None = None
    fonts_fault: str | None = None
    input_fault: str | None = None
    output_fault: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Facts of the cluster; `exposed`: Ray's components that listen beyond loopback, with their ports."""

    token: bool
    exposed: Mapping[str, int] | None  # None: unknown on this system
    nodes: Sequence[NodeFacts]


def judged(name: str, fault: str | None, fine: str) -> Check:
    """The check of that name: `fault` if there is one, else `fine`."""
    return Check(name, CheckStatus.FAIL if fault else CheckStatus.OK, fault or fine)


def runtime_env(keys: Sequence[str]) -> Check:
    """Check that no provider's key travels with the job. `keys`: variables in its runtime_env that hold one."""
    fault = f"{' and '.join(keys)} travels with the job and is shown by Ray. Replace it, and set it on the nodes."
    return judged("runtime_env", fault if keys else None, "No provider's key travels with the job.")


def authentication(cluster: ClusterFacts) -> Check:
    """Check that Ray asks for a token. Without one, everybody who reaches the cluster runs code on it."""
    fault = "Ray asks for no token. Set RAY_AUTH_MODE=token and the same token on every node, and start Ray again."
    return judged("authentication", None if cluster.token else fault, "Ray asks for a token.")


def ports(cluster: ClusterFacts) -> Check:
    """Check that ports open to the network ask for a token."""
    if cluster.exposed is None:
        return Check("ports", CheckStatus.SKIP, "The head's open ports can be seen on Linux only.")
    parts = ", ".join(f"{name} ({port})" for name, port in cluster.exposed.items())
    fault = f"Open to the network without a token: {parts}. Switch authentication on, or close them with a firewall."
    guarded = f"Open to the network, and guarded by the token: {parts}."
    fine = guarded if parts else "No port of Ray's head is open to the network."
    return judged("ports", fault if parts and not cluster.token else None, fine)


def versions(here: Versions, nodes: Sequence[NodeFacts]) -> Check:
    """Check that Ray is supported, and that all nodes have the same versions."""
    for node in nodes:
        if node.fault:
            return Check("versions", CheckStatus.FAIL, f"Node {node.address}: {node.fault}")
    if not here.ray.startswith(f"{RAY_SUPPORTED}."):
        what = f"Ray {here.ray} is not {RAY_SUPPORTED}: install this package with its dependencies on every node."
        return Check("versions", CheckStatus.FAIL, what)
    for node in nodes:
        if node.versions is not None and node.versions != here:
            what = f"Node {node.address} has {_text(node.versions)}; here are {_text(here)}. Make them the same."
            return Check("versions", CheckStatus.FAIL, what)
    return Check("versions", CheckStatus.OK, f"{_text(here)} on {_count(nodes)}.")


def _text(of: Versions) -> str:
    return f"Python {of.python}, Ray {of.ray}, one-ocr {of.package}"


def on_nodes(name: str, nodes: Sequence[NodeFacts], fault_of: Callable[[NodeFacts], str | None], ok: str) -> Check:
    """Combine a check of all nodes: the first fault, or `ok` and their number."""
    for node in nodes:
        if fault := fault_of(node):
            return Check(name, CheckStatus.FAIL, f"Node {node.address}: {fault}")
    if not nodes:
        return Check(name, CheckStatus.SKIP, "No node could be asked.")
    return Check(name, CheckStatus.OK, f"{ok} {_count(nodes)}.")


def _count(nodes: Sequence[NodeFacts]) -> str:
    return "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"


def open_ports(tables: Iterable[str]) -> set[int]:
    """TCP ports that listen beyond loopback; `tables`: texts of Linux's /proc/net/tcp and tcp6.

    Format: kernel documentation, networking/proc_net_tcp. Addresses are 32-bit words in the machine's (little) order.
    """
    found: set[int] = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, port = local.partition(":")
            packed = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
            known = ip_address(packed)
            if state == "0A" and not (getattr(known, "ipv4_mapped", None) or known).is_loopback:  # TCP_LISTEN
                found.add(int(port, 16))
    return found

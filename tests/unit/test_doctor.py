"""What the doctor makes of facts that one machine cannot plant."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from one_ocr_ray.policy.doctor import (
    RAY_SUPPORTED,
    CheckStatus,
    ClusterFacts,
    NodeFacts,
    Versions,
    authentication,
    on_nodes,
    open_ports,
    ports,
    versions,
)
from one_ocr_ray.storage.store.storage_check import fault_of_reading, fault_of_sharing, probe_object

HERE = Versions("3.11.7", f"{RAY_SUPPORTED}.0", "0.1.0")

# As /proc/net/tcp and tcp6 give them: loopback, every address, the peer of a connection, loopback mapped, every again.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 020200C0:1F90 020200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 020200C0:2711 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 0000000000000000FFFF00000100007F:0017 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 00000000000000000000000000000000:0018 00000000000000000000000000000000:0000 0A 00000000:00000000
   3: 0000000000000000FFFF0000020200C0:0019 00000000000000000000000000000000:0000 0A 00000000:00000000
"""


def test_open_ports_are_those_that_listen_beyond_loopback() -> None:
    """IPv4, IPv6 and IPv4 in IPv6; a connection is not a listener."""
    assert open_ports([TCP, TCP6]) == {0x18EB, 0x2711, 0x18, 0x19}


def cluster(*, token: bool, exposed: dict[str, int] | None) -> ClusterFacts:
    return ClusterFacts(token, exposed, [NodeFacts("10.0.0.1", HERE)])


@pytest.mark.parametrize(
    ("token", "exposed", "status"),
    [
        (False, {"dashboard": 8265}, CheckStatus.FAIL),
        (True, {"dashboard": 8265}, CheckStatus.OK),
        (False, {}, CheckStatus.OK),
        (False, None, CheckStatus.SKIP),
    ],
)
def test_an_open_port_is_a_fault_without_a_token(
    token: bool, exposed: dict[str, int] | None, status: CheckStatus
) -> None:
    """A dashboard that the network reaches runs anybody's code, unless it asks for a token."""
    check = ports(cluster(token=token, exposed=exposed))
    assert check.status is status
    assert ("dashboard (8265)" in check.sentence) is bool(exposed)


def test_a_cluster_without_a_token_is_a_fault() -> None:
    """And says how to mend it."""
    assert authentication(cluster(token=True, exposed={})).status is CheckStatus.OK
    assert "RAY_AUTH_MODE=token" in authentication(cluster(token=False, exposed={})).sentence


@pytest.mark.parametrize("change", [{"python": "3.12.1"}, {"ray": f"{RAY_SUPPORTED}.1"}, {"package": "0.2.0"}])
def test_a_node_with_another_version_is_found(change: dict[str, str]) -> None:
    """Named with both versions."""
    nodes = [NodeFacts("10.0.0.1", HERE), NodeFacts("10.0.0.2", replace(HERE, **change))]
    assert versions(HERE, nodes[:1]).status is CheckStatus.OK
    check = versions(HERE, nodes)
    assert check.status is CheckStatus.FAIL
    assert check.sentence.startswith("Node 10.0.0.2 has")
    assert all(value in check.sentence for value in change.values())


def test_a_ray_that_is_not_supported_is_found() -> None:
    """Also where it is the same everywhere; 2.6 is not 2.60."""
    for ray in ("2.59.0", f"{RAY_SUPPORTED[:-1]}.0", "3.0.0"):
        other = replace(HERE, ray=ray)
        assert versions(other, [NodeFacts("10.0.0.1", other)]).status is CheckStatus.FAIL


def test_the_supported_ray_is_the_one_of_the_package() -> None:
    """One number in two places."""
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    (ray,) = [each for each in project["dependencies"] if each.startswith("ray[")]
    assert f">={RAY_SUPPORTED},<" in ray


def test_a_node_that_cannot_run_the_package_is_found() -> None:
    """Its own fault comes before the versions of the others."""
    nodes = [NodeFacts("10.0.0.1", HERE), NodeFacts("10.0.0.2", fault="not installed.")]
    assert versions(HERE, nodes).sentence == "Node 10.0.0.2: not installed."


def test_the_first_node_with_a_fault_speaks_for_all() -> None:
    """With none the sentence says how many were asked; with nobody to ask nothing is claimed."""
    nodes = [NodeFacts("10.0.0.1"), NodeFacts("10.0.0.2", input_fault="no key."), NodeFacts("10.0.0.3", input_fault="")]
    assert on_nodes("key", nodes, lambda node: node.input_fault, "All on").sentence == "Node 10.0.0.2: no key."
    assert on_nodes("key", nodes[:1], lambda node: node.input_fault, "All on").sentence == "All on 1 node."
    assert on_nodes("key", [], lambda node: node.input_fault, "All on").status is CheckStatus.SKIP


def test_a_folder_of_this_machine_alone_is_found(tmp_path: Path) -> None:
    """A node looks for the mark in a folder of the same name, and does not make one."""
    with probe_object(str(tmp_path / "out")) as (mark, fault):
        assert fault is None
        assert fault_of_sharing(str(tmp_path / "out"), mark) is None
        assert "another folder" in str(fault_of_sharing(str(tmp_path / "elsewhere"), mark))
    assert not list(tmp_path.iterdir())


def test_an_input_that_only_one_machine_has_is_found(tmp_path: Path) -> None:
    """A path that is not there is a sentence, not an exception."""
    file = tmp_path / "a.pdf"
    file.write_bytes(b"%PDF-")
    assert fault_of_reading(str(file)) is None
    assert "shared folder" in str(fault_of_reading(str(tmp_path / "b.pdf")))


def test_a_mark_stays_out_of_a_dataset_that_is_there(tmp_path: Path) -> None:
    """What was in the output before is in it afterwards, and nothing else."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.parquet").write_bytes(b"x")
    with probe_object(str(tmp_path)):
        pass
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.parquet"]

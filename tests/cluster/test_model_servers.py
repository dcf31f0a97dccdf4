"""Model servers that a run starts: ready, started again at the same address, given up, and all ended."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import psutil
import pytest
import ray
from pydantic import SecretStr

from one_ocr_ray.cluster.servers.fleet import Fleet, running_fleet
from one_ocr_ray.cluster.servers.replica import start_replica
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.servers.command import ServerPlan
from one_ocr_ray.servers.health import is_healthy
from tests.cluster.outputs import read, rows
from tests.provider import write_identity_pdfs
from tests.servers import stand_in
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("ray_cluster")

SERVER = Path(stand_in.__file__)
OURS = f"--of={token_hex(8)}"  # what this process's servers have on their command line; other tests have servers, too
COMMAND = [sys.executable, str(SERVER), "--model", "{model}", "--host", "{host}", "--port", "{port}", OURS]
TEMPLATE = shlex.join(COMMAND)


def servers() -> list[psutil.Process]:
    """The stand-ins that run for these tests, and their guards."""
    return [each for each in psutil.process_iter(["cmdline"]) if OURS in (each.info["cmdline"] or ())]


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    until(lambda: not servers(), "the end of all servers")


def fleet(model: str, said: list[str]) -> Fleet:
    """A fleet of one server that needs no card."""
    return Fleet(ServerPlan(model=model, template=TEMPLATE, gpus=0), 1, said.append, said.append)


def api_servers() -> list[psutil.Process]:
    """The stand-ins without their guards."""
    return [each for each in servers() if "--model" in each.info["cmdline"][2:3]]


def test_a_server_that_dies_is_started_again_at_the_same_address() -> None:
    """So that its endpoint stays the same, and comes back by itself."""
    said: list[str] = []
    with running_fleet(fleet("tidy", said)) as running:
        running.wait_for_first(timeout_s=60)
        (place,) = running.places
        assert is_healthy(place.host, place.port)
        assert said[-1].startswith("1 of 1 servers ready")
        (first,) = api_servers()
        first.kill()
        until(lambda: any(each != first for each in api_servers()), "another server")
        until(lambda: is_healthy(place.host, place.port), "a healthy server")
        assert "A model server ended" in said[-1]


def test_a_server_that_is_stopped_while_it_starts_is_ended() -> None:
    """And none is started afterwards."""
    replica = start_replica(ServerPlan(model="tidy slow", template=TEMPLATE, gpus=0), SecretStr("key"), 0)
    starting = replica.bring_up.remote()
    until(servers, "a server that starts")
    ray.get(replica.stop.remote())
    assert servers() == []
    ray.get(starting)
    assert ray.get(replica.bring_up.remote()).last_line == "the server is stopped"
    assert servers() == []
    ray.kill(replica)


def test_a_run_reads_with_servers_of_its_own(tmp_path: Path) -> None:
    """And ends them. Pages go to whichever is ready."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_identity_pdfs(source, [1], pages=12)
    flags = {"engine": "vllm", "model": "tidy", "replicas": "2", "gpus_per_replica": 0, "server_command": TEMPLATE}
    said: list[str] = []
    read(output, source, say=said.append, **flags)
    assert any("of 2 servers ready" in each for each in said)
    pages = rows(output, "pages")
    assert len(pages) == 12
    assert {(row["status"], row["engine"], row["model"]) for row in pages} == {("ok", "vllm", "tidy")}


def test_a_server_that_cannot_start_is_told_with_its_last_line() -> None:
    """In one sentence, after a second try."""
    said: list[str] = []
    with running_fleet(fleet("crash", said)) as running, pytest.raises(UsageError, match="ValueError: no such model"):
        running.wait_for_first(timeout_s=60)

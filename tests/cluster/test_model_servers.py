"""Model servers that a run starts: ready, started again at the same address, given up, and all ended."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from one_ocr_ray.cluster.servers.fleet import Fleet, running_fleet
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.servers.command import ServerPlan
from one_ocr_ray.servers.health import is_healthy
from tests.cluster.outputs import read, rows
from tests.cluster.waiting import until
from tests.provider import write_identity_pdfs
from tests.servers import stand_in

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("ray_cluster")

SERVER = Path(stand_in.__file__)
TEMPLATE = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVER))} --model {{model}} --host {{host}} --port {{port}}"


def servers() -> list[psutil.Process]:
    """The stand-ins that run on this machine."""
    return [each for each in psutil.process_iter(["cmdline"]) if str(SERVER) in (each.info["cmdline"] or ())]


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    until(lambda: not servers(), "the end of all servers", 10)


def fleet(model: str, said: list[str]) -> Fleet:
    """A fleet of one server that needs no card."""
    return Fleet(ServerPlan(model=model, template=TEMPLATE, gpus=0), 1, said.append, said.append)


def test_a_server_that_dies_is_started_again_at_the_same_address() -> None:
    """So that its endpoint stays the same, and comes back by itself."""
    said: list[str] = []
    with running_fleet(fleet("plain", said)) as running:
        running.wait_for_first(timeout_s=60)
        (place,) = running.places
        assert is_healthy(place.host, place.port)
        assert said[-1].startswith("1 of 1 servers ready")
        first = {each.pid for each in servers()}
        for each in servers():
            if "stand_in" in each.cmdline()[1]:
                each.kill()
        until(lambda: {each.pid for each in servers()} - first, "another server")
        until(lambda: is_healthy(place.host, place.port), "a healthy server")
        assert "A model server ended" in said[-1]


def test_a_run_reads_with_servers_of_its_own(tmp_path: Path) -> None:
    """And ends them. Pages go to whichever is ready."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_identity_pdfs(source, [1], pages=12)
    flags = {"engine": "vllm", "model": "plain", "replicas": "2", "gpus_per_replica": 0, "server_command": TEMPLATE}
    said: list[str] = []
    read(output, source, say=said.append, **flags)
    assert any("of 2 servers ready" in each for each in said)
    pages = rows(output, "pages")
    assert len(pages) == 12
    assert {(row["status"], row["engine"], row["model"]) for row in pages} == {("ok", "vllm", "plain")}


def test_a_server_that_cannot_start_is_told_with_its_last_line() -> None:
    """In one sentence, after a second try."""
    said: list[str] = []
    with running_fleet(fleet("crash", said)) as running, pytest.raises(UsageError, match="ValueError: no such model"):
        running.wait_for_first(timeout_s=60)

"""Model servers that a run starts: ready, started again at the same address, given up, and all ended."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import psutil
import pytest
import ray
from pydantic import SecretStr
from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
from ray.experimental.internal_kv import _internal_kv_get

from one_ocr_ray.cluster.budget import start_budget
from one_ocr_ray.cluster.servers.fleet import Fleet
from one_ocr_ray.cluster.servers.own import start_servers
from one_ocr_ray.cluster.servers.replica import start_replica
from one_ocr_ray.cluster.worker_scaler import NodeDemand
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.servers.command import ServerPlan
from one_ocr_ray.policy.servers.size import FleetSize, ServerState
from one_ocr_ray.servers.health import is_healthy
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import llm_setups_of
from tests.cluster.outputs import read, rows
from tests.provider import identity_pdf, write_identity_pdfs
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
    return Fleet(ServerPlan(model=model, template=TEMPLATE, gpus=0), FleetSize(1, 1, 1), said.append, said.append)


def api_servers() -> list[psutil.Process]:
    """The stand-ins without their guards."""
    return [each for each in servers() if "--model" in each.info["cmdline"][2:3]]


def test_a_server_that_dies_is_started_again_at_the_same_address() -> None:
    """So that its endpoint stays the same, and comes back by itself."""
    said: list[str] = []
    with closing(fleet("tidy", said)) as running:
        running.wait_for_first(timeout_s=60)
        address = running.addresses["r0"]
        assert is_healthy(*address)
        assert said == [said[0]]
        assert said[0].startswith("1 of 1 servers ready")
        (first,) = api_servers()
        first.kill()
        until(lambda: any(each != first for each in api_servers()), "another server")
        until(lambda: running.states()[ServerState.READY], "a healthy server")
        assert is_healthy(*address)
        assert running.addresses == {"r0": address}
        assert "A model server ended" in said[1]


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
    """And ends them. Pages go to whichever is ready; what they cost adds up to the price of the servers' time.

    One crashes while it loads, one dies in the middle and leaves its port taken, one refuses more than one at once.
    """
    source, output, lives = tmp_path / "in", tmp_path / "out", tmp_path / "lives"
    source.mkdir()
    lives.mkdir()
    for number, life in enumerate(("tidy crash", "dies-after-4 clings", "tidy full-at-1")):
        (lives / f"{number}.next").write_text(life)
    write_identity_pdfs(source, [1], pages=12)
    flags = {"engine": "vllm", "model": "tidy", "replicas": "2", "gpus_per_replica": 0, "gpu_hour_usd": 3600.0}
    flags["server_command"] = f"{TEMPLATE} --lives {shlex.quote(str(lives))}"
    said: list[str] = []
    summary = read(output, source, say=said.append, **flags)
    assert any("of 2 servers ready" in each for each in said)
    pages = rows(output, "pages")
    assert len({row["page_number"] for row in pages}) == len(pages) == 12
    assert not list(lives.glob("*.next"))  # all three lives were lived
    assert {(row["status"], row["engine"], row["model"]) for row in pages} == {("ok", "vllm", "tidy")}
    paid_usd = sum(row["cost_usd"] for row in pages)
    (idle,) = [each for each in said if "idle" in each]
    idle_usd = float(idle.split()[-2])
    assert 0 < paid_usd < summary.elapsed_s * 2
    assert summary.cost_usd == pytest.approx(paid_usd + idle_usd, abs=1e-3)
    assert summary.counts.cost_usd == pytest.approx(summary.cost_usd)  # of the output, over all runs
    assert all(row["cost_usd"] <= row["latency_ms"] / 1000 + 1e-3 for row in pages)


def test_a_page_that_ends_servers_fails_and_the_run_goes_on(tmp_path: Path) -> None:
    """Three times it may end one, each of which is started again; every other page is read."""
    source, output, lives = tmp_path / "in", tmp_path / "out", tmp_path / "lives"
    source.mkdir()
    lives.mkdir()
    write_identity_pdfs(source, [1], pages=12)
    (source / "wide.pdf").write_bytes(identity_pdf(2, 1, size_pt=(842.0, 595.0)))
    flags = {"engine": "vllm", "model": "tidy chokes", "replicas": "2", "gpus_per_replica": 0}
    flags["server_command"] = f"{TEMPLATE} --lives {shlex.quote(str(lives))}"
    summary = read(output, source, **flags)
    pages = rows(output, "pages")
    assert len(pages) == 13
    (failed,) = [row for row in pages if row["status"] == "failed"]
    assert (failed["source_name"], failed["error"]["code"]) == ("wide.pdf", "provider_rejected")
    assert not failed["error"]["retryable"]
    assert summary.exit_code == 3
    assert len(list(lives.glob("choked.*"))) == 3


def test_a_ceiling_ends_the_run_that_cannot_pay_its_servers() -> None:
    """Their time counts, whether they work or not."""
    flags = {"engine": "vllm", "model": "tidy", "gpus_per_replica": 0, "server_command": TEMPLATE}
    settings = load({"inputs": ("in",), "output": "out", "gpu_hour_usd": 360.0, "max_cost": 5.0, **flags})
    reasons: list[str] = []
    with ExitStack() as ending:
        servers = start_servers(settings, llm_setups_of(settings), ending, lambda _: None, reasons.append)
        assert servers is not None
        servers.fleet.wait_for_first(timeout_s=60)
        _, budget = start_budget(servers.usd + 1.5, "ceiling")  # that and five seconds more
        servers.draw_on(budget)
        assert until(lambda: reasons, "the end")[0].startswith("The cost ceiling is reached")
    ray.kill(budget)


def test_the_autoscaler_is_asked_for_the_gpus_of_servers() -> None:
    """By a run for as many as its shards are worth, by a service while it lacks one; the request ends with them."""
    flags = {"engine": "vllm", "model": "tidy", "server_command": TEMPLATE, "replicas": "1-3"}
    settings = load({"inputs": ("in",), "output": "out", **flags})
    one = {"GPU": 1, "CPU": 1}
    with ExitStack() as ending:
        servers = start_servers(settings, llm_setups_of(settings), ending, lambda _: None, lambda _: None)
        asyncio.run(NodeDemand(8, servers).request_nodes(2, more_planned=False))
        assert asked_of_the_autoscaler().count(one) == 2
        assert servers is not None
        servers.look_at_load(has_work=False)
        assert asked_of_the_autoscaler() == [one]
    assert asked_of_the_autoscaler() == []


def asked_of_the_autoscaler() -> list[dict[str, float]]:
    """The bundles of the newest request to it."""
    bundles: list[dict[str, float]] = json.loads(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL) or "[]")
    return bundles


def test_a_server_that_cannot_start_is_told_with_its_last_line() -> None:
    """In one sentence, after a second try."""
    said: list[str] = []
    with closing(fleet("crash", said)) as running, pytest.raises(UsageError, match="ValueError: no such model"):
        running.wait_for_first(timeout_s=60)

"""Decisions about model servers: command, environment, restarts, progress."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.profiles.catalog import profile_named
from one_ocr_ray.policy.servers.advice import pin_advice, version_fault
from one_ocr_ray.policy.servers.command import ServerPlan, command_of, refused_argument, server_environment
from one_ocr_ray.policy.servers.hang import HANGS_S, EngineProgress
from one_ocr_ray.policy.servers.progress import progress_sentence, stage_of
from one_ocr_ray.policy.servers.restarts import MOST_RESTARTS, STABLE_S, STARTS_BEFORE_READY, Restarts, ended, ready
from one_ocr_ray.policy.servers.size import FleetSize, Load, cpus_of_server
from one_ocr_ray.profile import ModelProfile
from one_ocr_ray.servers.installed import installed_vllm
from one_ocr_ray.settings.run import Settings, load
from one_ocr_ray.setup.job import llm_setups_of
from one_ocr_ray.setup.servers import fleet_size_of, server_usd_per_s

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_gets_what_its_model_needs() -> None:
    """The user's arguments come last; the key is not among them."""
    plan = ServerPlan(
        model="allenai/olmOCR-2-7B-1025-FP8",
        profile=profile_named("olmocr-2"),
        gpus=2,
        revision="abc",
        arguments="--max-model-len 9000 --note 'two words'",
    )
    command = command_of(plan, "10.0.0.1", 9000)
    assert command[:3] == ["vllm", "serve", "allenai/olmOCR-2-7B-1025-FP8"]
    assert command[-4:] == ["--max-model-len", "9000", "--note", "two words"]
    pairs = set(pairwise(command))
    assert {("--port", "9000"), ("--tensor-parallel-size", "2"), ("--max-model-len", "16384")} <= pairs
    assert ("--revision", "abc") in pairs
    assert "--shutdown-timeout" in command  # else a SIGTERM under load hangs for ever
    own = command_of(ServerPlan(model="m", python="/venv/bin/python"), "h", 1)
    assert own[:5] == ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"]


def test_arguments_that_the_product_sets_are_refused() -> None:
    """Whichever way they are written."""
    assert refused_argument("--max-num-seqs 8 --port=1") == "--port=1"
    assert refused_argument("--max-num-seqs 8") is None
    with pytest.raises(ValueError, match="No closing quotation"):
        refused_argument("'")


def test_a_command_of_the_users_own() -> None:
    """Words are parted before the values come in."""
    template = "python -m sglang.launch_server --model-path {model} --host {host} --port {port}"
    command = command_of(ServerPlan(model="/models/a b", template=template), "h", 7)
    assert command[3:] == ["--model-path", "/models/a b", "--host", "h", "--port", "7"]


def test_a_servers_environment() -> None:
    """A Kubernetes Service named vllm sets VLLM_PORT, with which vLLM refuses to start."""
    inherited = {"PATH": "/bin", "VLLM_PORT": "tcp://10.0.0.1:80", "PYTHONPATH": "/ours"}
    environment = server_environment(inherited, key="secret", gpu_ids=["2", "3"], address="10.0.0.2")
    assert environment.keys().isdisjoint({"VLLM_PORT", "PYTHONPATH"})
    assert (environment["PATH"], environment["VLLM_API_KEY"]) == ("/bin", "secret")
    assert environment["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_a_server_finds_the_programs_of_its_own_environment() -> None:
    """As if that were activated; a bare name is looked for on PATH as it is."""
    of = partial(server_environment, {"PATH": "/bin"}, key="secret", gpu_ids=[], address="10.0.0.2")
    assert of(python="/opt/vllm/bin/python")["PATH"] == "/opt/vllm/bin:/bin"
    assert of(python="python3")["PATH"] == of()["PATH"] == "/bin"


def test_a_start_that_fails_twice_is_given_up() -> None:
    """A wrong flag ends every start in the same way."""
    after, wait_s = ended(Restarts(), 0.0)
    assert wait_s is not None
    assert ended(after, 1.0)[1] is None
    assert STARTS_BEFORE_READY == 2


@given(st.lists(st.floats(0, 2 * STABLE_S), max_size=40))
def test_a_server_that_dies_again_and_again_is_given_up(lives_s: list[float]) -> None:
    """Only if it does so in short order: each restart waits longer, and a long life forgets the earlier ones."""
    state, now_s, short = Restarts(), 0.0, 0
    for life_s in lives_s:
        state = ready(state, now_s)
        now_s += life_s
        state, wait_s = ended(state, now_s)
        short = 1 if life_s >= STABLE_S else short + 1
        assert (wait_s is None) is (short > MOST_RESTARTS)
        if wait_s is None:
            return
        assert 1 <= wait_s <= 60
        now_s += wait_s


def test_an_engine_that_does_nothing_hangs() -> None:
    """Only with work at hand: tokens that come, a rest and a server that tells nothing are none."""
    begun = EngineProgress().seen(3, 50.0, 0.0)
    assert not begun.seen(3, 50.0, HANGS_S).hangs(HANGS_S)
    assert begun.seen(3, 50.0, HANGS_S + 1).hangs(HANGS_S + 1)
    assert not begun.seen(3, 51.0, HANGS_S + 1).hangs(HANGS_S + 1)
    assert not begun.seen(0, 50.0, HANGS_S + 1).hangs(HANGS_S + 1)


def test_progress_in_words() -> None:
    """The newest telling line of the log; of several servers the slowest."""
    log = "INFO vLLM version 0.32.0\nStarting to load model x\nLoading safetensors checkpoint shards: 50%\nnoise"
    assert stage_of(log) == "loading weights"
    assert stage_of(log + "\nCapturing CUDA graphs: 10%") == "capturing graphs"
    assert stage_of("") == "starting"
    said = progress_sentence(["capturing graphs", "loading weights"], ready=2, wanted=4, elapsed_s=190)
    assert said == "loading weights, 2 of 4 servers ready, 3:10"


def test_what_a_profile_knows_is_said() -> None:
    """Weights that do not stay as they are want a revision; a vLLM that is too old is named with the one it takes."""
    plan = ServerPlan(model="org/m", profile=ModelProfile("m", least_vllm="0.11.2", pin_revision=True))
    assert "--revision" in (pin_advice(plan) or "")
    assert pin_advice(replace(plan, revision="abc")) is None
    assert pin_advice(ServerPlan(model="org/m")) is None
    told = {version: version_fault(plan, version) is not None for version in ("0.9.9", "0.11", "0.11.2", "0.32.0+cpu")}
    assert told == {"0.9.9": True, "0.11": True, "0.11.2": False, "0.32.0+cpu": False}
    assert version_fault(plan, None) is None
    assert version_fault(replace(plan, template="sglang serve {model}"), "0.1") is None


def test_the_installed_version_is_asked(tmp_path: Path) -> None:
    """Of the server's own interpreter; where there is no vLLM, nothing is said."""
    package = tmp_path / "vllm-0.10.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.10.1\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert installed_vllm(str(python)) == "0.10.1"
    assert installed_vllm(str(tmp_path / "nothing")) is None


def test_how_many_servers_there_are() -> None:
    """The least wait for GPUs, more are started where some are free, and shards say for how many nodes are asked."""
    size = FleetSize(first=1, least=1, most=3)
    assert size.wants_more(0, has_room=False)
    assert [size.wants_more(servers, has_room=True) for servers in (1, 2, 3)] == [True, True, False]
    assert not size.wants_more(1, has_room=False)
    assert [size.asked_for(open_, more_planned=False) for open_ in (0, 2, 9)] == [1, 2, 3]
    assert size.asked_for(0, more_planned=True) == 3
    assert FleetSize(4, 1, 100, asks=False).asked_for(9, more_planned=True) == 0  # takes what there is


def settings_with(**flags: object) -> Settings:
    return load({"inputs": ("in",), "engine": "vllm", "model": "m", **flags})


def test_replicas_as_they_are_set() -> None:
    """A number waits for its GPUs, a range takes what is free between its ends, auto takes all there are."""
    assert fleet_size_of(settings_with(replicas="3"), places=1) == FleetSize(3, 3, 3)
    assert fleet_size_of(settings_with(replicas="2-8"), places=5) == FleetSize(5, 2, 8)
    assert fleet_size_of(settings_with(), places=4).first == 4
    with pytest.raises(UsageError, match="no GPU free"):
        fleet_size_of(settings_with(), places=0)
    with pytest.raises(UsageError, match="from least to most"):
        settings_with(replicas="3-2")


def test_the_price_of_a_server() -> None:
    """All its cards by the hour; a server on CPUs counts as one card; without a price nothing is known."""
    assert server_usd_per_s(settings_with(gpu_hour_usd=1.8, gpus_per_replica=2)) == pytest.approx(0.001)
    assert server_usd_per_s(settings_with(gpu_hour_usd=3.6, gpus_per_replica=0)) == pytest.approx(0.001)
    assert server_usd_per_s(settings_with()) is None
    with pytest.raises(UsageError, match="--gpu-hour-usd"):
        llm_setups_of(settings_with(max_cost=1))


def test_a_service_has_as_many_servers_as_its_load_is_worth() -> None:
    """One more for each minute of work without a pause, the least after a quarter of an hour without any."""
    size, load_now = FleetSize(first=1, least=1, most=3), Load(1, since_s=0.0)
    wanted = []
    for now_s in range(0, 2000, 20):
        load_now = load_now.seen(size, float(now_s), has_work=40 <= now_s < 240)
        wanted.append(load_now.wanted)
    assert wanted[: 100 // 20] == [1] * 5
    assert max(wanted) == wanted[240 // 20] == 3
    assert wanted[1100 // 20] == 3
    assert wanted[1160 // 20 :] == [1] * (len(wanted) - 1160 // 20)


@pytest.mark.parametrize(
    ("nodes", "gpus_each", "servers", "cpus"),
    [
        ([(8, 1), (8, 1)], 1, 2, 1),
        ([(1, 1), (1, 1)], 1, 1, 0),
        ([(1, 1), (1, 1)], 1, 2, 0),
        ([(1, 0), (8, 4)], 1, 4, 1),
        ([(8, 8)], 1, 4, 1),
        ([(8, 8)], 1, 8, 0),
        ([(2, 0)], 0, 1, 1),
        ([(2, 0)], 0, 2, 0),
        ([(2, 0)], 1, 1, 0),
        ([(2, 0), (8, 1)], 1, 2, 0),
    ],
)
def test_servers_leave_each_node_a_cpu_to_draw_pages(
    nodes: list[tuple[float, float]], gpus_each: float, servers: int, cpus: int
) -> None:
    """A worker draws its pages on its own node, so one CPU somewhere else is of no use to it.

    Where a server waits for a node that the autoscaler has still to start, that node may have one CPU.
    """
    assert cpus_of_server(nodes, gpus_each, servers) == cpus

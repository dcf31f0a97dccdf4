"""Whole runs with `--engine vllm` and a real vLLM: read, survive what is killed, leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from one_ocr_ray.policy.servers.command import SHUTDOWN_S, ServerPlan, command_of, server_environment
from one_ocr_ray.policy.servers.queue import work_of
from one_ocr_ray.servers.health import is_healthy, metrics_of
from one_ocr_ray.servers.process import ServerProcess
from tests.ports import free_port
from tests.processes import is_at_work
from tests.provider import write_identity_pdfs
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)

FOLDER = Path(os.environ["ONE_OCR_VLLM_FOLDER"])  # of install.sh
PAGE = "# Tiny page\n\nIt was read by a real server."
SMALL = (
    "--dtype float32 --enforce-eager --kv-cache-memory-bytes 134217728 --max-model-len 2048 --max-num-seqs 8 "
    "--no-enable-prefix-caching"
)
STARTS_S = 400.0


def run(folder: Path, documents: int, pages: int, *asked: str, server_args: str = SMALL) -> subprocess.Popen[str]:
    """A run of the command line on new PDFs; `asked`: flags in place of the cap of an answer."""
    (folder / "in").mkdir()
    write_identity_pdfs(folder / "in", range(documents), pages=pages)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    command = [
        str(Path(sys.executable).with_name("one-ocr")), "run", str(folder / "in"), "--output", str(folder / "out"),
        "--engine", "vllm", "--model", str(FOLDER / "tiny"), "--gpus-per-replica", "0", "--replicas", "1",
        "--server-python", str(FOLDER / "venv/bin/python"), "--server-args", server_args,
        *(asked or ("--output-tokens", "64")),
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def servers() -> list[psutil.Process]:
    """The processes of vLLM and of its guards, without the run that names the same model."""
    names = (str(FOLDER / "tiny"), "VLLM::")
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if "--engine" not in (line := " ".join(each.info["cmdline"] or ())) and any(name in line for name in names)
    ]


def rows(folder: Path) -> list[dict[str, object]]:
    """All rows of pages."""
    return [row for file in (folder / "out/pages").glob("*.parquet") for row in pq.read_table(file).to_pylist()]


def test_pages_are_read_and_nothing_is_left(tmp_path: Path) -> None:
    """Each page is what the model always answers."""
    said, _ = run(tmp_path, documents=2, pages=5).communicate(timeout=STARTS_S)
    assert "1 of 1 servers ready" in said
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 10
    until(lambda: not servers(), "the end of all servers", 30)


def test_an_engine_that_is_killed_costs_no_page(tmp_path: Path) -> None:
    """The server is started again at its address, and the pages under way are asked again."""
    reading = run(tmp_path, documents=10, pages=12)
    engine: list[psutil.Process] = []

    def reads() -> bool:
        engine[:] = [each for each in servers() if "EngineCore" in " ".join(each.cmdline())]
        return bool(engine) and any(path.is_file() for path in (tmp_path / "out/_work").rglob("*"))

    until(reads, "a page", STARTS_S)
    engine[0].kill()
    said, _ = reading.communicate(timeout=2 * STARTS_S)
    assert "it is started again" in said
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 120
    until(lambda: not servers(), "the end of all servers", 30)


def test_a_killed_api_server_and_a_killed_actor_cost_no_page(tmp_path: Path) -> None:
    """The engine that the API server leaves behind is ended, and one that the actor leaves, too."""
    reading = run(tmp_path, documents=10, pages=12)
    killed_at = 0.0
    for part in ("api_server", "ray::Replica"):
        found: list[psutil.Process] = []

        def reads() -> bool:
            assert reading.poll() is None, "the run ended too early"
            of_run = [*servers(), *psutil.Process(reading.pid).children(recursive=True)]
            found[:] = [each for each in of_run if part in (line := line_of(each)) and "guard.py" not in line]  # noqa: B023
            written = [path for path in (tmp_path / "out/_work").rglob("*") if path.is_file()]
            return bool(found) and any(path.stat().st_mtime > killed_at for path in written)  # noqa: B023

        until(reads, "a page", STARTS_S)
        killed_at = time.time()
        found[0].kill()
    said, _ = reading.communicate(timeout=2 * STARTS_S)
    assert said.count("it is started again") >= 2  # once more where the port is not free yet
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 120
    until(lambda: not servers(), "the end of all servers", 30)


def line_of(process: psutil.Process) -> str:
    """Its command line; nothing of one that has just ended."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def test_a_full_server_and_a_small_cap(tmp_path: Path) -> None:
    """A 503 of its queue costs no page; an answer that stays cut off is kept, and says so."""
    few = SMALL.replace("--max-num-seqs 8", "--max-num-seqs 1 --max-num-queued-reqs 1")
    profile = tmp_path / "cut.yaml"
    profile.write_text("{prompt: Read this page., order: image_first, answer: markdown, output_tokens: 4}")
    reading = run(tmp_path, 2, 10, "--profile", str(profile), "--json", server_args=few)
    said, _ = reading.communicate(timeout=STARTS_S)
    summary = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert summary["requests"]["throttled"] > 0
    read = [(row["status"], row["truncated"], PAGE.startswith(str(row["markdown"]))) for row in rows(tmp_path)]
    assert read == [("ok", True, True)] * 20
    assert {row["finish_reason"] for row in rows(tmp_path)} == {"length"}


def test_a_server_that_is_stopped_answers_what_is_under_way(tmp_path: Path) -> None:
    """Without the time to shut down, which its command gives, vLLM's clients would wait for ever."""
    python, model = str(FOLDER / "venv/bin/python"), str(FOLDER / "tiny")
    port = free_port()
    command = command_of(ServerPlan(model=model, python=python, arguments=SMALL), "127.0.0.1", port)
    variables = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    environment = server_environment(variables, key="key", gpu_ids=[], address="127.0.0.1", python=python)
    server = ServerProcess.start(command, environment, tmp_path / "log", grace_s=SHUTDOWN_S + 5)
    until(lambda: is_healthy("127.0.0.1", port), "a server", STARTS_S)
    asked = {"model": model, "prompt": "a", "max_tokens": 400, "ignore_eos": True}  # takes seconds
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(asked).encode(),
        {"Authorization": "Bearer key", "Content-Type": "application/json"},
    )
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(lambda: json.load(urllib.request.urlopen(request, timeout=120)))
        until(lambda: (work_of(metrics_of("127.0.0.1", port)) or (0, 0.0))[0] == 1, "a request under way")
        processes = psutil.Process(server._guard_pid).children(recursive=True)
        assert len(processes) >= 2
        server.stop()
        assert answer.result()["usage"]["completion_tokens"] == 400
    assert not any(is_at_work(each) for each in processes)


def test_a_killed_driver_takes_its_servers_along(tmp_path: Path) -> None:
    """Within the time that they have to shut down."""
    reading = run(tmp_path, documents=1, pages=2)
    until(lambda: any("EngineCore" in " ".join(each.cmdline()) for each in servers()), "an engine", STARTS_S)
    os.kill(reading.pid, signal.SIGKILL)
    reading.wait()
    until(lambda: not servers(), "the end of all servers", 30)


# Two nodes with a GPU each by name, so that each gets a server; what each has answered is told at the end, and how many
# requests at once each limiter has allowed.
TWO_NODES = """
import json, sys, threading, ray
from contextlib import suppress
from ray.cluster_utils import Cluster
from tests.cluster.outputs import read
source, output, model, python, arguments = sys.argv[1:]
cluster = Cluster()
for more in ({}, {"include_dashboard": False}):
    cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=100 << 20, **more)
cluster.wait_for_nodes()
ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
options = {"engine": "vllm", "model": model, "server_python": python, "server_args": arguments, "output_tokens": 64}
windows, ended = {}, threading.Event()
def watch():
    while not ended.wait(0.5):
        for name in [each for each in ray.util.list_named_actors() if each.startswith("limiter:")]:
            with suppress(ValueError, ray.exceptions.RayActorError):  # they end with the run
                windows.setdefault(name, []).append(ray.get(ray.get_actor(name).snapshot.remote()).window)
watching = threading.Thread(target=watch)
watching.start()
summary = read(output, source, say=lambda text: print(text, file=sys.stderr), gpu_hour_usd=1.0, **options)
ended.set()
watching.join()
print(json.dumps([{name: requests for (_, name), requests in summary.endpoints.items()}, list(windows.values())]))
"""


def test_two_nodes_with_a_server_each(tmp_path: Path) -> None:
    """Both answer pages of one run, and both end with it. The requests at once follow what each tells of its queue."""
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", range(40), pages=10)
    variables = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [
        sys.executable, "-c", TWO_NODES, str(tmp_path / "in"), str(tmp_path / "out"), str(FOLDER / "tiny"),
        str(FOLDER / "venv/bin/python"), SMALL,
    ]  # fmt: skip
    environment = os.environ | variables | {"RAY_AUTH_MODE": "disabled"}
    root = Path(__file__).resolve().parents[2]
    job = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=3 * STARTS_S, check=False
    )
    assert job.returncode == 0, job.stderr
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 400
    answered, windows = json.loads(job.stdout.splitlines()[-1])
    assert answered.keys() == {"r0", "r1"}
    assert min(answered.values()) > 0
    assert len(windows) == 2
    for window in windows:  # 8 seats (SMALL), and 8 more while nothing waits; by trying it would double beyond that
        assert 8 < max(window) <= 16, windows
    until(lambda: not servers(), "the end of all servers")

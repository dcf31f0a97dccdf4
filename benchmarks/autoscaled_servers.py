"""Own servers on a cluster without a GPU that Ray's autoscaler may grow: a run, then a service.

python -m benchmarks.autoscaled_servers [--only run|service] [--idle-minutes 0]

The autoscaler is Ray's own; its nodes are processes of this machine with GPUs by name alone, and the servers are the
stand-in of the tests. A server answers one page and keeps the others, until the second one on another new node has
answered, too. Each line is a moment in seconds: GPUs of the cluster, and servers that live. The service's second server
ends after 15 minutes without work: --idle-minutes 16 waits for that.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")

import psutil
import ray

from one_ocr_ray.policy.servers.size import IDLE_S
from tests.cluster.head import end_at_once
from tests.cluster.service.serve_process import Served
from tests.ports import free_port
from tests.provider import identity_pdf, write_identity_pdfs
from tests.servers import stand_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS, PAGES = 6, 10
# As an external provider: for `fake_multinode`, its name, Ray's wheel lacks the file of defaults.
NODES = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
HEAD_ID = "f" * 51 + "00000"  # as Ray's provider of pretended nodes calls it
PATIENCE_S = 240.0
BEGAN_S = time.monotonic()


def main() -> int:
    """The run, then the service; 0 when both grew and ended as they should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["run", "service"])
    parser.add_argument("--idle-minutes", type=float, default=0.0)
    options = parser.parse_args()
    idle_s = 60 * options.idle_minutes
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as scratch, cluster(Path(scratch)) as address:
        folder = Path(scratch)
        (folder / "in").mkdir()
        write_identity_pdfs(folder / "in", range(DOCUMENTS), PAGES)
        ray.init(address=address, namespace="one-ocr", log_to_driver=False, logging_level="error")
        is_well = options.only == "service" or run(folder, address)
        is_well = (options.only == "run" or service(folder, address, idle_s)) and is_well
        ray.shutdown()
    return int(not is_well)


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of a head with two CPUs, whose autoscaler may start two nodes with a CPU and a GPU."""
    port = free_port()
    gpu_node = {"resources": {"CPU": 1, "GPU": 1, "object_store_memory": 80 << 20}, "node_config": {}}
    config = {
        "cluster_name": "pretended", "max_workers": 2, "idle_timeout_minutes": 0.2, "upscaling_speed": 1.0,
        "provider": {
            "type": "external", "module": NODES, "use_node_id_as_ip": True, "disable_node_updaters": True,
            "disable_launch_config_check": True, "gcs_address": f"127.0.0.1:{port}", "launch_multiple": True,
            "head_node_id": HEAD_ID,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0},
            "gpu": {**gpu_node, "min_workers": 0, "max_workers": 2},
        },
        "head_node_type": "ray.head.default", "auth": {}, "file_mounts": {}, "initialization_commands": [],
        "setup_commands": [], "head_setup_commands": [], "worker_setup_commands": [], "head_start_ray_commands": [],
        "worker_start_ray_commands": [], "cluster_synced_files": [], "file_mounts_sync_continuously": False,
        "rsync_exclude": [], "rsync_filter": [],
    }  # fmt: skip
    (folder / "autoscaler.json").write_text(json.dumps(config))
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2", f"--port={port}",
        f"--autoscaling-config={folder / 'autoscaler.json'}", f"--temp-dir={folder}", "--include-dashboard=false",
        "--node-ip-address=127.0.0.1", "--object-store-memory=100000000", "--disable-usage-stats",
        f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}",
    ]  # fmt: skip
    own = {
        "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
    }  # fmt: skip
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        wait_until(lambda: "Ray runtime started" in (folder / "head.log").read_text(), "a head")
        yield f"127.0.0.1:{port}"
    finally:
        end_at_once(head)


def run(folder: Path, address: str) -> bool:
    """A run that asks for the GPUs of its servers, uses both, and asks for none at its end."""
    lives = folder / "run"
    flags = [*of_engine(lives), "--address", address, "--max-in-flight", "16", "--shard-pages", str(PAGES), "--json"]
    command = [sys.executable, "jobs/ocr.py", str(folder / "in"), "--output", str(folder / "out"), *flags]
    with (folder / "run.log").open("wb") as log:
        job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
    tell("run begins", lives)
    try:
        wait_until(lambda: answered(lives) == 1, "a first server", lives)
        wait_until(lambda: answered(lives) == 2, "a second server", lives)
        (lives / "go").touch()
        out, _ = job.communicate(timeout=PATIENCE_S)
    finally:
        job.kill()
    tell(f"run ends with {job.returncode}, pages {json.loads(out)['pages']}", lives)
    wait_until(lambda: gpus() == 0, "the end of the nodes with GPUs", lives)
    return job.returncode == 0 and not of_servers(lives)


def service(folder: Path, address: str, idle_s: float) -> bool:
    """A service that keeps one server, has two under work, and one again after a rest."""
    lives, pairs = folder / "service", of_engine(folder / "service")
    flags = {name.removeprefix("--"): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    with Served(folder, address=address, **flags) as served:
        tell("service begins", lives)
        wait_until(lambda: len(of_servers(lives)) == 1, "the least of servers", lives)
        tasks = served.upload(*(identity_pdf(100 + number, 20) for number in range(4)))
        wait_until(lambda: answered(lives) == 2, "a second server", lives)
        (lives / "go").touch()
        ended = Counter(served.until(task)["state"] for task in tasks)
        rests_s = time.monotonic()
        tell(f"the work is done: {dict(ended)}", lives)
        while time.monotonic() - rests_s < idle_s and gpus() > 1:
            time.sleep(1.0)
        tell("after a rest", lives)
        is_well = idle_s <= IDLE_S or (gpus() == 1 and len(of_servers(lives)) == 1)
        served.process.terminate()
        served.process.wait(PATIENCE_S)
    wait_until(lambda: not of_servers(lives), "the end of the servers", lives)
    tell("service ended", lives)
    return is_well


def of_engine(lives: Path) -> list[str]:
    """The flags of one to two servers, whose lives are in that folder."""
    lives.mkdir()
    server = [sys.executable, stand_in.__file__, "--model", "{model}", "--host", "{host}", "--port", "{port}"]
    command = shlex.join([*server, "--lives", str(lives)])
    return ["--engine", "vllm", "--model", "tidy holds", "--replicas", "1-2", "--server-command", command]


def answered(lives: Path) -> int:
    """How many servers have answered a page."""
    return len(list(lives.glob("answered.*")))


def of_servers(lives: Path) -> list[psutil.Process]:
    """The servers that live, without their guards."""
    lines = [(each, each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    return [each for each, line in lines if str(lives) in line and not any("guard.py" in word for word in line)]


def gpus() -> int:
    """GPUs of the cluster now."""
    return int(sum(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]))


def wait_until(met: Callable[[], bool], what: str, lives: Path | None = None) -> None:
    """Wait for a state and print when it came."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} did not come")
        time.sleep(0.2)
    if lives is not None:
        tell(what, lives)


def tell(what: str, lives: Path) -> None:
    """One line."""
    print(f"{time.monotonic() - BEGAN_S:7.1f} s  {gpus()} GPUs, {len(of_servers(lives))} servers: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

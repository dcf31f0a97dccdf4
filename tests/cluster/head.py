"""A cluster as `ray start --head` makes it, and what the tests ask of its jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from ray.job_submission import JobStatus, JobSubmissionClient

from tests.ports import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
EXCLUDED = ["*_cache", ".git", "benchmarks", "samples"]


@dataclass(frozen=True)
class Head:
    """A head node: its dashboard, its jobs, its metrics, its temporary folder."""

    jobs: JobSubmissionClient
    metrics_port: int
    folder: Path

    def submit(self, entrypoint: str, *, env_vars: dict[str, str] | None = None, **more: Any) -> str:
        """The id of a job that runs `entrypoint` in a copy of this project's folder."""
        runtime_env: dict[str, Any] = {"working_dir": str(ROOT), "excludes": EXCLUDED, "env_vars": env_vars or {}}

        def submitted() -> str | None:
            try:
                return self.jobs.submit_job(entrypoint=entrypoint, runtime_env=runtime_env, **more)
            except (RuntimeError, OSError):  # the dashboard answers a little before it can start jobs
                return None

        return until(submitted, "a cluster that takes jobs")

    def ended(self, job: str, within_s: float = 150.0) -> JobStatus:
        """How the job ended."""
        until(lambda: self.jobs.get_job_status(job).is_terminal(), "the end of the job", within_s)
        return self.jobs.get_job_status(job)

    def scrape(self) -> str:
        """What Prometheus would get from this node now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as response:
            return response.read().decode()


@contextmanager
def running_head(**environment: str) -> Iterator[Head]:
    """A head with two CPUs and the metrics of its processes, reported every second."""
    dashboard, metrics = free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2",
        f"--port={free_port()}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={free_port()}",
        f"--metrics-export-port={metrics}", f"--dashboard-agent-listen-port={free_port()}", f"--temp-dir={folder}",
        "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", "--disable-usage-stats",
        "--include-log-monitor=false",
    ]  # fmt: skip
    variables = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_metrics_report_interval_ms": "1000",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # jobs say `python`
        **environment,
    }
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        try:
            yield Head(_connected(f"http://127.0.0.1:{dashboard}"), metrics, folder)
        finally:
            end_at_once(head)
            shutil.rmtree(folder, ignore_errors=True)


def end_at_once(head: subprocess.Popen[bytes]) -> None:
    """End a `ray start --block` and everything it has started. It would take its time for that."""
    started = psutil.Process(head.pid).children(recursive=True)
    head.kill()
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(started, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _connected(address: str) -> JobSubmissionClient:
    """A client, once the dashboard answers."""

    def connected() -> JobSubmissionClient | None:
        try:
            return JobSubmissionClient(address)
        except ConnectionError:
            return None

    return until(connected, "an answer of the dashboard")

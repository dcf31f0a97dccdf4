"""Other shapes of Ray than this session's: one CPU, many, two nodes, and a cluster that jobs are submitted to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ray.job_submission import JobInfo, JobStatus, JobSubmissionClient

from one_ocr_ray.storage.dataset.verify import verify
from tests import pdfs
from tests.cluster.outputs import pages_by_source

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

CLUSTER = """
import sys, ray
from pathlib import Path
from ray.cluster_utils import Cluster
from tests.cluster.outputs import read
source, output, cpus, nodes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cluster = Cluster()
for _ in range(nodes):
    cluster.add_node(num_cpus=cpus, include_dashboard=False, object_store_memory=200 << 20)
ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
sys.exit(read(output, source, workers=nodes).exit_code)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two documents with text and one with blank pages."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.pdf").write_bytes(pdfs.text_pdf(2, name))
    (folder / "blank.pdf").write_bytes(pdfs.content_pdf(b"", b"", b""))
    return folder


def assert_read(output: Path) -> None:
    """Every page of `source` stands in `output` as itself."""
    pages = pages_by_source(output)
    assert len(pages) == 7
    for name in ("one", "two"):
        for number in (1, 2):
            assert pdfs.identity(name, number, 2) in pages[f"{name}.pdf", number]["markdown"]
    assert list(verify(str(output))) == []


@pytest.mark.parametrize(("cpus", "nodes"), [(1, 1), (4, 1), (1, 2)])
def test_any_number_of_cpus_and_nodes_will_do(cpus: int, nodes: int, source: Path, tmp_path: Path) -> None:
    """No reader holds the CPU that a render task waits for, and work crosses nodes."""
    arguments = [str(source), str(tmp_path / "out"), str(cpus), str(nodes)]
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, *arguments], cwd=ROOT, env=environment, timeout=150, check=False
    )
    assert done.returncode == 0
    assert_read(tmp_path / "out")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def job_client() -> Iterator[JobSubmissionClient]:
    """A cluster as `ray start --head` makes it, and a client of its dashboard."""
    dashboard = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2",
        f"--port={free_port()}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={free_port()}",
        f"--dashboard-agent-listen-port={free_port()}",  # without one of its own no job is taken
        "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", "--disable-usage-stats",
    ]  # fmt: skip
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # jobs say `python`
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        try:
            yield connected(f"http://127.0.0.1:{dashboard}")
        finally:
            head.send_signal(signal.SIGTERM)
            head.wait(30)


def connected(address: str) -> JobSubmissionClient:
    """A client, once the dashboard answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return JobSubmissionClient(address)
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def submitted(client: JobSubmissionClient, entrypoint: str, **runtime_env: Any) -> tuple[JobInfo, str]:
    """A job of this checkout at its end: what the cluster knows of it, and its log."""
    environment = {
        "working_dir": str(ROOT),
        "excludes": [".git", "tests", "benchmarks", ".venv", "venv"],
        **runtime_env,
    }
    job = client.submit_job(entrypoint=entrypoint, runtime_env=environment)
    deadline = time.monotonic() + 120
    while not client.get_job_status(job).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.5)
    return client.get_job_info(job), client.get_job_logs(job)


def test_a_submitted_job_writes_what_a_local_run_writes(
    job_client: JobSubmissionClient, source: Path, tmp_path: Path
) -> None:
    """`ray job submit --working-dir . -- python jobs/ocr.py`: the same script, the cluster's Ray, a log to read."""
    info, log = submitted(job_client, f"python jobs/ocr.py {source} --output {tmp_path / 'out'}")
    assert info.status is JobStatus.SUCCEEDED, log
    assert_read(tmp_path / "out")
    assert "pages 7/7" in log
    assert "3 documents (3 complete, 0 partial, 0 failed), 7 pages (4 ok, 3 blank, 0 failed)." in log


def test_a_key_in_the_runtime_env_of_a_job_is_refused(
    job_client: JobSubmissionClient, source: Path, tmp_path: Path
) -> None:
    """Exit 2 before any work, with a sentence that names the variable and not its value."""
    entrypoint = f"python jobs/ocr.py {source} --output {tmp_path / 'out'}"
    info, log = submitted(job_client, entrypoint, env_vars={"OPENAI_API_KEY": "sk-canary-in-a-runtime-env"})
    assert (info.status, info.driver_exit_code) == (JobStatus.FAILED, 2), log
    assert "The runtime_env holds OPENAI_API_KEY" in log
    assert "canary" not in log
    assert not (tmp_path / "out").exists()

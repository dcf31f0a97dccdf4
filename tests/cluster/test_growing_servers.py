"""A cluster that gets another GPU while a run reads with model servers of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.lean_nodes import ENVIRONMENT
from tests.cluster.outputs import rows
from tests.provider import write_identity_pdfs
from tests.servers import stand_in
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS, PAGES = 6, 8
# Reads on one node with a GPU; after a line on standard input another one joins.
JOB = """
import sys, threading, ray
from ray.cluster_utils import Cluster
from tests.cluster.lean_nodes import NO_HELPERS
from tests.cluster.outputs import read
source, output, command = sys.argv[1:]
cluster = Cluster()
def node():
    cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=100 << 20, **NO_HELPERS)
node()
ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
options = {"engine": "vllm", "model": "tidy holds", "replicas": "1-2", "server_command": command}
options |= {"max_in_flight": 16, "shard_pages": 8, "address": "auto"}
codes = []
job = threading.Thread(target=lambda: codes.append(read(output, source, say=print, **options).exit_code))
job.start()
if sys.stdin.readline():
    node()
job.join()
sys.exit(codes[0])
"""


@pytest.mark.timeout(400)
def test_a_gpu_that_joins_gets_a_server(tmp_path: Path) -> None:
    """Its server answers pages of the run that goes on, and ends with it."""
    lives = tmp_path / "lives"
    lives.mkdir()
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", range(DOCUMENTS), PAGES)
    server = [sys.executable, stand_in.__file__, "--model", "{model}", "--host", "{host}", "--port", "{port}"]
    command = shlex.join([*server, "--lives", str(lives)])
    environment = os.environ | ENVIRONMENT
    start = [sys.executable, "-c", JOB, str(tmp_path / "in"), str(tmp_path / "out"), command]
    with subprocess.Popen(start, cwd=ROOT, env=environment, stdin=subprocess.PIPE, text=True) as job:
        try:

            def answering(servers: int) -> bool:
                assert job.poll() is None, "the job ended too early"
                return len(list(lives.glob("answered.*"))) == servers

            until(lambda: answering(1), "a page of the first server")
            print("change", file=job.stdin, flush=True)
            until(lambda: answering(2), "a page of the server on the GPU that joined")
            (lives / "go").touch()
            assert job.wait(120) == 0
        finally:
            job.kill()
    pages = rows(tmp_path / "out", "pages")
    assert len(pages) == DOCUMENTS * PAGES
    assert {row["status"] for row in pages} == {"ok"}
    assert len({row["markdown"] for row in pages}) == 2  # each server says who it is
    until(lambda: not of_these_servers(lives), "the end of all servers")


def of_these_servers(lives: Path) -> list[psutil.Process]:
    """The servers of this test, and their guards."""
    return [each for each in psutil.process_iter(["cmdline"]) if str(lives) in (each.info["cmdline"] or ())]

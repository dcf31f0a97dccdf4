"""Other shapes of Ray than this session's two CPUs on one node: one CPU, then a second node with one more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.lean_nodes import ENVIRONMENT
from tests.cluster.local_source import assert_read, write_source

ROOT = Path(__file__).resolve().parents[2]

GROWING = """
import sys, ray
from pathlib import Path
from ray.cluster_utils import Cluster
from tests.cluster.lean_nodes import NO_HELPERS
from tests.cluster.outputs import read
source, folder = Path(sys.argv[1]), Path(sys.argv[2])
cluster = Cluster()
for nodes in (1, 2):
    cluster.add_node(num_cpus=1, object_store_memory=200 << 20, **NO_HELPERS)
    cluster.wait_for_nodes()
    if nodes == 1:
        ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
    assert read(folder / str(nodes), source, workers=nodes).exit_code == 0
"""


def test_any_number_of_cpus_and_nodes_will_do(tmp_path: Path) -> None:
    """No reader holds the CPU that a render task waits for, and work crosses nodes."""
    source = write_source(tmp_path / "in")
    environment = os.environ | ENVIRONMENT
    command = [sys.executable, "-c", GROWING, str(source), str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=170, check=False).returncode == 0
    for nodes in (1, 2):
        assert_read(tmp_path / str(nodes))

"""A Ray of a process's own: it starts without idle helpers, gives what Ray's own start gives, and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

SESSION = """
import json, os, resource, sys, time, psutil
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import ray
from ray._private.worker import global_worker
from one_ocr_ray.cluster.session import ray_session
this = psutil.Process()
with ray_session("local"):
    limits = ray.get(ray.remote(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)).remote())
    time.sleep(2.0)  # for an agent to miss the dashboard
    agent = Path(global_worker.node.get_logs_dir_path(), "dashboard_agent.log").read_text()
    names = [" ".join(process.cmdline()) for process in this.children(recursive=True)]
_, left = psutil.wait_procs(this.children(recursive=True), timeout=30)
left = [process.name() for process in left]
print(json.dumps({"limits": limits, "names": names, "agent": agent, "left": left,
                  "imported": "opentelemetry" in sys.modules, "cpus": os.cpu_count()}))
"""


def test_a_session_has_what_a_run_needs_and_leaves_nothing_behind() -> None:
    """Workers may open as many files as with `ray.init`: thousands of requests are as many connections."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, timeout=120, check=True
    )
    said = json.loads(done.stdout)
    soft, hard = said["limits"]
    assert soft == min(hard, 65_536)
    assert any("raylet" in name for name in said["names"])
    assert not [name for name in said["names"] if "dashboard.py" in name or "monitor.py" in name]
    assert not said["imported"]  # what the agent needs
    assert 0 < sum("ray::" in name and "Agent" not in name for name in said["names"]) <= said["cpus"] + 1
    assert "INFO" in said["agent"]
    assert "dashboard http address failed" not in said["agent"]
    assert said["left"] == []


def test_a_ray_that_does_not_start_is_a_sentence(tmp_path: Path) -> None:
    """Resumable, as the machine may be the cause: no traceback, and what to look at."""
    done = subprocess.run(
        [Path(sys.executable).with_name("one-ocr"), "run", "samples", "--output", tmp_path / "out"],
        cwd=ROOT, env=ENVIRONMENT | {"RAY_TMPDIR": str(tmp_path / "nowhere" / "x")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "Ray did not start on this machine" in done.stderr

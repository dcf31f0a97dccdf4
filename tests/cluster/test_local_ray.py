"""A Ray of a process's own: it starts without idle helpers, gives what Ray's own start gives, and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

SESSION = """
import json, os, resource, sys, psutil
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import ray
from one_ocr_ray.cluster.session import ray_session
this = psutil.Process()
with ray_session("local"):
    limits = ray.get(ray.remote(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)).remote())
    names = [" ".join(process.cmdline()) for process in this.children(recursive=True)]
_, left = psutil.wait_procs(this.children(recursive=True), timeout=100)
left = [process.name() for process in left]
print(json.dumps({"limits": limits, "names": names, "left": left, "imported": "opentelemetry" in sys.modules,
                  "cpus": os.cpu_count(), "job": os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR")}))
"""
SERVICE_SESSION = """
import json, os, sys, time, psutil
from pathlib import Path
import ray
from ray._private.worker import global_worker
from one_ocr_ray.cluster.session import ray_session
from tests.waiting import until
this = psutil.Process()
with ray_session("local", for_service=True):
    task = ray.remote(lambda: os.environ["SOME_VARIABLE"]).options(runtime_env={"env_vars": {"SOME_VARIABLE": "1"}})
    given = ray.get(task.remote())
    log = Path(global_worker.node.get_logs_dir_path(), "dashboard_agent.log")
    until(lambda: log.exists() and "INFO" in log.read_text(), "an agent at work")
    time.sleep(1.0)  # for it to miss the dashboard
    agent = log.read_text()
    names = [" ".join(process.cmdline()) for process in this.children(recursive=True)]
_, left = psutil.wait_procs(this.children(recursive=True), timeout=100)
left = [process.name() for process in left]
print(json.dumps({"given": given, "names": names, "agent": agent, "left": left,
                  "imported": "opentelemetry" in sys.modules}))
"""
# Ray after a release that has changed what is not public: a name that is gone, and a parameter.
CHANGED = {
    "ImportError": "from ray._private import ray_constants; del ray_constants.KV_NAMESPACE_DASHBOARD",
    "TypeError": """
from ray._private import parameter
def parameters(*values, known=parameter.RayParams, **named):
    if "no_monitor" in named:
        raise TypeError("no_monitor")
    return known(*values, **named)
parameter.RayParams = parameters
""",
}
FALLBACK_SESSION = """
import json, logging, ray
from one_ocr_ray.cluster.session import ray_session
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("one_ocr_ray").addHandler(Lines())
with ray_session("local"):
    answer = ray.get(ray.remote(lambda: 42).remote())
print(json.dumps({"answer": answer, "lines": lines}))
"""
HELPERS = ("dashboard", "monitor.py", "runtime_env", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


def session(program: str = SESSION, cwd: Path = ROOT, uv_run: Sequence[str] = (), **variables: str) -> dict[str, Any]:
    """What `program` says of itself, with these environment variables and, if given, as the child of `uv_run`."""
    done = subprocess.run(
        [*uv_run, sys.executable, "-c", program], executable="/bin/sh" if uv_run else None,
        cwd=cwd, env=ENVIRONMENT | variables, stdout=subprocess.PIPE, timeout=120, check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextmanager
def long_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder too long for Ray's sockets. Ray gets a short path to it, which is gone afterwards."""
    long = tmp_path / ("a folder of a cluster's job " + "x" * 90)
    yield long
    assert list(long.glob("ray/session_*/logs"))
    assert not [path for path in Path("/tmp").glob("one-ocr-*/*") if path.resolve().is_relative_to(long)]


def test_a_session_has_what_a_run_needs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Workers may open as many files as with `ray.init`: thousands of requests are as many connections.

    Inside a job it asks nobody to install what the job has: the job's environment stands around the process already,
    and its settings are still there for whoever looks.
    """
    job = json.dumps({"runtime_env": {"env_vars": {"SOME_VARIABLE": "1"}}, "metadata": {}})
    with long_folder(tmp_path) as folder:
        said = session(RAY_JOB_CONFIG_JSON_ENV_VAR=job, TMPDIR=str(folder))
    assert said["job"] == job
    soft, hard = said["limits"]
    assert soft == min(hard, 65_536)
    programs = [name.partition("--")[0] for name in said["names"]]
    assert any(program.strip().endswith("raylet") for program in programs)
    assert not [program for program in programs if any(helper in program for helper in HELPERS)]
    assert not said["imported"]  # what Ray's agent of metrics needs
    assert 0 < sum("ray::" in program for program in programs) <= said["cpus"] + 1
    assert said["left"] == []


def test_a_session_of_a_service_has_both_agents_and_no_more() -> None:
    """Ray Serve gives its controller a `runtime_env`; the agent of metrics does not ask for a dashboard forever."""
    said = session(SERVICE_SESSION)
    assert said["given"] == "1"
    assert not [name for name in said["names"] if "dashboard.py" in name or "monitor.py" in name]
    assert not said["imported"]
    assert "INFO" in said["agent"]
    assert "dashboard http address failed" not in said["agent"]
    assert said["left"] == []


def test_a_session_under_uv_run_asks_nobody_to_install_what_uv_has(tmp_path: Path) -> None:
    """Ray looks for `uv run` among the parents, to pack the folder and to start workers by that command."""
    (tmp_path / "run").write_text('"$@"\nexit $?\n')  # a shell of that name, with a script of that name
    with long_folder(tmp_path) as folder:
        said = session(cwd=tmp_path, uv_run=["uv", "run"], PYTHONPATH=str(ROOT), RAY_TMPDIR=str(folder))
    assert said["left"] == []


def run_with(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A run of the samples with these environment variables."""
    return subprocess.run(
        [Path(sys.executable).with_name("one-ocr"), "run", "samples", "--output", tmp_path / "out"],
        cwd=ROOT, env=ENVIRONMENT | variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_folder_that_is_none_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    """The same command would never do better."""
    (tmp_path / "file").touch()
    done = run_with(tmp_path, RAY_TMPDIR=str(tmp_path / "file" / "x"))
    assert done.returncode == 2
    assert "RAY_TMPDIR" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_ray_that_does_not_start_is_a_sentence(tmp_path: Path) -> None:
    """Resumable, as the machine may be the cause: no traceback, and what to look at."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ray").touch()  # where Ray wants a folder
        done = run_with(tmp_path, RAY_TMPDIR=folder)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "Ray did not start on this machine" in done.stderr


@pytest.mark.parametrize("error", CHANGED)
def test_a_release_with_other_private_parts_costs_time_only(error: str) -> None:
    """Ray starts in its own way then, and one log line says so."""
    said = session(CHANGED[error] + FALLBACK_SESSION)
    assert said == {"answer": 42, "lines": [f"Ray {ray.__version__} is started without shortcuts ({error})"]}

"""No process of a model server outlives its owner, however server, guard or owner end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from one_ocr_ray.servers.process import KILLED, ServerProcess
from tests.ports import free_port
from tests.processes import is_at_work, wait_until_gone
from tests.servers import stand_in
from tests.waiting import until

SERVER = Path(stand_in.__file__)


def started(folder: Path, model: str = "plain", grace_s: float = 0.5) -> ServerProcess:
    """A server that has started its engine."""
    command = [sys.executable, str(SERVER), "--model", model, "--port", str(free_port())]
    server = ServerProcess.start(command, os.environ, folder / "server.log", grace_s=grace_s)
    until(lambda: "engine" in server.log_tail(), "its engine")
    return server


def below(server: ServerProcess) -> list[psutil.Process]:
    """The guard of a server, and all processes below it."""
    guard = psutil.Process(server._guard_pid)
    return [guard, *guard.children(recursive=True)]


@pytest.mark.parametrize("model", ["plain", "stubborn"])
def test_a_server_that_is_stopped_leaves_nothing(model: str, tmp_path: Path) -> None:
    """Also one that does not listen, and an engine in a session of its own that is deaf to SIGTERM."""
    server = started(tmp_path, model)
    processes = below(server)
    assert len(processes) == 3
    assert server.exit_code is None
    server.stop()
    assert not any(is_at_work(each) for each in processes)
    server.stop()


@pytest.mark.parametrize("victim", ["server", "guard", "engine"])
def test_what_is_killed_takes_the_rest_along(victim: str, tmp_path: Path) -> None:
    """A killed API server would leave an engine that keeps its card full; a killed guard would leave both."""
    server = started(tmp_path)
    guard, api_server, engine = below(server)
    {"guard": guard, "server": api_server, "engine": engine}[victim].kill()
    if victim == "engine":  # the API server sees to that, and may go on without it for a while
        assert server.exit_code is None
        server.stop()
    else:
        until(lambda: server.exit_code == KILLED, "its end")
    wait_until_gone([guard, api_server, *([engine] if victim != "guard" else [])])
    if victim == "guard":
        engine.kill()  # in a session of its own and nobody's child: only the guard would have found it
    server.stop()


def test_a_killed_owner_takes_its_server_along(tmp_path: Path) -> None:
    """The kernel closes the pipe, whatever ends the owner. Nobody waits then for the grace of requests under way."""
    program = f"""
import os, sys, time
from pathlib import Path
from one_ocr_ray.servers.process import ServerProcess
command = [sys.executable, {str(SERVER)!r}, "--model", "stubborn", "--port", "{free_port()}"]
server = ServerProcess.start(command, os.environ, Path({str(tmp_path / "log")!r}), grace_s=300)
while "engine" not in server.log_tail():
    time.sleep(0.02)
print(server._guard_pid, flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    guard = psutil.Process(int(owner.stdout.readline()))
    processes = [guard, *guard.children(recursive=True)]
    assert len(processes) == 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until_gone(processes)


def test_a_server_that_ends_by_itself_is_told_with_its_last_line(tmp_path: Path) -> None:
    """Its exit code, and the sentence that names the fault."""
    command = [sys.executable, str(SERVER), "--model", "crash", "--port", "1"]
    server = ServerProcess.start(command, os.environ, tmp_path / "log", grace_s=5)
    until(lambda: server.exit_code is not None, "its end")
    assert server.exit_code == 1
    assert server.last_line() == "ValueError: no such model"
    server.stop()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """In one sentence, at once."""
    with pytest.raises(OSError, match=re.escape("no-such-vllm: No such file or directory")):
        ServerProcess.start(["no-such-vllm"], os.environ, tmp_path / "log", grace_s=5)


SERVES_ON = """
import pathlib, signal, subprocess, sys, time
engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def finish(*_):
    time.sleep(0.5)  # a request is under way
    pathlib.Path(sys.argv[1]).write_text("answered" if engine.poll() is None else "the engine was gone")
    engine.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_server_that_is_stopped_keeps_its_engine_for_what_is_under_way(tmp_path: Path) -> None:
    """A SIGTERM for all would end the engine first, and its requests with it."""
    answer, log = tmp_path / "answer", tmp_path / "log"
    server = ServerProcess.start([sys.executable, "-c", SERVES_ON, str(answer)], dict(os.environ), log, grace_s=60.0)
    until(lambda: "ready" in server.log_tail(), "a server")
    server.stop()
    assert answer.read_text() == "answered"

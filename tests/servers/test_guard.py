"""No process of a model server outlives its owner, however server, guard or owner end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from one_ocr_ray.servers.process import KILLED, ServerProcess
from tests.servers import stand_in

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = Path(stand_in.__file__)


def started(folder: Path, model: str = "plain", grace_s: float = 0.5) -> ServerProcess:
    """A server that has started its engine."""
    command = [sys.executable, str(SERVER), "--model", model, "--port", str(free_port())]
    server = ServerProcess.start(command, os.environ, folder / "server.log", grace_s=grace_s)
    wait_for(lambda: "engine" in server.log_tail())
    return server


def below(server: ServerProcess) -> list[psutil.Process]:
    """The guard of a server, and all processes below it."""
    guard = psutil.Process(server._guard_pid)
    return [guard, *guard.children(recursive=True)]


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(processes: list[psutil.Process]) -> bool:
    """True if none of them runs any more. One that nobody has waited for yet does not."""
    try:
        return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)
    except psutil.NoSuchProcess:  # ended between the two questions
        return gone(processes)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("model", ["plain", "stubborn"])
def test_a_server_that_is_stopped_leaves_nothing(model: str, tmp_path: Path) -> None:
    """Also one that does not listen, and an engine in a session of its own that is deaf to SIGTERM."""
    server = started(tmp_path, model)
    processes = below(server)
    assert len(processes) == 3
    assert server.exit_code is None
    server.stop()
    assert gone(processes)
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
        wait_for(lambda: server.exit_code == KILLED)
    wait_for(lambda: gone([guard, api_server, *([engine] if victim != "guard" else [])]))
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
    wait_for(lambda: gone(processes))


def test_a_server_that_ends_by_itself_is_told_with_its_last_line(tmp_path: Path) -> None:
    """Its exit code, and the sentence that names the fault."""
    command = [sys.executable, str(SERVER), "--model", "crash", "--port", "1"]
    server = ServerProcess.start(command, os.environ, tmp_path / "log", grace_s=5)
    wait_for(lambda: server.exit_code is not None)
    assert server.exit_code == 1
    assert server.last_line() == "ValueError: no such model"
    server.stop()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """In one sentence, at once."""
    with pytest.raises(OSError, match=re.escape("no-such-vllm: No such file or directory")):
        ServerProcess.start(["no-such-vllm"], os.environ, tmp_path / "log", grace_s=5)

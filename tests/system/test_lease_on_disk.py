"""The lease between real processes, in real time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import OutputInUseError
from one_ocr_ray.policy.lease import decode_lease
from one_ocr_ray.storage.lease import FOLDER, held_lease
from one_ocr_ray.storage.store.objects import Objects
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDER = """
import sys, time
from one_ocr_ray.storage.lease import held_lease
from one_ocr_ray.storage.store.objects import Objects
with held_lease(Objects(sys.argv[1]), "other", print, lambda: print("lost", flush=True)):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease of `tmp_path`."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def hold(output: Objects, said: list[str]) -> None:
    """Take and release the lease."""
    with held_lease(output, "mine", said.append, lambda: None):
        pass


def test_a_living_holder_refuses_the_second(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """The sentence names the process."""
    with pytest.raises(OutputInUseError, match=str(holder.pid)):
        hold(Objects(str(tmp_path)), [])


def test_a_killed_holder_is_succeeded_at_once(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """No file of a crashed run has to be removed by hand."""
    holder.kill()
    holder.wait()
    said: list[str] = []
    hold(Objects(str(tmp_path)), said)
    assert said == []
    assert list(Objects(str(tmp_path)).list(FOLDER)) == []


def test_a_silent_holder_is_overtaken_and_told(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """Stopped, it misses its heartbeats; continued, it learns that the output is another's."""
    assert holder.stdout
    os.kill(holder.pid, signal.SIGSTOP)
    said: list[str] = []
    with held_lease(Objects(str(tmp_path)), "mine", said.append, lambda: None):
        os.kill(holder.pid, signal.SIGCONT)
        assert holder.stdout.readline() == "lost\n"
    assert len(said) == 1
    assert "silent" in said[0]


def test_a_living_holder_in_another_container_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Its host has the same name, and its process is not to be seen from here: only its heartbeat tells."""
    container = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child"]
    absent = next(pid for pid in range(30_000, 1000, -1) if not Path(f"/proc/{pid}").exists())
    born = f'echo {absent - 1} > /proc/sys/kernel/ns_last_pid; "$0" "$@"; exit'
    command = [*container, "sh", "-c", born, sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        (path,) = [info.path for info in Objects(str(tmp_path)).list(FOLDER)]
        lease = decode_lease(Objects(str(tmp_path)).get(path) or b"")
        assert lease is not None
        assert (lease.host, lease.pid) == (socket.gethostname(), absent)
        with pytest.raises(OutputInUseError):
            hold(Objects(str(tmp_path)), [])
        process.kill()


def test_of_two_that_take_over_one_wins(tmp_path: Path) -> None:
    """Both find a dead holder; the second meets the first's heartbeat."""
    output = Objects(str(tmp_path))
    with held_lease(output, "dead", lambda _: None, lambda: None):
        lease = decode_lease(output.get(f"{FOLDER}/000001.json") or b"")
    assert lease is not None
    output.put(f"{FOLDER}/000001.json", replace(lease, pid=2**22 + 1).encode())
    won, lost, ended = [], [], threading.Event()

    def take(name: str) -> None:
        try:
            with held_lease(Objects(str(tmp_path)), name, lambda _: None, lambda: None):
                won.append(name)
                ended.wait(PATIENCE_S)
        except OutputInUseError:
            lost.append(name)
            ended.set()

    threads = [threading.Thread(target=take, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(lost) == 1

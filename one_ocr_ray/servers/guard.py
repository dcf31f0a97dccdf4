"""The guard of a model server: none of the server's processes outlives its owner.

    python guard.py GRACE_S COMMAND ARGUMENT..

The owner holds the write end of the guard's standard input. When it writes a line there, and at SIGTERM, the guard
sends SIGTERM to the server, which still needs its engine for what is under way, and then to what that leaves behind. It
waits GRACE_S, kills what is left and ends. At the end of file the owner is gone, for whatever reason, and nobody waits
for an answer: ORPHAN_GRACE_S at most. It ends what is left, too, when the server ends by itself. On its standard output
it reports one JSON object a line: {"guard": pid, "server": pid}, then {"ended": exit code of the server}.

It is no child of the owner, so that Ray's sweep of a dead worker's children and process group does not reach it; it
is the reaper of its descendants, so that an engine whose API server was killed is still below it (Linux only).

A program of its own: it imports nothing of this package, and no other module imports it.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_SET_CHILD_SUBREAPER = 36  # of prctl, <linux/prctl.h>
LOOK_AGAIN_S = 0.1
ORPHAN_GRACE_S = 5.0
KILL_AGAIN_S = 10.0  # until killed processes must be gone; those that hang in the kernel are left


def main(grace_s: float, command: list[str]) -> int:
    """Run `command` until it ends or the owner does. Gives the exit code of the guard."""
    if os.fork():  # the parent was the owner's child; it ends, so that the guard is nobody's
        return 0
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    terminations: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: terminations.append(number))
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)  # noqa: S603 - the owner's
    except OSError as error:
        _report({"guard": os.getpid(), "failed": error.strerror})
        return 0
    _report({"guard": os.getpid(), "server": server.pid})
    code: int | None = None
    while code is None and not terminations and not _owner_has_said():
        code = _reaped(server.pid)
    _end_all(server.pid, 0.0 if code is not None else grace_s)
    _report({"ended": code if code is not None else -signal.SIGTERM})
    return 0


def _owner_has_said() -> bool:
    """Wait a moment. True when the owner wants the end, or is gone."""
    readable, _, _ = select.select([0], [], [], LOOK_AGAIN_S)
    return bool(readable)


def _reaped(server: int) -> int | None:
    """Reap every child that has ended. The exit code of the server; None while it runs."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == server:
            code = os.waitstatus_to_exitcode(status)


def _end_all(server: int, grace_s: float) -> None:
    """Ask the server to end, then what it leaves, and kill the rest. Processes that come meanwhile are ended too."""
    asked: set[int] = set()
    asked_s = time.monotonic()
    deadline_s = asked_s + grace_s
    while (below := _descendants()) and time.monotonic() < deadline_s:
        ending = {server} if server in below else below
        _send(signal.SIGTERM, ending - asked)
        asked |= ending
        if _owner_has_said() and not os.read(0, 1024):  # the end of the file: the owner is gone
            deadline_s = min(deadline_s, asked_s + ORPHAN_GRACE_S)
            time.sleep(LOOK_AGAIN_S)
        _reaped(0)
    deadline_s = time.monotonic() + KILL_AGAIN_S
    while (below := _descendants()) and time.monotonic() < deadline_s:
        _send(signal.SIGKILL, below)
        time.sleep(LOOK_AGAIN_S / 2)
        _reaped(0)


def _send(number: int, pids: set[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _descendants() -> set[int]:
    """Every process below this one, whatever session or group it is in.

    Looks again before it says that there is none: a parent may end between the reading of two processes.
    """
    return _seen_below() or _seen_below()


def _seen_below() -> set[int]:
    parents, ended = {}, set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            parents[int(entry.name)] = int(parent)
            if state == "Z":  # its children are still its own while other threads of it run
                ended.add(int(entry.name))
    found: set[int] = set()
    level = {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level} - found
        found |= level
    return found - ended


def _report(message: dict[str, object]) -> None:
    """One line for the owner; it may be gone."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))

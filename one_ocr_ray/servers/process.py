"""A model server under its guard, as its owner sees it. Linux only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

GUARD = Path(__file__).with_name("guard.py")
TAIL_BYTES = 16 << 10  # of the log, for the sentence that says why a server did not start
GUARD_STARTS_S = 30.0
GUARD_ENDS_S = 15.0  # beyond the server's grace
KILLED = -int(signal.SIGKILL)


class ServerProcess:
    """One server and its guard. The guard ends the server when this process ends or `stop` is called."""

    def __init__(self, owner_fd: int, reports_fd: int, guard_pid: int, log: Path, grace_s: float) -> None:
        """`owner_fd`: the guard's standard input. `reports_fd`: what the guard says, line by line."""
        self._owner_fd = owner_fd
        self._reports_fd = reports_fd
        self._guard_pid = guard_pid
        self._grace_s = grace_s
        self._reports = b""
        self.log = log

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], log: Path, *, grace_s: float) -> Self:
        """Start `command` with all it prints in `log`. Raises OSError when it cannot be started."""
        guard_in, owner_fd = os.pipe()  # no other child inherits them
        reports_fd, guard_out = os.pipe()
        try:
            with log.open("ab") as output:
                child = subprocess.Popen(  # noqa: S603 - the operator's own command
                    [sys.executable, "-I", str(GUARD), str(grace_s), *command],
                    stdin=guard_in,
                    stdout=guard_out,
                    stderr=output,
                    env=dict(environment),
                )
        finally:
            os.close(guard_in)
            os.close(guard_out)
        with os.fdopen(os.dup(reports_fd), "rb") as lines:
            line = lines.readline()
        child.wait(GUARD_STARTS_S)  # the guard has left it behind
        first: dict[str, Any] = json.loads(line) if line else {"failed": "its guard did not start"}
        if "failed" in first:
            os.close(owner_fd)
            os.close(reports_fd)
            raise OSError(f"{command[0]}: {first['failed']}")
        os.set_blocking(reports_fd, False)
        return cls(owner_fd, reports_fd, first["guard"], log, grace_s)

    @property
    def exit_code(self) -> int | None:
        """The server's exit code; None while it runs. Where the guard was killed, the server is killed, too."""
        with suppress(BlockingIOError):
            self._reports += os.read(self._reports_fd, 4096)
        if b'"ended"' in self._reports:
            return int(json.loads(self._reports.splitlines()[-1])["ended"])
        if _runs(self._guard_pid):
            return None
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        for pid in pids:
            if _stat(pid)[3:4] == [str(self._guard_pid)]:  # it is of the server's session
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return KILLED

    def stop(self) -> None:
        """End the server and all that it has started, and wait for it. May be called again, also by another thread."""
        with suppress(OSError):  # the guard has ended
            os.write(self._owner_fd, b"\n")
        deadline_s = time.monotonic() + self._grace_s + GUARD_ENDS_S
        while _runs(self._guard_pid) and time.monotonic() < deadline_s:
            time.sleep(0.02)

    def __del__(self) -> None:
        """Close the pipes: a guard that is still there takes it for the owner's end."""
        os.close(self._owner_fd)
        os.close(self._reports_fd)

    def log_tail(self) -> str:
        """The end of the log; empty once it is removed."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES))
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def last_line(self) -> str:
        """The last line of the log that says something, cut to 300 characters."""
        lines = reversed(self.log_tail().splitlines())
        return next((line.strip()[:300] for line in lines if line.strip()), "")


def _stat(pid: int | str) -> list[str]:
    """The fields of a process from its state on; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _runs(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])

"""The product as its users start it, in a process of its own, for tests that kill it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from tests.processes import is_at_work, wait_until_gone
from tests.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
_PROGRESS = re.compile(r"pages (\d+)/")


class Driver:
    """`python jobs/ocr.py ARGUMENTS`, running; ended, at the latest, with its block."""

    def __init__(self, *arguments: Path | str, environment: dict[str, str] | None = None) -> None:
        self.lingering: list[psutil.Process] = []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        own = {"RAY_USAGE_STATS_ENABLED": "0", **(environment or {})}
        self.process = subprocess.Popen(
            [sys.executable, "jobs/ocr.py", *(str(each) for each in arguments), "--json"],
            cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._errors.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        """What it has written to stderr so far."""
        file = self._errors.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode()  # to seek would move the place where it writes, too

    def pages_told(self) -> int:
        """The largest number of pages that its progress has called done."""
        return max((int(number) for number in _PROGRESS.findall(self.said())), default=0)

    def wait_until(self, met: Callable[[], bool], timeout_s: float = 120.0, every_s: float = 0.02) -> bool:
        """Wait until `met()`; False when the driver ended first. Raises TimeoutError."""
        looked_s = time.monotonic()
        deadline = looked_s + timeout_s
        while not met():
            if not self.running:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(self.said())
            pause(every_s, looked_s)
            looked_s = time.monotonic()
        return True

    def wait(self, timeout_s: float = 120.0) -> tuple[int, dict[str, Any]]:
        """Exit code, and the `--json` summary (empty without one)."""
        out, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, json.loads(out) if out.strip() else {}

    def kill(self, *others: psutil.Process) -> tuple[float, float]:
        """SIGKILL. Gives when, and when the last of its children that could ask was gone, by the ledger's clock.

        `others`: processes that must end with it though they are not its children. Ray's own agents take a minute to
        see that their cluster is gone; they stand in `lingering`.
        """
        family = [*psutil.Process(self.pid).children(recursive=True), *others]
        killed_s = time.monotonic()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        wait_until_gone(family, but=is_agent)
        self.lingering = [process for process in family if is_at_work(process)]
        return killed_s, time.monotonic()


def is_agent(process: psutil.Process) -> bool:
    """True if it is one of a Ray node's agents, which never see a page."""
    try:
        return any(name in " ".join(process.cmdline()) for name in ("Agent", "dashboard/agent", "runtime_env/agent"))
    except psutil.NoSuchProcess:
        return False

"""Processes of this machine: finding those below another, and waiting for their end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def processes_named(name: str, below: int | None = None) -> list[psutil.Process]:
    """The living processes below this one, or another, with `name` in their command line."""
    found = []
    for process in psutil.Process(below).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if name in " ".join(process.cmdline()):
                found.append(process)
    return found


def is_at_work(process: psutil.Process) -> bool:
    """True if it runs; one whose parent has not collected it is gone."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(
    processes: Sequence[psutil.Process],
    timeout_s: float = PATIENCE_S,
    but: Callable[[psutil.Process], bool] = lambda _: False,
) -> None:
    """Wait until none of `processes` runs, `but` those."""
    until(
        lambda: not any(is_at_work(process) and not but(process) for process in processes),
        f"the end of {[process.pid for process in processes]}",
        timeout_s,
    )

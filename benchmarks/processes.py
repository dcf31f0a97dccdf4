"""Watching a process tree from outside: CPU seconds and peak memory, by what each process is. For benchmarks only."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class TreeUsage:
    """What a tree of processes has used. Memory is proportional set size (PSS), so shared pages count once."""

    peak_bytes: int = 0
    peak_by_kind: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cpu_s: dict[int, float] = field(default_factory=dict)

    @property
    def total_cpu_s(self) -> float:
        return sum(self.cpu_s.values())


# To ask the kernel for a process's PSS takes milliseconds: oftener, the looking would be a part of what is seen.
MEMORY_EVERY_S = 1.0


class TreeWatch:
    """Samples the tree below `pid` until it is left: `with TreeWatch(pid) as usage: ...`."""

    def __init__(self, pid: int, every_s: float = 0.5, memory_every_s: float = MEMORY_EVERY_S) -> None:
        self._pid = pid
        self._every_s = every_s
        self._memory_every_s = memory_every_s
        self._memory_at = time.monotonic() + memory_every_s
        self._usage = TreeUsage()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> TreeUsage:
        self._thread.start()
        return self._usage

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._sample()
            self._ended.wait(self._every_s)

    def _sample(self) -> None:
        try:
            root = psutil.Process(self._pid)
            processes = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                self._usage.cpu_s[process.pid] = times.user + times.system
        if time.monotonic() >= self._memory_at:
            self._memory_at = time.monotonic() + self._memory_every_s
            self._sample_memory(processes)

    def _sample_memory(self, processes: list[psutil.Process]) -> None:
        total = 0
        by_kind: dict[str, int] = defaultdict(int)
        for process in processes:
            try:
                memory, kind = process.memory_full_info().pss, kind_of(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            total += memory
            by_kind[kind] += memory
        self._usage.peak_bytes = max(self._usage.peak_bytes, total)
        for kind, size in by_kind.items():
            self._usage.peak_by_kind[kind] = max(self._usage.peak_by_kind[kind], size)


def run_product(command: Sequence[str], code: int = 0) -> TreeUsage:
    """Run a command against a provider of the benchmarks to its end; raises SystemExit for another exit code."""
    with (
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OPENAI_API_KEY": "none", "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        TreeWatch(process.pid, every_s=0.2) as usage,
    ):
        _, errors = process.communicate()
    if process.returncode != code:
        raise SystemExit(errors)
    return usage


def kind_of(process: psutil.Process) -> str:
    """What a process of a run is, by its command line."""
    line = " ".join(process.cmdline())
    for mark, kind in (
        ("pdf.child", "pdf child"),
        ("OcrEngineActor", "engine"),
        ("OcrWorker", "worker"),
        ("ray::", "render worker"),
        ("jobs/ocr.py", "driver"),
        ("one-ocr", "driver"),
        ("raylet", "ray"),
        ("gcs_server", "ray"),
        ("/ray/", "ray"),
    ):
        if mark in line:
            return kind
    return "other"

"""Pages a second by requests under way: growing with `--max-in-flight` until the CPU is the limit.

    python -m benchmarks.in_flight [--in-flight 16 32 64 128 256 512] [--latency 1.0] [--pages 2000]

One run of the product for each, started as users start it, against a provider of fixed latency on the same machine.
A run reads as many pages as 25 full rounds of requests take, at most `--pages`. Active time is from the first request
to the last answer as the provider saw it; "of latency" is the rate against what the latency allows, requests under way
divided by it; "CPUs busy" is the whole machine in the active time, the provider and everybody else included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.llm import FEW, OURS, measure, write_documents

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 25
ROW = "{:>9} {:>7} {:>9} {:>9} {:>11} {:>12} {:>10}"


class BusyWatch:
    """What the machine's CPUs have done, sampled all the while."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []  # monotonic seconds, CPU seconds

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Sample for the time of the block."""
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(0.1):
                times = psutil.cpu_times()
                self._samples.append((time.monotonic(), sum(times) - times.idle - times.iowait - times.guest))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def cpus_busy(self, seconds: float) -> float:
        """On average, in the busiest window of so many seconds: that of the requests, for a run starts on one CPU."""
        best = 0.0
        for at, used in self._samples:
            end = next(((late, more) for late, more in self._samples if late >= at + seconds), None)
            if end is not None:
                best = max(best, (end[1] - used) / (end[0] - at))
        return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--pages", type=int, default=2000, help="at most, of one run")
    options = parser.parse_args()
    print(f"{options.latency:g} s latency, {os.cpu_count()} CPUs")
    print(ROW.format("in flight", "pages", "active s", "pages/s", "of latency", "CPU ms/page", "CPUs busy"), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        few = measure(OURS, write_documents(Path(scratch) / "few", FEW), FEW, options.latency)
        for in_flight in options.in_flight:
            pages = min(options.pages, ROUNDS * in_flight)
            folder = write_documents(Path(scratch) / str(in_flight), pages)
            watch = BusyWatch()
            with watch.watching():
                run = measure(OURS, folder, in_flight, options.latency)
            rate = pages / run.active_s
            values = (
                in_flight, pages, f"{run.active_s:.1f}", f"{rate:.1f}", f"{rate * options.latency / in_flight:.0%}",
                f"{1000 * (run.cpu_s - few.cpu_s) / (pages - FEW):.1f}",  # the slope, so that starts cancel out
                f"{watch.cpus_busy(run.active_s):.2f}",
            )  # fmt: skip
            print(ROW.format(*values), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

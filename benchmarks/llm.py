"""The product with an LLM engine against a bare script, on the same pages and the same provider of fixed latency.

    python -m benchmarks.llm [--pages 1000] [--in-flight 64 256] [--latency 1.0] [--rounds 3]

Active time is from the first request to the last answer, as the provider saw it. CPU is that of the whole process tree,
Ray's own processes included, the provider's not; per page it is the slope between 20 pages and all, so that starts
cancel out. Ratios are of one round; the last line of each setting is their median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import TreeWatch
from tests import pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES_PER_DOCUMENT = 50
FEW = 20
LINES = 45


@dataclass(frozen=True)
class Measured:
    """One run of either side."""

    wall_s: float
    active_s: float
    first_request_s: float  # after the command's start
    cpu_s: float
    peak_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        many = write_documents(Path(scratch) / "many", options.pages)
        few = write_documents(Path(scratch) / "few", FEW)
        for in_flight in options.in_flight:
            print(f"{options.pages} pages, {options.latency:g} s latency, {in_flight} in flight, {os.cpu_count()} CPUs")
            head = ("active s", "ratio", "wall s", "1st request s", "CPU ms/page", "ratio", "start CPU s", "peak MB")
            print(f"{'':>6}" + "".join(f"{name:>15}" for name in head))
            ratios = []
            for _ in range(options.rounds):
                rows = {
                    side: [measure(side, folder, in_flight, options.latency) for folder in (few, many)]
                    for side in ("bare", "ours")
                }
                ratios.append(print_round(rows, options.pages))
            actives, cpus = zip(*ratios, strict=True)
            print(f"median ratios: active {statistics.median(actives):.3f}, CPU {statistics.median(cpus):.3f}\n")
    return 0


def print_round(rows: dict[str, list[Measured]], pages: int) -> tuple[float, float]:
    """A line a side; gives the ratios of active time and of CPU per page."""
    slopes = {side: (many.cpu_s - few.cpu_s) / (pages - FEW) for side, (few, many) in rows.items()}
    base, base_slope = rows["bare"][1], slopes["bare"]
    for side, (few, many) in rows.items():
        values = (
            f"{many.active_s:.2f}", f"{many.active_s / base.active_s:.3f}", f"{many.wall_s:.1f}",
            f"{many.first_request_s:.2f}", f"{1000 * slopes[side]:.1f}", f"{slopes[side] / base_slope:.2f}",
            f"{few.cpu_s - FEW * slopes[side]:.1f}", f"{many.peak_bytes / 1e6:.0f}",
        )  # fmt: skip
        print(f"{side:>6}" + "".join(f"{value:>15}" for value in values), flush=True)
    return rows["ours"][1].active_s / base.active_s, slopes["ours"] / base_slope


def write_documents(folder: Path, pages: int) -> Path:
    """Born-digital documents of a page of text each, distinct by name and number."""
    folder.mkdir()
    for at in range(0, pages, PAGES_PER_DOCUMENT):
        count = min(PAGES_PER_DOCUMENT, pages - at)
        contents = [
            b"".join(
                pdfs.text(f"Document {at} page {number}, line {line}: words as on a page.", 11, 60, 760 - 16 * line)
                for line in range(LINES)
            )
            for number in range(1, count + 1)
        ]
        (folder / f"document-{at:06d}.pdf").write_bytes(pdfs.content_pdf(*contents))
    return folder


@contextmanager
def provider(latency_s: float) -> Iterator[str]:
    """The URL of a provider of its own."""
    command = [sys.executable, "-m", "benchmarks.fixed_latency", "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def measure(side: str, folder: Path, in_flight: int, latency_s: float) -> Measured:
    """Run one side once in processes of its own."""
    with provider(latency_s) as url, tempfile.TemporaryDirectory() as output:
        started = time.monotonic()
        with (
            subprocess.Popen(
                command(side, folder, url, in_flight, output),
                cwd=ROOT, env={**os.environ, "OPENAI_API_KEY": "none", "RAY_USAGE_STATS_ENABLED": "0"},
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            ) as process,
            TreeWatch(process.pid, every_s=0.2) as usage,
        ):  # fmt: skip
            _, errors = process.communicate()
        wall_s = time.monotonic() - started
        if process.returncode:
            raise SystemExit(errors)
        with urllib.request.urlopen(f"{url}/stats") as reply:
            stats = json.load(reply)
    first_s, last_s = stats["first_s"], stats["last_s"]
    return Measured(wall_s, last_s - first_s, first_s - started, usage.total_cpu_s, usage.peak_bytes)


def command(side: str, folder: Path, url: str, in_flight: int, output: str) -> list[str]:
    """How one side is started; the product as its users start it."""
    if side == "bare":
        end = ["--base-url", url, "--in-flight", str(in_flight), "--output", output]
        return [sys.executable, "-m", "benchmarks.bare", str(folder), *end]
    return [
        sys.executable, "jobs/ocr.py", str(folder), "--output", output, "--engine", "openai", "--model", "bench",
        "--base-url", f"{url}/v1", "--rpm", "1000000", "--max-in-flight", str(in_flight),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

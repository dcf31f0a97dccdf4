"""The product with an LLM engine against a bare script and a Ray Data pipeline: same pages, same provider, same run.

    python -m benchmarks.llm [--pages 1000] [--in-flight 64 256] [--latency 1.0] [--rounds 3]
    python -m benchmarks.llm --one-document 1000 [--in-flight 64]

Active time is from the first request to the last answer, as the provider of fixed latency saw it. CPU is that of the
whole process tree, Ray's own processes included, the provider's not; per page it is the slope between 20 pages and all,
so that starts cancel out; what is left of the small run is the start. Ratios are of one round, then their medians.
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

from benchmarks.processes import ROOT, TreeWatch, run_product
from tests import pdfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGES_PER_DOCUMENT = 50
FEW = 20
LINES = 45
BARE, RAY_DATA, OURS = SIDES = ("bare", "Ray Data", "ours")
COLUMNS = ("active s", "wall s", "1st request s", "CPU ms/page", "start CPU s", "peak MB")


@dataclass(frozen=True)
class Measured:
    """One run of either side."""

    wall_s: float
    active_s: float
    first_request_s: float  # after the command's start
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Side:
    """A small and a large run of one side."""

    few: Measured
    many: Measured
    pages: int

    @property
    def cpu_s_a_page(self) -> float:
        return (self.many.cpu_s - self.few.cpu_s) / (self.pages - FEW)

    @property
    def start_cpu_s(self) -> float:
        return self.few.cpu_s - FEW * self.cpu_s_a_page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--one-document", type=int, metavar="PAGES", help="one PDF of so many pages instead of many")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    options = parser.parse_args()
    pages = options.one_document or options.pages
    with tempfile.TemporaryDirectory() as scratch:
        many = write_documents(Path(scratch) / "many", pages, options.one_document or PAGES_PER_DOCUMENT)
        few = write_documents(Path(scratch) / "few", FEW)
        for in_flight in options.in_flight:
            print(f"{pages} pages, {options.latency:g} s latency, {in_flight} in flight, {os.cpu_count()} CPUs")
            print(f"{'':>9}" + "".join(f"{name:>15}" for name in COLUMNS))
            rounds = []
            for _ in range(options.rounds):
                rows = {
                    side: Side(*(measure(side, folder, in_flight, options.latency) for folder in (few, many)), pages)
                    for side in options.sides
                }
                print_round(rows)
                rounds.append(rows)
            print(f"Ray alone, started and stopped: {ray_alone_cpu_s():.1f} CPU s")
            for other in options.sides:
                if other != OURS and OURS in options.sides:
                    print_medians(rounds, other)
            print(flush=True)
    return 0


def print_round(rows: dict[str, Side]) -> None:
    """A line a side."""
    for name, side in rows.items():
        values = (
            f"{side.many.active_s:.2f}", f"{side.many.wall_s:.1f}", f"{side.many.first_request_s:.2f}",
            f"{1000 * side.cpu_s_a_page:.1f}", f"{side.start_cpu_s:.1f}", f"{side.many.peak_bytes / 1e6:.0f}",
        )  # fmt: skip
        print(f"{name:>9}" + "".join(f"{value:>15}" for value in values), flush=True)


def print_medians(rounds: list[dict[str, Side]], other: str) -> None:
    """The product's figures over those of `other`, round by round."""
    ratios: dict[str, Callable[[Side], float]] = {
        "active": lambda side: side.many.active_s,
        "wall": lambda side: side.many.wall_s,
        "CPU a page": lambda side: side.cpu_s_a_page,
        "peak memory": lambda side: side.many.peak_bytes,
    }
    medians = (
        f"{name} {statistics.median(of(rows[OURS]) / of(rows[other]) for rows in rounds):.3f}"
        for name, of in ratios.items()
    )
    print(f"ours / {other}, medians: {', '.join(medians)}")


def write_documents(folder: Path, pages: int, pages_a_document: int = PAGES_PER_DOCUMENT) -> Path:
    """Born-digital documents whose pages are text, distinct by name and number."""
    folder.mkdir()
    for at in range(0, pages, pages_a_document):
        count = min(pages_a_document, pages - at)
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
        usage = run_product(command(side, folder, url, in_flight, output))
        wall_s = time.monotonic() - started
        with urllib.request.urlopen(f"{url}/stats") as reply:
            stats = json.load(reply)
    first_s, last_s = stats["first_s"], stats["last_s"]
    return Measured(wall_s, last_s - first_s, first_s - started, usage.total_cpu_s, usage.peak_bytes)


def ray_alone_cpu_s() -> float:
    """CPU seconds of a Ray that starts, runs the least that a run needs (two actors, a task), and stops."""
    with (
        subprocess.Popen([sys.executable, "-m", "benchmarks.ray_alone"], cwd=ROOT) as process,
        TreeWatch(process.pid, every_s=0.2) as usage,
    ):
        process.wait()
    return usage.total_cpu_s


def command(side: str, folder: Path, url: str, in_flight: int, output: str) -> list[str]:
    """How one side is started; the product as its users start it."""
    if side != OURS:
        module = "benchmarks.bare" if side == BARE else "benchmarks.ray_data"
        end = ["--base-url", url, "--in-flight", str(in_flight), "--output", output]
        return [sys.executable, "-m", module, str(folder), *end]
    return [
        sys.executable, "jobs/ocr.py", str(folder), "--output", output, "--engine", "openai", "--model", "bench",
        "--base-url", f"{url}/v1", "--rpm", "1000000", "--max-in-flight", str(in_flight), "--max-pages", "10000",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

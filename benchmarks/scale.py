"""Shows if memory grows with the number of pages, and how soon the first page is read, for many documents and for one.

    python -m benchmarks.scale [--documents 100000] [--long-document 10000] [--in-flight 64]

The provider answers at once. Memory is that of the processes of each kind when a tenth, a half and all pages are read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.processes import kind_of
from tests.provider import Identify, ProviderProcess, identity_pdf

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("driver", "worker", "render worker", "pdf child", "ray")
FIRST_PAGE_S = 15.0
EVERY_S = 3.0


@dataclass
class Watched:
    """One run from outside: when the first call came, and memory by kind (MB) beside the pages read by then."""

    first_call_s: float | None = None
    wall_s: float = 0.0
    samples: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def near(self, pages: float) -> tuple[int, dict[str, float]]:
        return min(self.samples, key=lambda sample: abs(sample[0] - pages))


def main() -> int:
    """Both shapes; 1 when the first page came late or a run failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--long-document", type=int, default=10_000, help="its pages")
    parser.add_argument("--in-flight", type=int, default=64)
    options = parser.parse_args()
    late = 0
    with tempfile.TemporaryDirectory() as work:
        for name, pages, make in (
            ("many", options.documents, write_many),
            ("long", options.long_document, write_long),
        ):
            if pages:
                source = Path(work) / name
                source.mkdir()
                make(source, pages)
                watched = watch(source, Path(work) / f"{name}-out", options.in_flight, pages)
                show(name, pages, watched)
                late += watched.first_call_s is None or watched.first_call_s > FIRST_PAGE_S
    return 1 if late else 0


def write_many(folder: Path, count: int) -> None:
    """One-page documents of distinct bytes, a thousand to a folder."""
    for number in range(count):
        parent = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            parent.mkdir()
        (parent / f"{number:07d}.pdf").write_bytes(_one_page(number))


def write_long(folder: Path, pages: int) -> None:
    """One document."""
    (folder / "long.pdf").write_bytes(identity_pdf(1, pages, lines=1))


def _one_page(number: int) -> bytes:
    return identity_pdf(number % 2**24, 1, lines=1, size_pt=(200 + zlib.crc32(b"%d" % number) % 3, 280))


def watch(source: Path, output: Path, in_flight: int, pages: int) -> Watched:
    """Run the product on `source`."""
    watched = Watched()
    with ProviderProcess(keys=(), identify=Identify.OFF, text_chars=1500) as provider:
        command = [
            sys.executable, "jobs/ocr.py", str(source), "--output", str(output), "--engine", "openai", "--model", "m",
            "--base-url", provider.openai_url, "--rpm", "6000000", "--max-in-flight", str(in_flight),
            "--longest-side", "320", "--max-pages", "100000", "--json",
        ]  # fmt: skip
        started = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            for answered in _while_running(process, provider):
                if answered and watched.first_call_s is None:
                    watched.first_call_s = time.monotonic() - started
                watched.samples.append((answered, memory_mb(process.pid)))
            out = process.stdout.read() if process.stdout else ""
        watched.wall_s = time.monotonic() - started
    told = json.loads(out)
    if told["exit_code"] or told["pages"]["ok"] != pages:
        raise SystemExit(f"the run went wrong: {out}")
    return watched


def _while_running(process: subprocess.Popen[str], provider: ProviderProcess) -> Iterator[int]:
    """Calls answered so far, now and then."""
    answered = 0
    while process.poll() is None:
        answered = int(provider.summary()["answered"])
        yield answered
        time.sleep(EVERY_S if answered else EVERY_S / 10)


def memory_mb(pid: int) -> dict[str, float]:
    """Proportional set sizes below `pid` by kind of process; of several of a kind the largest."""
    found = dict.fromkeys(KINDS, 0.0)
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            kind = kind_of(process)
            if kind in found:
                found[kind] = max(found[kind], process.memory_full_info().pss / 1e6)
    except psutil.Error:
        pass
    return found


def show(name: str, pages: int, watched: Watched) -> None:
    """A table."""
    first = f"{watched.first_call_s:.1f}" if watched.first_call_s else "-"
    print(f"{name}: {pages} pages in {watched.wall_s:.0f} s, first answer after {first} s")
    print(f"{'pages':>8}" + "".join(f"{kind + ' MB':>18}" for kind in KINDS))
    for share in (0.1, 0.25, 0.5, 0.75, 0.98):
        at, sizes = watched.near(share * pages)
        print(f"{at:>8}" + "".join(f"{sizes[kind]:>18.0f}" for kind in KINDS), flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The embedded engine through Ray against the same engine in as many bare processes: same pages, same run.

    python benchmarks/local_engine.py [FOLDER] [--pages 60] [--rounds 3]

Bare is the least that reads pages on all CPUs: a pool of processes, each renders and reads one page after the other.
Both are timed from the end of each CPU's first page to the end of the last page: the steady work, without the start of
processes and the loading of models on either side. The whole time of our run is printed beside it, and its CPU: that of
a page is the slope from a run of a few pages to this one, and what the slope leaves is that of the start.
"""

from __future__ import annotations

import argparse
import io
import math
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb
import pypdfium2

from benchmarks.processes import TreeWatch
from one_ocr_ray.engines.ocr.engine import LocalEngine

ROOT = Path(__file__).resolve().parent.parent
LONGEST_SIDE_PX = 1600
FEW_PAGES = 12

Page = tuple[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "samples")
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "pdfs"
        pages = _many_pages(options.folder, source, options.pages)
        few = _many_pages(options.folder, Path(scratch) / "few", FEW_PAGES)
        rounds = []
        print(f"{len(pages)} pages, {os.cpu_count()} CPUs; pages/s of the steady work")
        titles = ("ours whole s", "CPU s/page", "start CPU s")
        print(f"{'round':>5} {'bare':>8} {'ours':>8} {'ratio':>7}" + "".join(f"{title:>14}" for title in titles))
        for number in range(1, options.rounds + 1):
            *_, few_cpu_s = _our_ends(Path(scratch) / "few", Path(scratch) / f"out-few-{number}")
            bare = _steady_rate(_bare_ends(pages))
            ends, wall_s, cpu_s = _our_ends(source, Path(scratch) / f"out-{number}")
            ours = _steady_rate(ends)
            rounds.append(ours / bare)
            page_cpu_s = (cpu_s - few_cpu_s) / (len(pages) - len(few))
            print(
                f"{number:>5} {bare:8.3f} {ours:8.3f} {ours / bare:7.3f}{wall_s:14.1f}{page_cpu_s:14.2f}"
                f"{cpu_s - page_cpu_s * len(pages):14.1f}"
            )
    print(f"median ratio {statistics.median(rounds):.3f}")
    return 0


def _many_pages(folder: Path, target: Path, wanted: int) -> list[Page]:
    """Copies of the folder's documents, each with bytes of its own, until there are `wanted` pages."""
    target.mkdir()
    pages: list[Page] = []
    for copy in range(wanted):
        for source in sorted(folder.glob("*.pdf")):
            if len(pages) >= wanted:
                return pages
            path = target / f"{copy:03d}-{source.name}"
            shutil.copy(source, path)
            with path.open("ab") as end:
                end.write(b"\n%% copy %d\n" % copy)
            with pypdfium2.PdfDocument(path) as document:
                pages.extend((str(path), number) for number in range(len(document)))
    return pages


def _steady_rate(ends_s: list[float]) -> float:
    """Pages a second after every CPU has read its first page."""
    first, *_, last = sorted(ends_s)[(os.cpu_count() or 1) - 1 :]
    return (len(ends_s) - (os.cpu_count() or 1)) / (last - first)


def _bare_ends(pages: list[Page]) -> list[float]:
    """When each page was finished in bare processes, in seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        return pool.map(_read_bare, pages, chunksize=1)


_engines: list[LocalEngine] = []  # one per process


def _read_bare(page: Page) -> float:
    if not _engines:
        _engines.append(LocalEngine())
    path, number = page
    with pypdfium2.PdfDocument(path) as document:
        sheet = document[number]
        image = sheet.render(scale=LONGEST_SIDE_PX / max(sheet.get_size())).to_pil()
    jpeg = io.BytesIO()
    image.convert("RGB").save(jpeg, "JPEG", quality=85)
    _engines[0].read(jpeg.getvalue())
    return time.monotonic()


def _our_ends(source: Path, output: Path) -> tuple[list[float], float, float]:
    """When each page was finished by the product, the seconds of the whole run, and its CPU seconds."""
    started = time.monotonic()
    command = [sys.executable, str(ROOT / "jobs" / "ocr.py"), str(source), "--output", str(output)]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job,
        TreeWatch(job.pid, every_s=1.0, memory_every_s=math.inf) as usage,  # looking takes CPU, from ours alone
    ):
        _, errors = job.communicate()
    if job.returncode:
        raise SystemExit(errors)
    wall_s = time.monotonic() - started
    ends = duckdb.sql(f"select epoch(finished_at) from '{output}/pages/*.parquet'").fetchall()
    return [end for (end,) in ends], wall_s, usage.total_cpu_s


if __name__ == "__main__":
    sys.exit(main())

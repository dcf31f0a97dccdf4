"""Provider batches at size: pages against a cap on enqueued tokens, and the CPU of a page beside the online path's.

    python -m benchmarks.batch_scale [--pages 10000] [--cap 2000000] [--run 90] [--cpu-pages 2000] [--rounds 1]

The first tables are a whole run under the cap, which it learns from refusals: memory by kind of process and the spool
on disk when a tenth, a half and all lines are executed; then the waves: a batch belongs to the one after the last batch
whose end it has waited for. The last table is CPU of all processes of the run, the provider's not, for the same pages
online and up to their upload; per page it is the slope between few pages and all, so that starts cancel out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from benchmarks.llm import FEW, write_documents
from benchmarks.llm import provider as fixed_provider
from benchmarks.processes import run_product
from benchmarks.scale import KINDS, memory_mb
from tests.faults.drivers import Driver
from tests.provider import BatchPlay, Identify, ProviderProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.provider.ledger import Row

EVERY_S = 2.0
SHARES = (0.1, 0.25, 0.5, 0.75, 0.98)
WITHIN = 1.10  # of the online path's CPU a page
PRICES = '{"m": {"input_usd": 1.0, "output_usd": 10.0}}'
INPUT_TOKENS = 1700
BILLED_USD = (INPUT_TOKENS * 1.0 + 800 * 10.0) / 2e6  # of a page


@dataclass
class Watched:
    """A run from outside, by executed lines: memory by kind in MB, files of the spool and their bytes."""

    wall_s: float = 0.0
    samples: list[tuple[int, dict[str, float], int, int]] = field(default_factory=list)


def main() -> int:
    """Both tables; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--cap", type=int, default=2_000_000, help="tokens that the provider lets be enqueued")
    parser.add_argument("--run", type=float, default=90.0, metavar="S", help="seconds that a batch takes")
    parser.add_argument("--cpu-pages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as work:
        if options.pages:
            wrong += under_a_cap(Path(work), options)
        if options.cpu_pages:
            wrong += side_by_side(Path(work), options.cpu_pages, options.rounds)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


def under_a_cap(work: Path, options: argparse.Namespace) -> list[str]:
    """A whole run in waves; what is wrong with it."""
    source, output, scratch = write_documents(work / "in", options.pages), work / "out", work / "tmp"
    scratch.mkdir()
    watched = Watched()
    play = BatchPlay(run_s=options.run, cap_tokens=options.cap)
    with ProviderProcess(keys=(), identify=Identify.OFF, batches=play.model_dump()) as provider:
        started_s = time.monotonic()
        command: list[Path | str] = [
            source,
            "--output",
            output,
            "--base-url",
            provider.openai_url,
            "--batch",
            "--longest-side",
            "800",
        ]
        environment = {"OPENAI_API_KEY": "none", "TMPDIR": str(scratch)}
        with Driver(*command, *ASK, environment=environment) as driver:
            while driver.running:
                lines = sum(row.operation == "line" for row in provider.rows())
                spool = [path.stat().st_size for path in scratch.glob("one-ocr-batch-*/*.jsonl") if path.exists()]
                watched.samples.append((lines, memory_mb(driver.pid), len(spool), sum(spool)))
                time.sleep(EVERY_S)
            code, summary = driver.wait()
            said = driver.said()
        watched.wall_s = time.monotonic() - started_s
        rows, kept = provider.rows(), provider.batches()
    waves = waves_of(rows)
    files = sorted((output / "pages").glob("*.parquet"))
    costs = [cost for file in files for cost in pq.read_table(file, columns=["cost_usd"])["cost_usd"].to_pylist()]
    lines, online = (sum(row.operation == name for row in rows) for name in ("line", "read"))
    uploads = sum(row.operation == "upload" for row in rows)
    print(f"{len(costs)} pages in {watched.wall_s:.0f} s, exit {code}: {uploads} files, batches {kept['states']}")
    print(f"{lines} lines executed, {online} pages online; {kept['files']} files left; cost {summary.get('cost_usd')}")
    show(watched, options.pages)
    whole = len(costs) == lines + online == options.pages
    whole = whole and abs(sum(costs) - BILLED_USD * (lines + 2 * online)) < 1e-6
    show_waves(waves, options.cap)
    most_spooled = max(count for _, _, count, _ in watched.samples)
    print(f"most of the spool: {most_spooled} files, {max(size for *_, size in watched.samples) / 1e6:.0f} MB")
    if code or kept["files"] or not whole:
        return [f"the run under the cap went wrong: {said[-1000:]}"]
    if len(waves) < options.pages * INPUT_TOKENS // (2 * options.cap):
        return ["the batches did not take long enough for waves: give a longer --run"]
    return []


@dataclass
class Wave:
    """Batches that wait for the same ends. Seconds since the first creation; `enqueued`: tokens at most at once."""

    batches: int = 0
    lines: int = 0
    first_s: float = float("inf")
    last_s: float = 0.0
    enqueued: int = 0


def waves_of(rows: Sequence[Row]) -> list[Wave]:
    """The waves of a run, from the ledger of its provider."""
    lines = Counter(row.settings["tag"] for row in rows if row.operation == "line")
    ends = {row.settings["tag"]: row.arrived_at for row in rows if row.operation == "line"}
    made = {row.settings["tag"]: row.arrived_at for row in rows if row.operation == "create" and row.status == 200}
    made = {tag: at for tag, at in sorted(made.items(), key=lambda entry: entry[1]) if tag in ends}
    began_s, numbers, waves = min(made.values(), default=0.0), dict[str, int](), list[Wave]()
    for tag, at in made.items():
        numbers[tag] = max((1 + numbers[each] for each in numbers if ends[each] <= at), default=0)
        if numbers[tag] == len(waves):
            waves.append(Wave())
        wave = waves[numbers[tag]]
        wave.batches, wave.lines = wave.batches + 1, wave.lines + lines[tag]
        wave.first_s, wave.last_s = min(wave.first_s, at - began_s), max(wave.last_s, ends[tag] - began_s)
        live = sum(lines[each] for each in numbers if ends[each] > at)
        wave.enqueued = max(wave.enqueued, live * INPUT_TOKENS)
    return waves


def show_waves(waves: Sequence[Wave], cap: int) -> None:
    """A line a wave."""
    print(f"{'wave':>8}{'batches':>9}{'lines':>8}{'created s':>11}{'ended s':>9}{'enqueued':>11}  of {cap:,} tokens")
    for number, wave in enumerate(waves, start=1):
        print(
            f"{number:>8}{wave.batches:>9}{wave.lines:>8}{wave.first_s:>11.0f}{wave.last_s:>9.0f}{wave.enqueued:>11,}",
            flush=True,
        )


ASK = ("--engine", "openai", "--model", "m", "--prices", PRICES, "--max-pages", "100000")


def show(watched: Watched, pages: int) -> None:
    """Memory and spool as lines were executed."""
    heads = "".join(f"{kind + ' MB':>18}" for kind in KINDS)
    print(f"{'lines':>8}{heads}{'spool files':>13}{'spool MB':>10}")
    for share in SHARES:
        near = [sample for sample in watched.samples if abs(sample[0] - share * pages) <= pages / 10]
        if near:
            most = {kind: max(sample[1][kind] for sample in near) for kind in KINDS}
            told = "".join(f"{most[kind]:>18.0f}" for kind in KINDS)
            spool = max(sample[2] for sample in near), max(sample[3] for sample in near) / 1e6
            print(f"{share * pages:>8.0f}{told}{spool[0]:>13}{spool[1]:>10.0f}", flush=True)


def side_by_side(work: Path, pages: int, rounds: int) -> list[str]:
    """CPU of a page, online and up to its upload."""
    few, many = write_documents(work / "few", FEW), write_documents(work / "many", pages)
    print(f"{pages} pages at 1600 px:\n{'':>8}{'CPU ms/page':>13}{'start CPU s':>13}{'wall s':>9}{'pages/s':>9}")
    ratios = []
    for number in range(rounds):
        slopes = {}
        for side in ("online", "batch"):
            cpu_s = [measure(side, folder, work / f"{side}-{number}-{folder.name}") for folder in (few, many)]
            slope = (cpu_s[1][0] - cpu_s[0][0]) / (pages - FEW)
            slopes[side] = slope
            print(
                f"{side:>8}{1000 * slope:>13.2f}{cpu_s[0][0] - FEW * slope:>13.1f}{cpu_s[1][1]:>9.0f}"
                f"{(pages - FEW) / (cpu_s[1][1] - cpu_s[0][1]):>9.1f}", flush=True,
            )  # fmt: skip
        ratios.append(slopes["batch"] / slopes["online"])
    print(f"batch / online, CPU a page: {statistics.median(ratios):.3f}")
    return ["rendering and upload cost more than a tenth above online"] if statistics.median(ratios) > WITHIN else []


def measure(side: str, source: Path, output: Path) -> tuple[float, float]:
    """CPU and wall seconds of one run; a batch is left when all of its pages are uploaded."""
    if side == "online":
        with fixed_provider(0.2) as url:
            return run([str(source), "--base-url", f"{url}/v1", "--rpm", "1000000", "--max-in-flight", "64"], output)
    play = BatchPlay(validate_s=1e6)  # files are not even looked at
    with ProviderProcess(keys=(), identify=Identify.OFF, batches=play.model_dump()) as provider:
        more = ["--batch", "--batch-wait", "0", "--batch-tokens", "1000000000"]
        return run([str(source), "--base-url", provider.openai_url, *more], output, code=4)


def run(arguments: Sequence[str], output: Path, code: int = 0) -> tuple[float, float]:
    """Run the product in processes of its own."""
    started_s = time.monotonic()
    usage = run_product([sys.executable, "jobs/ocr.py", *arguments, *ASK, "--output", str(output)], code)
    return usage.total_cpu_s, time.monotonic() - started_s


if __name__ == "__main__":
    sys.exit(main())

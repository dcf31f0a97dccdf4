"""A run in provider batches that is killed again and again: what is asked twice, what is billed, what is left behind.

    python -m benchmarks.batch_kills [--engine openai] [--kills 20] [--seed 1] [--documents 24] [--pages 8]

Most kills are SIGKILL of the driver at a random moment, some of its Ray worker alone, which the driver survives. Then
runs go to the end. Held against the provider's ledger: each page was executed once, each tag has one batch, what was
billed is the sum of `cost_usd`, and no file is left that can be deleted. A second output has a ceiling of half of the
whole bill (`--share`) and is killed ten times, too: what was billed never passes it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow.parquet as pq

from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.death_costs import wrong_in
from tests.faults.drivers import Driver
from tests.processes import processes_named
from tests.provider import BatchPlay, Identity, ProviderProcess, write_identity_pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL, INPUT_USD, OUTPUT_USD = "priced", 1.0, 10.0
PLAY = BatchPlay(validate_s=0.5, run_s=3.0)
CEILING_KILLS = 10
RUN_S = 1800.0  # an intent whose request was never sent is looked for during twenty minutes
UNTIL_S = 25.0  # the last moment of a kill


@dataclass(frozen=True, slots=True)
class Bill:
    """What the provider has done so far."""

    lines: int
    again: int  # executed for a page that was executed before
    usd: float
    batches_again: int  # with a tag that another one has
    files: int

    @classmethod
    def of(cls, provider: ProviderProcess) -> Bill:
        done = [row for row in provider.rows() if row.operation == "line" and row.input_tokens]
        usd = sum(row.input_tokens * INPUT_USD + row.output_tokens * OUTPUT_USD for row in done) / 2e6
        kept = provider.batches()
        twice = sum(count - 1 for count in kept["tags"].values())
        again = sum(count - 1 for count in Counter(row.page for row in done).values())
        return cls(len(done), again, usd, twice, kept["files"])


def main() -> int:
    """Both outputs; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["openai", "gemini"], default="openai")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--pages", type=int, default=8, help="of each document")
    parser.add_argument("--share", type=float, default=0.5, help="of the whole bill, as a ceiling")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "in"
        source.mkdir()
        write_identity_pdfs(source, range(1, options.documents + 1), options.pages)
        wrong = list(whole(options, dice, source, Path(work) / "out"))
        usd = options.documents * options.pages * (1700 * INPUT_USD + 800 * OUTPUT_USD) / 2e6
        wrong += ceiling(options.engine, dice, source, Path(work) / "dear", options.share * usd)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


def command(engine: str, source: Path, output: Path, provider: ProviderProcess) -> list[str]:
    """A run as its user starts it."""
    base_url = provider.gemini_url if engine == "gemini" else provider.openai_url
    return [
        str(source), "--output", str(output), "--engine", engine, "--model", MODEL, "--base-url", base_url, "--batch",
        "--batch-rest", "batch", "--longest-side", "800", "--shard-pages", "16",
        "--prices", f'{{"{MODEL}": {{"input_usd": {INPUT_USD}, "output_usd": {OUTPUT_USD}}}}}',
    ]  # fmt: skip


def whole(options: argparse.Namespace, dice: random.Random, source: Path, output: Path) -> Iterator[str]:
    """Kill, go on to the end, and say what is wrong."""
    with ProviderProcess(batches=PLAY.model_dump(), keys=()) as provider:
        arguments = command(options.engine, source, output, provider)
        print(HEAD, flush=True)
        killed = 0
        while killed < options.kills:
            if not kill_once(killed + 1, arguments, output, provider, dice):
                print(f"finished after {killed} kills: more documents are needed for {options.kills}")
                break
            killed += 1
        began_s = time.monotonic()
        with Driver(*arguments) as driver:
            code, summary = driver.wait(RUN_S)
            if code:
                yield f"the last run ends with {code}: {driver.said()[-500:]}"
        print(f"the last run took {time.monotonic() - began_s:.0f} s: {summary.get('batch')}")
        bill = Bill.of(provider)
    pages = range(1, options.pages + 1)
    yield from wrong_in(str(output), {str(Identity(d, p)) for d in range(1, options.documents + 1) for p in pages})
    rows = pages_of(output)
    attempts, usd = Counter(row["attempts"] for row in rows), sum(row["cost_usd"] or 0.0 for row in rows)
    print(f"{len(rows)} rows, attempts {dict(attempts)}; billed {bill.usd:.6f} USD, sum of cost_usd {usd:.6f} USD")
    print(
        f"{bill.lines} lines executed, {bill.again} again; {bill.files} files left, {bill.batches_again} double batches"
    )
    if bill.again or bill.batches_again or bill.files or abs(bill.usd - usd) > 1e-9:
        yield "a page was paid twice, a file was left, or the rows tell another sum than the bill"


HEAD = f"  kill  killed    after s   {'parcels by stage':45}  lines   again   tag twice   files  billed USD"


def kill_once(number: int, arguments: list[str], output: Path, provider: ProviderProcess, dice: random.Random) -> bool:
    """Run until a random moment, then kill; False when the run ended before. A killed worker ends no run."""
    after_s, worker = dice.uniform(1.0, UNTIL_S), dice.random() < 0.3
    began_s = time.monotonic()
    with Driver(*arguments) as driver:
        killed = "driver"
        if worker and driver.wait_until(lambda: bool(processes_named("OcrWorker", driver.pid)), every_s=0.2):
            time.sleep(dice.uniform(0.0, 2.0))
            for process in processes_named("OcrWorker", driver.pid):
                killed = "both"
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
        if not driver.wait_until(lambda: time.monotonic() - began_s > after_s):
            code, _ = driver.wait()
            print(f"a run ended before its kill, with {code}: {driver.said()[-300:] if code else ''}")
            return False
        driver.kill()
    time.sleep(0.2)  # what was on its way arrives
    stages = Counter(parcel.stage.value for parcel in BatchState(Objects(str(output))).parcels())
    told = " ".join(f"{stage} {count}" for stage, count in sorted(stages.items()))
    bill = Bill.of(provider)
    print(
        f"{number:6}  {killed:8}{after_s:9.1f}   {told:45}{bill.lines:7}{bill.again:8}{bill.batches_again:12}"
        f"{bill.files:8}{bill.usd:12.6f}", flush=True,
    )  # fmt: skip
    return True


def ceiling(engine: str, dice: random.Random, source: Path, output: Path, most_usd: float) -> Iterator[str]:
    """The same under a ceiling, which the last run meets."""
    print(f"under a ceiling of {most_usd:.6f} USD:\n{HEAD}")
    with ProviderProcess(batches=PLAY.model_dump(), keys=()) as provider:
        arguments = [*command(engine, source, output, provider), "--max-cost", str(most_usd)]
        for number in range(1, CEILING_KILLS + 1):
            if not kill_once(number, arguments, output, provider, dice):
                break
        with Driver(*arguments) as driver:
            code, summary = driver.wait(RUN_S)
            said = driver.said().strip().splitlines()[-1:]
        bill = Bill.of(provider)
    print(f"the last run ends with {code}: {said}")
    told = summary.get("cost_usd_total")
    print(f"billed {bill.usd:.6f} of {most_usd:.6f} USD, told {told}; {bill.again} lines again")
    if bill.usd > most_usd or bill.again or bill.batches_again or code != 4:
        yield f"the ceiling of {most_usd} USD did not hold, or the run did not meet it"


def pages_of(output: Path) -> list[dict[str, float | None]]:
    """Attempts and cost of all pages."""
    files = sorted((output / "pages").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["attempts", "cost_usd"]).to_pylist()]


if __name__ == "__main__":
    sys.exit(main())

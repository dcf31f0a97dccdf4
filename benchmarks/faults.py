"""A driver that is killed again and again: what each kill costs, and whether the last run ends with every page once.

    python -m benchmarks.faults [--kills 20] [--seed 1] [--documents 60] [--pages 20] [--in-flight 32] [--s3]
                                [--touch]

Kills come at random moments: some so many seconds after the start, most after so many answered calls. With --s3 input,
output and journal are in a bucket of a server on this machine, else in a temporary folder. With --touch every input
gets another mtime, or as an object another etag, after each kill: its bytes are what they were.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import from_url

from tests.faults.death_costs import Cost, Death, costs_of, safe_pages, wrong_in
from tests.faults.drivers import Driver
from tests.faults.s3 import BUCKET, environment, s3_server
from tests.provider import Identity, Latency, ProviderProcess, write_identity_pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore


def main() -> int:
    """Kill, rerun, judge; 1 when the promise is broken."""
    options = _options()
    dice = random.Random(options.seed)
    place = _bucket if options.s3 else _folder
    with place(options) as (source, output), ProviderProcess(keys=(), latency=_LATENCY, text_chars=200) as provider:
        command = [
            source, "--output", output, "--engine", "openai", "--model", "m", "--base-url", provider.openai_url,
            "--rpm", "100000", "--max-in-flight", str(options.in_flight), "--longest-side", "800",
        ]  # fmt: skip
        deaths: list[Death] = []
        while len(deaths) < options.kills:
            death = _one_death(command, output, provider, dice)
            if death is None:
                print(f"finished after {len(deaths)} kills: more documents are needed for {options.kills}")
                break
            deaths.append(death)
            if options.touch:
                _touch(source)
            print(f"kill {len(deaths)}: {len(death.safe)} pages safe", flush=True)
        with Driver(*command) as driver:
            code, summary = driver.wait(600)
            print(f"the last run ends with {code}: {summary.get('pages')} {driver.said() if code else ''}")
        costs = costs_of(deaths, provider.rows())
        expected = {str(Identity(d, p)) for d in range(1, options.documents + 1) for p in range(1, options.pages + 1)}
        wrong = wrong_in(output, expected)
    return _report(deaths, costs, wrong)


_LATENCY = Latency(shape="uniform", seconds=0.2, to_s=0.8)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--pages", type=int, default=20, help="of each document")
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--s3", action="store_true", help="input, output and journal on S3 instead of in a folder")
    parser.add_argument("--touch", action="store_true", help="give the inputs another mtime or etag after each kill")
    return parser.parse_args()


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Input, made, and output."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "in"
        source.mkdir()
        write_identity_pdfs(source, range(1, options.documents + 1), options.pages)
        yield str(source), str(Path(work) / "out")


@contextmanager
def _bucket(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The same on S3, in the environment of a user: drivers and judge inherit it."""
    with _folder(options) as (folder, _), s3_server() as port:
        os.environ.update(environment(port))
        bucket = from_url(f"s3://{BUCKET}")
        for path in Path(folder).iterdir():
            obstore.put(bucket, f"in/{path.name}", path)
        yield f"s3://{BUCKET}/in", f"s3://{BUCKET}/some/out"


def _touch(source: str) -> None:
    if source.startswith("s3://"):
        bucket = from_url(f"s3://{BUCKET}")
        for batch in obstore.list(bucket, "in"):
            for meta in batch:
                _put_in_parts(bucket, meta["path"])
        return
    for path in Path(source).iterdir():
        path.touch()


def _put_in_parts(bucket: ObjectStore, path: str) -> None:
    """The same bytes as an upload in parts, whose etag is another; an ordinary upload brings the first etag back."""
    data = bytes(obstore.get(bucket, path).bytes())
    parts = "-" in (obstore.head(bucket, path)["e_tag"] or "")
    obstore.put(bucket, path, data, use_multipart=not parts)


def _one_death(command: list[str], output: str, provider: ProviderProcess, dice: random.Random) -> Death | None:
    """Run until a random moment, then kill; None when the run ended before."""
    with Driver(*command) as driver:
        if dice.random() < 0.3:
            wait_until_s = time.monotonic() + dice.uniform(0.5, 9.0)
            alive = driver.wait_until(lambda: time.monotonic() > wait_until_s)
        else:
            calls = provider.summary()["answered"] + dice.randint(1, 150)
            alive = driver.wait_until(lambda: provider.summary()["answered"] >= calls, every_s=0.05)
        if not alive:
            print(f"a run ended before its kill, with {driver.wait()[0]}: {driver.said()[-2000:]}")
            return None
        killed_s, gone_s = driver.kill()
    return Death(killed_s, gone_s, safe_pages(output, gone_s))


def _report(deaths: list[Death], costs: list[Cost], wrong: list[str]) -> int:
    print("  kill   gone s   safe   in flight   answered <1 s   again   safe again")
    for number, (death, cost) in enumerate(zip(deaths, costs, strict=True), 1):
        gone = f"{death.gone_s - death.killed_s:.2f}"
        print(
            f"{number:6}{gone:>9}{len(death.safe):>7}{cost.in_flight:>12}{cost.just_answered:>16}"
            f"{cost.repeated:>8}{len(cost.repeated_safe):>13}{'' if cost.is_within_the_promise() else '   BROKEN'}"
        )
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong or not all(cost.is_within_the_promise() for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())

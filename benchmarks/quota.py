"""How much of an account's quota runs use, how often they are refused, and whether they ever pass it.

    python benchmarks/quota.py [CASE...]

Each case is a provider process of its own that enforces its quota over any 60 s and, with a tenth of tolerance, over
any second (refused requests count too), and real runs (`jobs/ocr.py`) on one Ray cluster of two CPUs that this program
starts. "used" is what was admitted in the steady part against the quota; "worst" the busiest window against what it may
hold, refused requests included; "load" the machine's load average at the end, in processes: over the number of CPUs,
somebody else was at work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_DEDUP_LOGS="0")  # before Ray is imported

import duckdb
import ray

from one_ocr_ray.cluster.limiter import RemoteLimiter, account_fingerprint, limiter_name
from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.model import Answer
from one_ocr_ray.policy.ratelimit.messages import LimiterClient, Limits, Priority
from one_ocr_ray.reading.limits.permits import LeasedPermits
from tests.provider import DEFAULT_KEY, Identity, ProviderProcess, Row, Unit, strict_minute, write_identity_pdfs
from tests.provider.ledger import arrivals, undercuts, worst_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
RPM = 600
TOKENS_A_PAGE = 2500  # what the provider reports by default
LATENCY = {"shape": "uniform", "seconds": 0.5, "to_s": 1.5}
PAGES_A_DOCUMENT = 25
GRACE_S = 0.6  # what was on its way, or on a lease, when a hint was given
TABLE = "{:<26} {:>8} {:>7} {:>8} {:>9} {:>10} {:>9} {:>6}  {}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs run."""

    address: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: what the provider saw of how much, from when to when (its clock), and what else there is to say."""

    rows: list[Row]
    per_minute: float
    begin_s: float
    end_s: float
    in_tokens: bool = False
    note: str = ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cluster() -> Iterator[str]:
    """A Ray head with two CPUs whose environment has the provider's key; its address."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2", f"--port={port}",
        "--include-dashboard=false", f"--ray-client-server-port={free_port()}", "--node-ip-address=127.0.0.1",
        "--object-store-memory=300000000", "--disable-usage-stats",
    ]  # fmt: skip
    environment = os.environ | {"OPENAI_API_KEY": DEFAULT_KEY}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        try:
            connect(f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
        finally:
            ray.shutdown()
            head.send_signal(signal.SIGTERM)  # it takes its processes along
            head.wait(120)


def connect(address: str) -> None:
    for _ in range(60):
        time.sleep(1.0)
        try:
            ray.init(address=address, namespace="one-ocr", log_to_driver=False, logging_level="ERROR")
        except ConnectionError:
            continue
        return
    sys.exit("The Ray head did not start.")


@contextmanager
def provider(**scenario: Any) -> Iterator[ProviderProcess]:
    with ProviderProcess(latency=LATENCY, **{"quotas": strict_minute(RPM)} | scenario) as process:
        yield process


def start_run(place: Place, account: ProviderProcess, pages: int, *flags: str, first_document: int = 0) -> Any:
    """A run of so many pages, as its process."""
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    source = folder / "in"
    source.mkdir()
    documents = range(first_document, first_document + pages // PAGES_A_DOCUMENT)
    write_identity_pdfs(source, documents, PAGES_A_DOCUMENT)
    command = [sys.executable, str(ROOT / "jobs" / "ocr.py"), str(source), "--output", str(folder / "out"), "--json"]
    command += ["--engine", "openai", "--base-url", account.openai_url, "--address", place.address, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for(run: Any, pages: int) -> None:
    """Wait for a run, which must have read all its pages, each as itself."""
    text, _ = run.communicate()
    if run.returncode != 0:
        sys.exit(f"A run ended with exit code {run.returncode}.")
    summary = json.loads(text.splitlines()[-1])
    if summary["pages"] != {"total": pages, "ok": pages, "blank": 0, "failed": 0}:
        sys.exit(f"A run read {summary['pages']} instead of {pages} pages.")
    for name, number, markdown in duckdb.sql(
        f"select source_name, page_number, markdown from '{summary['output']}/pages/*.parquet'"
    ).fetchall():
        if str(Identity.parse(markdown)) != f"{name.removesuffix('.pdf')} page {number}":
            sys.exit(f"Page {number} of {name} holds another page's text.")


def one_run(place: Place, pages: int, *flags: str, per_minute: float = RPM, **scenario: Any) -> Outcome:
    """One run; its steady part begins a second after its first request."""
    with provider(**scenario) as account:
        wait_for(start_run(place, account, pages, *flags), pages)
        rows = account.rows()
    sent = arrivals(rows)
    return Outcome(rows, per_minute, sent[0] + 1.0, sent[-1])


def known(place: Place) -> Outcome:
    return one_run(place, 400, "--rpm", str(RPM))


def known_for_three_minutes(place: Place) -> Outcome:
    return one_run(place, 1800, "--rpm", str(RPM))


def known_and_large(place: Place) -> Outcome:
    return one_run(place, 3000, "--rpm", "6000", per_minute=6000, quotas=strict_minute(6000))


def several_workers(place: Place) -> Outcome:
    return one_run(place, 400, "--rpm", str(RPM), "--workers", "4")


def tokens(place: Place) -> Outcome:
    per_minute = RPM * TOKENS_A_PAGE
    quotas = strict_minute(per_minute, Unit.TOKENS)
    outcome = one_run(place, 500, "--tpm", str(per_minute), quotas=quotas)
    # The first answers teach how long answers are, so the steady part begins after them.
    begin_s = outcome.begin_s + 5.0
    return Outcome(outcome.rows, per_minute, begin_s, outcome.end_s, in_tokens=True)


def two_jobs(place: Place) -> Outcome:
    with provider() as account:
        runs = [start_run(place, account, 400, "--rpm", str(RPM), first_document=first) for first in (0, 1000)]
        for run in runs:
            wait_for(run, 400)
        rows = account.rows()
    names = [{row.serial for row in rows if row.page and (row.page >= "doc-1000") is late} for late in (False, True)]
    sent = [arrivals(row for row in rows if row.serial in serials) for serials in names]
    begin_s, end_s = max(times[0] for times in sent) + 1.0, min(times[-1] for times in sent)
    shares = [sum(begin_s <= at < end_s for at in times) for times in sent]
    return Outcome(rows, RPM, begin_s, end_s, note=f"shares {shares[0]} : {shares[1]} in {end_s - begin_s:.0f} s")


def learned(place: Place) -> Outcome:
    outcome = one_run(place, 500, rate_headers=True)
    begin_s = outcome.begin_s - 1.0
    sent = arrivals(outcome.rows, admitted=True)
    within = [at for at in sent if at < begin_s + 60.0]
    used = len(within) / (RPM / 60) / min(60.0, sent[-1] - begin_s)
    return Outcome(outcome.rows, RPM, begin_s + 10.0, outcome.end_s, note=f"from its first request on {used:.3f}")


def told_twice_too_high(place: Place) -> Outcome:
    outcome = one_run(place, 1500, "--rpm", str(2 * RPM))
    return Outcome(outcome.rows, RPM, outcome.begin_s + 59.0, outcome.end_s, note="from its 60th second on")


def online_behind_batch(place: Place) -> Outcome:
    with provider() as account:
        run = start_run(place, account, 400, "--rpm", str(RPM))
        while not account.rows():
            time.sleep(0.5)
        upload = ray.remote(num_cpus=0)(Upload).remote(account.openai_url)
        waits = ray.get(upload.wait_now_and_then.remote(60))
        wait_for(run, 400)
        rows = account.rows()
    sent = arrivals(rows)
    own = len(waits) / (RPM / 60 * (sent[-1] - sent[0] - 1.0))
    p50_ms, p95_ms = median(waits) * 1000, quantiles(waits, n=20)[-1] * 1000
    note = f"and {own:.4f} by uploads, which wait p50 {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms"
    return Outcome(rows, RPM, sent[0] + 1.0, sent[-1], note=note)


class Upload:
    """Asks the limiter of the runs for single online permits."""

    def __init__(self, base_url: str) -> None:
        name = limiter_name("openai", account_fingerprint(base_url, DEFAULT_KEY), DEFAULT_MODELS["openai"])
        client = LimiterClient("upload", "upload", Priority.ONLINE, Limits(requests_per_minute=RPM))
        self._permits = LeasedPermits(RemoteLimiter(name), client)

    async def wait_now_and_then(self, times: int) -> list[float]:
        """Every half second; the seconds each permit took."""
        waits = []
        for _ in range(times):
            asked = time.monotonic()
            await self._permits.acquire(0)
            waits.append(time.monotonic() - asked)
            self._permits.report(0, Answer(), 0.1)
            await asyncio.sleep(0.5)
        return waits


def row_of(case: str, outcome: Outcome) -> str:
    """A line of the table."""
    reads = sorted((row for row in outcome.rows if row.operation == "read"), key=lambda row: row.arrived_s)
    refused = sum(row.status == 429 for row in reads)
    times = [row.arrived_s for row in reads]
    weights = [float(row.charged_tokens) if outcome.in_tokens else 1.0 for row in reads]
    steady = [
        weight
        for row, weight in zip(reads, weights, strict=True)
        if row.status != 429 and outcome.begin_s <= row.arrived_s < outcome.end_s
    ]
    quota = outcome.per_minute / 60 * (outcome.end_s - outcome.begin_s)
    early = len(undercuts(outcome.rows, GRACE_S))
    return TABLE.format(
        case,
        len(reads),
        refused,
        f"{refused / len(reads):.2%}",
        f"{sum(steady) / quota:.4f}",
        f"{worst_window(times, 1.0, weights) / (outcome.per_minute / 60):.3f}",
        f"{worst_window(times, 60.0, weights) / outcome.per_minute:.3f}",
        f"{os.getloadavg()[0]:.1f}",
        "; ".join(part for part in (outcome.note, f"{early} undercut a hint" if early else "") if part),
    )


CASES: dict[str, Callable[[Place], Outcome]] = {
    "known": known,
    "known-3-minutes": known_for_three_minutes,
    "known-6000": known_and_large,
    "four-workers": several_workers,
    "tokens": tokens,
    "two-jobs": two_jobs,
    "learned": learned,
    "told-twice-too-high": told_twice_too_high,
    "online-behind-batch": online_behind_batch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE", help=", ".join(CASES))
    cases = parser.parse_args().cases or list(CASES)
    print(TABLE.format("case", "requests", "429s", "share", "used", "worst 1 s", "60 s", "load", ""), flush=True)
    with tempfile.TemporaryDirectory() as folder, cluster() as address:
        for case in cases:
            print(row_of(case, CASES[case](Place(address, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()

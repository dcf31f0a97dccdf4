"""Four accounts of one engine with quotas of 600, 300, 300 and 60 a minute, one of which dies for a minute.

    python -m benchmarks.endpoints [--minutes 4]

Each account is a provider process of its own that enforces its quota over any 60 s; the third is killed after the first
minute and comes back at the same address a minute later. One run of the product reads all pages. "used" is what was
answered against what was allowed while the account lived, from a second after the first request to the last; "60 s" the
busiest window against the quota. A page that was answered twice was paid by two; no more may be than were under way at
the account that was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.provider import ProviderProcess, Row, strict_minute, write_identity_pdfs
from tests.provider.ledger import rows_of, worst_window

RATES = (600, 300, 300, 60)
DIES = 2  # the third
DEAD_FROM_S, DEAD_TO_S = 60.0, 120.0
LATENCY = {"shape": "uniform", "seconds": 0.5, "to_s": 1.5}
PAGES_A_DOCUMENT = 25
TABLE = "{:<10} {:>6} {:>9} {:>9} {:>8} {:>8} {:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0, help="about, of the run")
    allowed = sum(RATES) * parser.parse_args().minutes - RATES[DIES]
    pages = round(allowed / PAGES_A_DOCUMENT) * PAGES_A_DOCUMENT
    with tempfile.TemporaryDirectory() as scratch:
        return _measure(Path(scratch), pages)


def _measure(folder: Path, pages: int) -> int:
    (folder / "in").mkdir()
    write_identity_pdfs(folder / "in", range(pages // PAGES_A_DOCUMENT), PAGES_A_DOCUMENT)
    ledgers = [folder / f"ledger-{number}" for number in range(len(RATES))]
    accounts = [_account(rate, ledger).__enter__() for rate, ledger in zip(RATES, ledgers, strict=True)]
    try:
        urls = [each.openai_url for each in accounts]
        endpoints = [
            {"name": f"e{number}", "base_url": url, "rpm": rate, "api_key_env": f"KEY_{number}"}
            for number, (url, rate) in enumerate(zip(urls, RATES, strict=True))
        ]
        config = folder / "run.yaml"
        config.write_text(yaml.safe_dump({"engine": "openai", "model": "m", "endpoints": endpoints}))
        command = [sys.executable, "-m", "one_ocr_ray.cli", "run", str(folder / "in"), "--output", str(folder / "out")]
        keys = {f"KEY_{number}": "any" for number in range(len(RATES))}
        with (folder / "log").open("wb") as log:
            run = subprocess.Popen(
                [*command, "--config", str(config), "--json"], env=os.environ | keys, stdout=subprocess.PIPE, stderr=log
            )
        dead = _die_for_a_minute(accounts, ledgers)
        said, _ = run.communicate()
        summary = json.loads(said.splitlines()[-1]) if said else {"pages": None}
    finally:
        for each in accounts:
            each.__exit__()
    print(f"exit {run.returncode}, pages {summary['pages']}, load {os.getloadavg()[0]:.1f}")
    if run.returncode:
        print((folder / "log").read_text()[-2000:])
    return _report([rows_of(ledger.read_bytes()) for ledger in ledgers], dead, pages) or int(run.returncode != 0)


def _account(rate: int, ledger: Path, port: int = 0) -> ProviderProcess:
    return ProviderProcess(quotas=strict_minute(rate)[:1], latency=LATENCY, keys=(), ledger_path=ledger, port=port)


def _die_for_a_minute(accounts: list[ProviderProcess], ledgers: list[Path]) -> tuple[float, float, int]:
    """When the account was killed and when it was back (monotonic seconds), and how many requests were under way."""
    while not any(ledger.exists() and ledger.read_bytes() for ledger in ledgers):
        time.sleep(0.1)
    begun_s = time.monotonic()
    time.sleep(DEAD_FROM_S)
    victim = accounts[DIES]
    known = victim.rows()
    port, under_way = int(victim.url.rpartition(":")[2]), max((row.serial for row in known), default=0) - len(known)
    os.kill(victim.pid, 9)
    died_s = time.monotonic()
    victim.__exit__()
    time.sleep(max(begun_s + DEAD_TO_S - time.monotonic(), 0.0))
    accounts[DIES] = _account(RATES[DIES], ledgers[DIES], port).__enter__()
    return died_s, time.monotonic(), under_way


def _report(accounts: list[list[Row]], dead: tuple[float, float, int], pages: int) -> int:
    """Print the table; 0 when all holds."""
    died_s, back_s, _ = dead
    reads = [[row for row in rows if row.operation == "read"] for rows in accounts]
    begin_s = min(row.arrived_s for rows in reads for row in rows) + 1.0
    end_s = max(row.arrived_s for rows in reads for row in rows)
    print(TABLE.format("endpoint", "rpm", "answered", "allowed", "used", "429s", "60 s"))
    answered_all = allowed_all = 0.0
    passed = False
    for number, (rows, rate) in enumerate(zip(reads, RATES, strict=True)):
        lived_s = end_s - begin_s - (back_s - died_s if number == DIES else 0.0)
        answered = sum(row.answered and begin_s <= row.arrived_s < end_s for row in rows)
        allowed = rate / 60 * lived_s
        refused = sum(row.status == 429 for row in rows)
        busiest = worst_window(sorted(row.arrived_s for row in rows), 60.0) / rate
        passed = passed or busiest > 1.0 or refused > 0
        answered_all, allowed_all = answered_all + answered, allowed_all + allowed
        cells = (f"e{number}", rate, answered, f"{allowed:.0f}", f"{answered / allowed:.3f}", refused, f"{busiest:.3f}")
        print(TABLE.format(*cells))
    paid = Counter(row.page for rows in reads for row in rows if row.answered)
    twice = sum(times > 1 for times in paid.values())
    used = answered_all / allowed_all
    print(
        f"used {used:.4f} of what was allowed in {end_s - begin_s:.0f} s; {len(paid)} pages of {pages} answered, ",
        end="",
    )
    print(f"{twice} of them by two; about {dead[2]} requests were under way at the account that was killed")
    return int(used < 0.97 or passed or len(paid) != pages or twice > max(dead[2], 0))


if __name__ == "__main__":
    sys.exit(main())

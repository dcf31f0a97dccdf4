"""A provider that dies in the middle of a run and comes back: pages, money and limits, by the ledgers of both.

    python -m benchmarks.failover [--down SECONDS] [--documents N] [--stop]

Two providers are processes that enforce their quotas over any minute and, with a tenth of tolerance, any second: A has
600 requests a minute, B 300. A run reads by the route `a,b`. A is killed when it has answered a hundred pages (with
--stop it is halted and goes on, so that requests hang), and is back at its port after --down seconds. The run meets a
ceiling of cost while A is away; the same command with a higher one goes on. The exit code is 1 when anything is not as
it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from one_ocr_ray.storage.dataset.verify import verify
from tests.faults.drivers import Driver
from tests.provider import ProviderProcess, kept_port, strict_minute, write_identity_pdfs
from tests.provider.ledger import arrivals, rows_of, worst_window

if TYPE_CHECKING:
    from tests.provider.ledger import Row

PAGES = 20  # of a document
DIES_AFTER = 100  # pages
IN_FLIGHT = 24
RPM = {"a": 600, "b": 300}
USD = {"a": 1.0, "b": 2.0}  # per million tokens
A_PAGE_USD = {name: usd * (1700 + 800) / 1e6 for name, usd in USD.items()}
LATENCY = {"shape": "uniform", "seconds": 0.3, "to_s": 0.9}


class DyingProvider:
    """A provider that is killed, or halted, and comes back at its port. Its ledgers are files, for all its lives."""

    def __init__(self, folder: Path, port: int, rpm: int, *, halts: bool) -> None:
        self._folder, self._port, self._rpm, self._halts = folder, port, rpm, halts
        self._lives = 0
        self.process: ProviderProcess | None = None
        self.under_way = 0  # when it died
        self.away: list[float] = []  # when it died, and when it was back, by the ledger's clock

    def start(self) -> None:
        """Begin a life, or go on with the one that was halted."""
        if self.process is not None and self._halts:
            os.kill(self.process.pid, signal.SIGCONT)
            return
        self._lives += 1
        ledger = self._folder / f"life-{self._lives}.jsonl"
        quotas = strict_minute(self._rpm)
        self.process = ProviderProcess(
            ledger_path=ledger, port=self._port, keys=(), quotas=quotas, latency=LATENCY
        ).__enter__()

    def die(self) -> None:
        """SIGKILL or SIGSTOP."""
        assert self.process is not None
        self.under_way = int(self.process.summary()["in_flight"])
        os.kill(self.process.pid, signal.SIGSTOP if self._halts else signal.SIGKILL)
        if not self._halts:
            self.process.__exit__()

    def rows(self) -> list[Row]:
        """Every request for a page that has ended."""
        lines = b"".join(path.read_bytes() for path in sorted(self._folder.glob("life-*.jsonl")))
        return [row for row in rows_of(lines) if row.operation == "read"]


def main() -> int:
    """Run, kill, bring back, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--down", type=float, default=60.0, help="seconds without A")
    parser.add_argument("--documents", type=int, default=40, help=f"of {PAGES} pages")
    parser.add_argument("--stop", action="store_true", help="halt A instead of killing it: its requests hang")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="failover-")))
        source = folder / "in"
        source.mkdir()
        write_identity_pdfs(source, range(options.documents), PAGES, lines=2)
        first = DyingProvider(folder, stack.enter_context(kept_port()), RPM["a"], halts=options.stop)
        first.start()
        second = stack.enter_context(ProviderProcess(keys=(), quotas=strict_minute(RPM["b"]), latency=LATENCY))
        assert first.process is not None
        urls = {"a": first.process.openai_url, "b": second.openai_url}
        ceiling_usd = 100 * A_PAGE_USD["a"] + 100 * A_PAGE_USD["b"]
        whole_usd = options.documents * PAGES * A_PAGE_USD["b"]
        faults = []
        watch = threading.Thread(target=_die_and_come_back, args=(first, options.down))
        watch.start()
        summaries = []
        for most_usd, code in ((ceiling_usd, 4), (whole_usd, 0)):
            with Driver(*_command(folder, source, urls, most_usd)) as driver:
                ended, summary = driver.wait(900)
                summaries.append(summary)
                spent = _usd("a", first.rows()) + _usd("b", second.rows())
                print(
                    f"a run ends with {ended} at {spent:.4f} of {most_usd:.4f} USD, by its own account "
                    f"{summary.get('cost_usd_total')}"
                )
                if ended != code:
                    faults.append(f"a run ended with {ended}, not {code}: {driver.said()[-2000:]}")
                if spent > most_usd:
                    faults.append(f"it has cost {spent} of {most_usd}")
        watch.join()
        assert first.process is not None
        faults += _report(folder / "out", options.documents * PAGES, first, _reads(second), summaries)
        first.process.__exit__()
    for fault in faults:
        print("NOT AS IT MUST BE:", fault)
    return 1 if faults else 0


def _command(folder: Path, source: Path, urls: dict[str, str], most_usd: float) -> list[str | Path]:
    """The arguments of a run by a configuration file with both engines."""
    engines = {
        name: {
            "engine": "openai", "model": f"model-{name}", "base_url": url, "rpm": RPM[name], "timeout": 10,
            "output_tokens": 1000, "prices": {"input_usd": USD[name], "output_usd": USD[name]},
        }
        for name, url in urls.items()
    }  # fmt: skip
    config = folder / "one-ocr.yaml"
    config.write_text(json.dumps({"route": "a,b", "max_in_flight": IN_FLIGHT, "engines": engines}))
    return [
        source, "--output", folder / "out", "--config", config, "--max-cost", str(most_usd), "--longest-side", "800",
    ]  # fmt: skip


def _die_and_come_back(provider: DyingProvider, down_s: float) -> None:
    assert provider.process is not None
    while provider.process.summary()["answered"] < DIES_AFTER:
        time.sleep(0.05)
    provider.die()
    provider.away.append(time.monotonic())
    time.sleep(down_s)
    provider.start()
    provider.away.append(time.monotonic())


def _reads(provider: ProviderProcess) -> list[Row]:
    return [row for row in provider.rows() if row.operation == "read"]


def _usd(name: str, rows: list[Row]) -> float:
    """What the provider has billed: every answer that it has sent whole."""
    return sum((row.input_tokens + row.output_tokens) * USD[name] / 1e6 for row in rows if row.answered)


def _report(
    output: Path, pages: int, first: DyingProvider, by_b: list[Row], summaries: list[dict[str, Any]]
) -> list[str]:
    """Print the table; gives what is not as it must be."""
    died, back = first.away
    by = {"a": first.rows(), "b": by_b}
    print(f"\n{'':<10} {'before':>8} {'away':>8} {'after':>8} {'refused':>8} {'busiest minute':>15} {'USD':>8}")
    faults = []
    for name, rows in by.items():
        answered = [row.finished_s for row in rows if row.answered]
        counts = [sum(low <= at < high for at in answered) for low, high in ((0, died), (died, back), (back, 1e12))]
        refused = sum(row.status == 429 for row in rows)
        busiest = worst_window(arrivals(rows), 60.0)
        print(
            f"{name:<10} {counts[0]:>8} {counts[1]:>8} {counts[2]:>8} {refused:>8} "
            f"{busiest:>9.0f} of {RPM[name]:>3} {_usd(name, rows):>8.4f}"
        )
        if busiest > RPM[name]:
            faults.append(f"the limit of {name} was passed")
    again = min((row.finished_s for row in by["a"] if row.answered and row.finished_s > back), default=None)
    if again is None:
        faults.append("a was not used again")
    else:
        print(f"a answers again {again - back:.1f} s after it is back")
    paid = Counter(row.page for rows in by.values() for row in rows if row.answered)
    twice = sum(count > 1 for count in paid.values())
    print(f"pages paid twice: {twice}; under way when a died: {first.under_way}")
    if twice > first.under_way:
        faults.append("pages were paid twice")
    pages_read = [row for file in (output / "pages").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    told = Counter((row["status"], row["engine"], row["route_reason"]) for row in pages_read)
    for (status, engine, reason), count in told.most_common():
        print(f"{count:>6} {status} by {engine}, route_reason {reason}")
    faults += [f"{len(pages_read)} rows of {pages} pages"] if len(pages_read) != pages else []
    faults += [f"{count} pages {key}" for key, count in told.items() if key[0] != "ok"]
    faults += list(verify(str(output)))
    spent = sum(_usd(name, each) for name, each in by.items())
    if abs(summaries[-1]["cost_usd_total"] - spent) > 1e-6 and not twice:
        faults.append(f"the run says {summaries[-1]['cost_usd_total']} USD, the ledgers {spent}")
    return faults


if __name__ == "__main__":
    sys.exit(main())

"""What tasks that have ended cost those that come: latencies of a service with many kept tasks, and of an empty one.

    python benchmarks/kept_tasks.py [--kept 20000] [--open 50] [--rounds 100]

Two `one-ocr serve` with Rays of their own on this machine, one over a store with so many finished tasks, one over an
empty store; both with the same number of open tasks, which a provider does not answer. Each request goes to one and
then to the other, so that whatever else the machine does meets both. The table has medians and 95th percentiles.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_urlsafe
from statistics import median, quantiles
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

from one_ocr_ray.policy.tasks.codec import StoredTask, encode_record, encode_task
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskRecord, TaskState, TaskView
from tests.cluster.service.serve_process import Served
from tests.provider import Latency, ProviderProcess, identity_pdf

if TYPE_CHECKING:
    from collections.abc import Callable

Seconds = dict[str, dict[str, list[float]]]  # by kind of request, by service

BATCH_TASKS = 20
BOUND = 1.2


def fill(store: Path, kept: int) -> None:
    """Finished tasks of nobody's, as a service leaves them."""
    now = datetime.now(UTC)
    for number in range(kept):
        record = TaskRecord(
            task_id=f"t_{token_urlsafe(16)}",
            batch_id=f"b_{number // BATCH_TASKS}",
            owner="",
            filename=f"{number}.pdf",
            size_bytes=1000,
            document_id=f"sha256:{number:064x}",
            created_at=now - timedelta(seconds=kept - number),
        )
        view = TaskView(
            record,
            TaskState.SUCCESS,
            rev=1,
            outcome=TaskOutcome.COMPLETE,
            started_at=record.created_at,
            finished_at=record.created_at,
            expires_at=now + timedelta(days=7),
            pages_total=3,
            pages_done=3,
        )
        folder = store / "tasks" / record.task_id
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(encode_record(record))
        (folder / "state.json").write_bytes(encode_task(StoredTask(view)))


def measured(services: dict[str, Served], opened: dict[str, list[str]], rounds: int) -> Seconds:
    """Each kind of request, `rounds` times; of uploads half of that."""
    seconds: Seconds = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for name, served in sorted(services.items(), reverse=number % 4 < 2):  # neither is always the first
            task_id = opened[name][number % len(opened[name])]
            batch_id = served.status(task_id)["batch_id"]
            asked: dict[str, Callable[[], object]] = {
                "status": lambda served=served, task_id=task_id: served.http.get(f"/task_status/{task_id}"),
                "batch": lambda served=served, batch_id=batch_id: served.http.get(f"/v1/batches/{batch_id}"),
                "ready": lambda served=served: served.http.get("/readyz"),
                "newest tasks": lambda served=served: served.http.get("/v1/tasks"),
            }
            if number % 2 == 0:
                asked["upload"] = lambda served=served, number=number: served.upload(identity_pdf(5000 + number, 1))
            for kind, ask in asked.items():
                begun = time.perf_counter()
                ask()
                seconds[kind][name].append(time.perf_counter() - begun)
    return seconds


def main() -> int:
    """Print the table; 1 where the kept tasks are felt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=int, default=20_000)
    parser.add_argument("--open", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        provider = running.enter_context(ProviderProcess(keys=()))
        provider.reset(latency=Latency(seconds=3600.0))
        services: dict[str, Served] = {}
        for name, kept in (("empty", 0), ("full", options.kept)):
            own = Path(folder) / name
            own.mkdir()
            fill(own / "store", kept)
            begun = time.perf_counter()
            flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000, "timeout": 7200}
            services[name] = running.enter_context(Served(own, **flags))
            while services[name].http.get("/readyz").status_code != 200:
                time.sleep(0.1)
            print(f"{name}: {kept:,} kept tasks, ready after {time.perf_counter() - begun:.1f} s", flush=True)
        opened = {
            name: [task for n in range(options.open) for task in served.upload(identity_pdf(n, 1))]
            for name, served in services.items()
        }
        seconds = measured(services, opened, options.rounds)
    print(f"\n| request | empty store p50 / p95 ms | {options.kept:,} kept p50 / p95 ms | ratio of p50 |")
    print("|---|---|---|---|")
    felt = False
    for kind, by_name in seconds.items():
        cells = [f"{1000 * median(by_name[n]):.1f} / {1000 * quantiles(by_name[n], n=20)[-1]:.1f}" for n in services]
        ratio = median(by_name["full"]) / median(by_name["empty"])
        felt = felt or (kind in {"status", "upload"} and ratio > BOUND)
        print(f"| {kind} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
    return int(felt)


if __name__ == "__main__":
    sys.exit(main())

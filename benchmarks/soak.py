"""A service under load and faults for a while, and whether it is as good as new afterwards.

    python benchmarks/soak.py [--minutes 30]

`one-ocr serve` with a Ray of its own on this machine, the fake provider of the tests beside it. Uploads of one to six
pages all the time; one in ten is cancelled, one in twenty meets an account without credit. Every twenty seconds a task
worker or the manager is killed (kill -9); once a task's record is torn. Afterwards every task has ended, an upload is
read at once, as many requests go out at a time as ever, and memory and processes are what they were.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

import httpx
import psutil

from tests.cluster.service.serve_process import Served
from tests.provider import Latency, ProviderProcess, Rule, identity_pdf

IN_FLIGHT = 32
OPEN_AT_MOST = 40
KILL_EVERY_S = 20.0
LOOK_EVERY_S = 5.0
ALONE_S = 5.0
SLOW_S = 4.0
FLAT = 1.15
STREAMS = 64
NO_CREDIT = 9000  # documents of this number and above
ENDED = ("SUCCESS", "FAILURE", "REVOKED")


@dataclass
class Soak:
    """What has been asked of the service, and how it was."""

    served: Served
    chance: random.Random
    number: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)  # what was done with each task
    open: dict[str, float | None] = field(default_factory=dict)  # when it is to be cancelled
    looks: list[tuple[int, int]] = field(default_factory=list)  # bytes, processes

    def upload(self) -> None:
        """One more document."""
        self.number += 1
        broke = self.chance.random() < 0.05
        pdf = identity_pdf(self.number % NO_CREDIT + (NO_CREDIT if broke else 0), self.chance.randint(1, 6))
        answer = self.served.http.post("/upload", files={"files": ("a.pdf", pdf, "application/pdf")})
        if answer.status_code != 202:  # the task manager is being restarted
            self.refused[answer.status_code] += 1
            return
        task_id = answer.json()["task_ids"][0]
        cancelled = self.chance.random() < 0.1
        self.open[task_id] = time.monotonic() + 2 * self.chance.random() if cancelled else None
        self.accepted[task_id] = "without credit" if broke else "cancelled" if cancelled else "read"

    def follow(self) -> None:
        """Cancel what is to be cancelled; forget what has ended."""
        for task_id, cancel_at in list(self.open.items()):
            if cancel_at is not None and time.monotonic() > cancel_at:
                answer = self.served.http.post(f"/v1/tasks/{task_id}/cancel")
                self.open[task_id] = None if answer.status_code < 300 else cancel_at
        for task_id in self.chance.sample(list(self.open), min(5, len(self.open))):
            answer = self.served.http.get(f"/task_status/{task_id}")
            if answer.status_code == 200 and answer.json()["state"] in ENDED:
                del self.open[task_id]

    def kill(self) -> None:
        """A worker, or the task manager."""
        kind = self.chance.choice(("TaskWorker", "TaskManagerActor"))
        for victim in self.served.processes(f"ray::{kind}"):
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.kills[kind] += 1

    def look(self) -> None:
        """Memory and processes of the service now."""
        size_bytes = number = 0
        for process in self.served.processes():
            with suppress(psutil.NoSuchProcess):
                size_bytes += process.memory_full_info().pss
                number += 1
        self.looks.append((size_bytes, number))

    def run(self, minutes: float, store: Path) -> None:
        """The load and the faults."""
        begun = time.monotonic()
        next_kill, next_look, torn = begun + KILL_EVERY_S, begun, False
        while (now := time.monotonic()) < begun + 60 * minutes:
            if now > next_look:
                next_look = now + LOOK_EVERY_S
                self.look()
            if now > next_kill:
                next_kill = now + KILL_EVERY_S
                self.kill()
            if not torn and now > begun + 30 * minutes:
                torn = True
                folder = store / "tasks" / f"t_{token_urlsafe(16)}"
                folder.mkdir()
                (folder / "record.json").write_bytes(b'{"task_id": "t_')
            with suppress(httpx.TransportError):
                if len(self.open) < OPEN_AT_MOST:
                    self.upload()
                self.follow()
            time.sleep(0.2)


def ended(soak: Soak) -> Counter[str]:
    """How every task has ended, by what was done with it."""
    ends = Counter[str]()
    for task_id, done in soak.accepted.items():
        body = soak.served.until(task_id)
        ends[f"{done}: {body['state']} {body['error']['code'] if body['error'] else ''}".strip()] += 1
    return ends


def after(soak: Soak, provider: ProviderProcess) -> dict[str, tuple[str, bool]]:
    """What is to be as ever, what it was, and whether it is."""
    http = soak.served.http
    provider.reset(latency=Latency(seconds=0.1))
    begun = time.perf_counter()
    alone = soak.served.until(soak.served.upload(identity_pdf(8001, 1))[0])
    alone_s = time.perf_counter() - begun
    provider.reset(latency=Latency(seconds=SLOW_S))
    begun = time.perf_counter()
    (wide_id,) = soak.served.upload(identity_pdf(8002, IN_FLIGHT))
    with ExitStack() as held:
        paths = [f"/task_status/{wide_id}/events"] * STREAMS
        streams = Counter(held.enter_context(http.stream("GET", path)).status_code for path in paths)
    wide = soak.served.until(wide_id)
    wide_s = time.perf_counter() - begun
    half = soak.looks[len(soak.looks) // 4 : len(soak.looks) // 2]
    last = soak.looks[-len(soak.looks) // 4 :]
    (before_mb, after_mb), (before_n, after_n) = (
        [median(look[at] for look in looks) / unit for looks in (half, last)] for at, unit in ((0, 1 << 20), (1, 1))
    )
    return {
        "an upload of one page": (
            f"{alone['state']} after {alone_s:.1f} s",
            alone["state"] == "SUCCESS" and alone_s < 5,
        ),
        f"{IN_FLIGHT} pages that take {SLOW_S:g} s each": (
            f"{wide['state']} after {wide_s:.1f} s",
            wide["state"] == "SUCCESS" and wide_s < 2 * SLOW_S,
        ),
        f"{STREAMS} event streams at once": (str(dict(streams)), streams == {200: STREAMS}),
        "memory in MB, second and last quarter": (f"{before_mb:.0f}, {after_mb:.0f}", after_mb < FLAT * before_mb),
        "processes, second and last quarter": (f"{before_n:g}, {after_n:g}", after_n <= before_n + 2),
    }


def main() -> int:
    """Print the tables; 1 where something is not as ever."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=18)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ProviderProcess(keys=()) as provider:
        no_credit = Rule(fault="insufficient_quota", page=f"doc-{NO_CREDIT // 1000}* page *")
        provider.reset(latency=Latency(shape="uniform", seconds=0.1, to_s=1.0), rules=[no_credit])
        flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000, "max_in_flight": IN_FLIGHT}
        with Served(Path(folder), **flags) as served:
            soak = Soak(served, random.Random(options.seed))
            soak.run(options.minutes, Path(folder) / "store")
            ends = ended(soak)
            found = after(soak, provider)
    told = {"uploads accepted": len(soak.accepted), **soak.kills, **ends}
    told |= {f"uploads answered {status}": number for status, number in soak.refused.items()}
    print("\n| what was done | how often |\n|---|---|")
    print("\n".join(f"| {what} | {number} |" for what, number in told.items()))
    print("\n| afterwards | is | as ever |\n|---|---|---|")
    print("\n".join(f"| {what} | {how} | {'yes' if good else 'NO'} |" for what, (how, good) in found.items()))
    # All share one account: who is in its line when it has no credit for another's page is told so, too.
    wrong = [end for end in ends if end.startswith("read") and not end.endswith(("SUCCESS", "billing"))]
    return int(bool(wrong) or not all(good for _, good in found.values()))


if __name__ == "__main__":
    sys.exit(main())

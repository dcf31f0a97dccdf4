"""How many permits a second the limiter hands out, what one costs, and how exactly it keeps a rate.

    python benchmarks/limiter.py

Eight worker processes with saturating coroutines against one limiter actor, on a Ray of their own. The first row asks
for as much as goes (600 million requests a minute are allowed); the others are held to a rate. Measured after the
limiter's start-up ramp. A window is a second that begins at a request; "worst" is the busiest one against the rate.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_DEDUP_LOGS="0")  # before Ray is imported

import ray

from one_ocr_ray.cluster.limiter import RemoteLimiter, get_limiter, limiter_name
from one_ocr_ray.model import Answer
from one_ocr_ray.policy.ratelimit.messages import LimiterClient, Limits
from one_ocr_ray.reading.limits.permits import LeasedPermits

WORKERS = 8
WARM_UP_S = 14.0
MEASURED_S = 10.0
UNLIMITED_PER_S = 10_000_000.0
TABLE = "{:>12} {:>10} {:>9} {:>10} {:>11} {:>10}"


class Worker:
    """Acquires permits for requests that take no time, as fast as it gets them."""

    def __init__(self, limiter: str, per_s: float) -> None:
        client = LimiterClient(uuid4().hex, "benchmark", limits=Limits(requests_per_minute=60 * per_s))
        self._permits = LeasedPermits(RemoteLimiter(limiter), client)

    async def saturate(self, begin: float, end: float, coroutines: int) -> tuple[list[float], float]:
        """When each request between `begin` and `end` (wall clock) went out, and this process's CPU seconds then."""
        sent: list[float] = []

        async def send() -> None:
            while time.time() < end:
                await self._permits.acquire(0)
                sent.append(time.time())
                self._permits.report(0, Answer(), 0.0)

        senders = [asyncio.create_task(send()) for _ in range(coroutines)]
        await asyncio.sleep(max(0.0, begin - time.time()))
        cpu_s = time.process_time()
        await asyncio.sleep(max(0.0, end - time.time()))
        cpu_s = time.process_time() - cpu_s
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        return [instant for instant in sent if begin <= instant < end], cpu_s

    async def close(self) -> None:
        """Give back what is left."""
        await self._permits.close()


def measure(per_s: float, coroutines: int) -> dict[str, float]:
    """One row of the table."""
    name = limiter_name("benchmark", "none", uuid4().hex)
    limiter = get_limiter(name)
    workers = [ray.remote(num_cpus=0)(Worker).remote(name, per_s) for _ in range(WORKERS)]
    ray.get([worker.saturate.remote(0.0, 0.0, 0) for worker in workers])  # their processes are up
    begin = time.time() + WARM_UP_S
    running = [worker.saturate.remote(begin, begin + MEASURED_S, coroutines) for worker in workers]
    time.sleep(begin - time.time())
    cpu_s = limiter_cpu_s(limiter)
    time.sleep(begin + MEASURED_S - time.time())
    cpu_s = limiter_cpu_s(limiter) - cpu_s
    results = ray.get(running)
    ray.get([worker.close.remote() for worker in workers])
    for actor in (*workers, limiter):
        ray.kill(actor)
    sent = sorted(instant for instants, _ in results for instant in instants)
    return {
        "permits_per_s": len(sent) / MEASURED_S,
        "achieved": len(sent) / MEASURED_S / per_s,
        "worst_1s": busiest_second(sent) / per_s,
        "limiter_us": cpu_s * 1e6 / len(sent),
        "worker_us": sum(cpu for _, cpu in results) * 1e6 / len(sent),
    }


def limiter_cpu_s(limiter: Any) -> float:
    """CPU seconds of the limiter's process so far."""
    return float(ray.get(limiter.__ray_call__.remote(lambda _: time.process_time())))


def busiest_second(instants: list[float]) -> int:
    """The highest count in any second."""
    most = first = 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def main() -> None:
    ray.init(address="local", num_cpus=4, include_dashboard=False, object_store_memory=200 << 20, log_to_driver=False)
    print(f"{WORKERS} workers, {MEASURED_S:g} s a row; CPU per permit")
    print(TABLE.format("configured/s", "permits/s", "achieved", "worst 1 s", "limiter us", "worker us"))
    for per_s, coroutines in ((UNLIMITED_PER_S, 500), (50.0, 32), (500.0, 64), (5000.0, 256)):
        row = measure(per_s, coroutines)
        held = per_s < UNLIMITED_PER_S
        columns = (
            f"{per_s:g}" if held else "unlimited",
            f"{row['permits_per_s']:,.0f}",
            f"{row['achieved']:.4f}" if held else "-",
            f"{row['worst_1s']:.3f}" if held else "-",
            f"{row['limiter_us']:.1f}",
            f"{row['worker_us']:.1f}",
        )
        print(TABLE.format(*columns), flush=True)


if __name__ == "__main__":
    main()

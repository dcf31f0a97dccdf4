"""How fast the service answers: one page from upload to result, and status under load.

    python benchmarks/service.py [--seconds 120]

`one-ocr serve` with a Ray of its own on this machine, and the fake provider of the tests beside it. First a document of
one page at a time, from the first byte of the upload to the status SUCCESS (long poll), with 0.2 s of provider latency.
Then the load: 50 clients that ask for a status every second, 20 event streams, 2 uploads of 3 pages a second, 1 s of
latency. Event lag is from the end of the provider's answer to the event at the client, journal included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

import aiohttp

from tests.cluster.service.serve_process import Served
from tests.provider import Latency, ProviderProcess, identity_pdf

POLLERS = 50
POLL_EVERY_S = 1.0
STREAMS = 20
UPLOADS_PER_S = 2.0
PAGES = 3
SINGLES = 30
ENDED = {"SUCCESS", "FAILURE", "REVOKED"}


@dataclass
class Measured:
    """What the load has seen."""

    status_s: list[float] = field(default_factory=list)
    upload_s: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    events: dict[str, float] = field(default_factory=dict)  # page identity -> wall clock of its first event
    accepted: dict[str, int] = field(default_factory=dict)  # task id -> document number


async def upload(http: aiohttp.ClientSession, document: int, pages: int) -> tuple[int, str]:
    """Status and task id."""
    form = aiohttp.FormData()
    form.add_field("files", identity_pdf(document, pages), filename=f"{document}.pdf", content_type="application/pdf")
    async with http.post("/upload", data=form) as answer:
        body = await answer.json()
        return answer.status, body["task_ids"][0] if answer.status == 202 else ""


async def until_ended(http: aiohttp.ClientSession, task_id: str) -> str:
    """The state in which it ended."""
    etag = ""
    while True:
        headers = {"If-None-Match": etag} if etag else {}
        async with http.get(f"/task_status/{task_id}?wait=30", headers=headers) as answer:
            if answer.status == 200:
                etag = answer.headers["ETag"]
                state = (await answer.json())["state"]
                if state in ENDED:
                    return str(state)


async def singles(http: aiohttp.ClientSession) -> None:
    """One page at a time."""
    answered_s, whole_s = [], []
    for number in range(SINGLES + 3):
        begun = time.perf_counter()
        _, task_id = await upload(http, 10_000 + number, 1)
        accepted = time.perf_counter()
        assert await until_ended(http, task_id) == "SUCCESS"
        if number >= 3:  # the first ones start processes
            answered_s.append(accepted - begun)
            whole_s.append(time.perf_counter() - begun)
    print(f"one page, latency 0.2 s: 202 after {median(answered_s):.3f} s, SUCCESS after {median(whole_s):.3f} s (p50)")
    print(f"  slowest of {SINGLES}: {max(whole_s):.3f} s")


async def poll(http: aiohttp.ClientSession, measured: Measured, number: int) -> None:
    """One client that looks at one of the newest tasks every now and then."""
    await asyncio.sleep(number / POLLERS * POLL_EVERY_S)
    while True:
        if measured.accepted:
            task_id = list(measured.accepted)[-1 - number % min(10, len(measured.accepted))]
            begun = time.perf_counter()
            async with http.get(f"/task_status/{task_id}") as answer:
                await answer.read()
                measured.answers[f"status {answer.status}"] += 1
            measured.status_s.append(time.perf_counter() - begun)
        await asyncio.sleep(POLL_EVERY_S)


async def follow(http: aiohttp.ClientSession, measured: Measured) -> None:
    """One event stream after another, each of the newest task."""
    seen = ""
    while True:
        task_id = next(reversed(measured.accepted), "")
        if task_id in {"", seen}:
            await asyncio.sleep(0.05)
            continue
        seen = task_id
        async with http.get(f"/task_status/{task_id}/events") as stream:
            measured.answers[f"events {stream.status}"] += 1
            kind = ""
            async for raw in stream.content:
                line = raw.decode().rstrip()
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "page":
                    page = json.loads(line[6:])["page_number"]
                    name = f"doc-{measured.accepted[task_id]:04d} page {page}"
                    measured.events.setdefault(name, time.time())
                elif line.startswith("data: ") and kind == "end":
                    break


async def feed(http: aiohttp.ClientSession, measured: Measured, number: int) -> None:
    """One upload."""
    begun = time.perf_counter()
    status, task_id = await upload(http, number, PAGES)
    measured.upload_s.append(time.perf_counter() - begun)
    measured.answers[f"upload {status}"] += 1
    if task_id:
        measured.accepted[task_id] = number


async def load(http: aiohttp.ClientSession, provider: ProviderProcess, seconds: float) -> None:
    """All at once, for `seconds`."""
    measured = Measured()
    watching = [asyncio.create_task(poll(http, measured, number)) for number in range(POLLERS)]
    watching += [asyncio.create_task(follow(http, measured)) for _ in range(STREAMS)]
    begun, uploads = time.perf_counter(), []
    for number in range(int(seconds * UPLOADS_PER_S)):
        await asyncio.sleep(max(0.0, begun + number / UPLOADS_PER_S - time.perf_counter()))
        uploads.append(asyncio.create_task(feed(http, measured, number)))
    await asyncio.gather(*uploads)
    states = Counter([await until_ended(http, task_id) for task_id in measured.accepted])
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    report(measured, states, provider)


def report(measured: Measured, states: Counter[str], provider: ProviderProcess) -> None:
    """The figures."""
    ended = {row.page: row.arrived_at + row.finished_s - row.arrived_s for row in provider.rows() if row.answered}
    lags = [at - ended[page] for page, at in measured.events.items() if page in ended]
    print(f"answers: {dict(measured.answers)}; tasks: {dict(states)}")
    for name, values in (("status", measured.status_s), ("upload", measured.upload_s), ("event lag", lags)):
        p99 = quantiles(values, n=100)[98]
        print(f"{name:>10}: p50 {median(values):.3f} s, p99 {p99:.3f} s, max {max(values):.3f} s, n {len(values)}")
    print(f"pages asked for twice: {provider.summary()['pages_answered_again']}")


async def drive(url: str, provider: ProviderProcess, seconds: float) -> None:
    """Both parts, with one client."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as http:
        await singles(http)
        provider.reset(latency=Latency(seconds=1.0))
        await load(http, provider, seconds)


def main() -> None:
    """Start everything, measure, end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, ProviderProcess(keys=(), latency=Latency(seconds=0.2)) as provider:
        flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 600_000}
        with Served(Path(folder), **flags) as service:
            asyncio.run(drive(str(service.http.base_url), provider, seconds))
            print(f"ended by SIGTERM with {service.stop()}")


if __name__ == "__main__":
    main()

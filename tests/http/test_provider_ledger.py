"""The test provider as a test sees it: its ledger, its control, and its life as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest

from tests.http.raw import RawClient, rows_when, text_of
from tests.provider import DEFAULT_KEY, ProviderProcess, Quota, Rule, Unit
from tests.provider.ledger import most_in_flight, rows_of
from tests.provider.questions import fingerprint
from tests.waiting import PATIENCE_S, eventually, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider import Provider


async def test_a_row_tells_what_was_asked(provider: Provider, raw_client: RawClient, page_images: list[bytes]) -> None:
    """Settings, tokens, sizes, times and a fingerprint instead of the key; neither image nor prompt."""
    before_s = time.monotonic()
    seen = await raw_client.ask(page_images[0], temperature=0.7, max_completion_tokens=321)
    (row,) = await rows_when(provider, 1)
    assert seen.headers["x-request-id"] == f"req_{row.serial}"
    assert seen.json["id"] == f"chatcmpl-{row.serial}"
    assert (row.settings["temperature"], row.settings["max_completion_tokens"]) == (0.7, 321)
    assert "messages" not in row.settings
    assert (row.model, row.input_tokens, row.output_tokens, row.answered) == ("some-model", 1700, 800, True)
    assert row.key == fingerprint(DEFAULT_KEY) != DEFAULT_KEY
    assert row.body_bytes > len(page_images[0]) * 4 / 3
    assert before_s <= row.arrived_s <= row.finished_s <= time.monotonic()
    assert row.client.startswith("127.0.0.1:")


async def test_requests_in_flight_are_counted(provider: Provider, raw_client: RawClient) -> None:
    """Twelve slow requests at once are twelve in flight, while and afterwards."""
    provider.change(passes=0)
    asking = asyncio.gather(*(raw_client.ask() for _ in range(12)))
    await eventually(lambda: provider.summary()["in_flight"] == 12, "twelve requests")
    provider.change(passes=None)
    await asking
    assert most_in_flight(await rows_when(provider, 12)) == 12
    assert provider.summary(60)["worst_windows"] == {"60": 12.0}


def test_a_wrong_scenario_is_refused_with_its_reason(provider: Provider) -> None:
    """A typing error in a test's scenario fails that test."""
    with pytest.raises(ValueError, match="no such fault: serever_error"):
        provider.change(rules=[Rule(fault="serever_error")])
    with pytest.raises(ValueError, match="latencyy"):
        provider.reset(latencyy=1)


async def test_a_reset_begins_anew(provider: Provider, raw_client: RawClient) -> None:
    """Scenario, quotas and ledger are those of the start, but for what the reset names."""
    provider.change(quotas=[Quota(unit=Unit.REQUESTS, limit=1)], keys=["other"])
    assert (await raw_client.ask()).status == 401
    provider.reset(text_chars=5000)
    seen = await raw_client.ask()
    assert seen.status == 200
    assert len(text_of(seen)) >= 5000
    assert len(await rows_when(provider, 1)) == 1


# --- as a process

CLIENT = """
import json, sys, urllib.request
body = json.dumps({"model": "m", "messages": []}).encode()
headers = {"Authorization": "Bearer " + sys.argv[2]}
while True:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/chat/completions", body, headers)).read()
    print("answered", flush=True)
"""


def answered(path: Path) -> int:
    """The answers in a ledger's file."""
    return sum(row.answered for row in rows_of(path.read_bytes()))


def test_the_ledger_file_outlives_everybody(tmp_path: Path) -> None:
    """With client and provider both killed outright, each answer that the client saw is in the file."""
    path = tmp_path / "ledger.jsonl"
    with ProviderProcess(ledger_path=path) as provider:
        command = [sys.executable, "-c", CLIENT, provider.openai_url, DEFAULT_KEY]
        client = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert client.stdout is not None
        answers = [client.stdout.readline() for _ in range(20)]
        client.kill()
        answers += client.communicate()[0].splitlines()
        until(lambda: answered(path) >= len(answers), "the last row")  # a client may know of an end before the provider
        os.kill(provider.pid, signal.SIGKILL)
    rows = rows_of(path.read_bytes())
    assert len(answers) <= answered(path) <= len(answers) + 1
    assert [row.serial for row in rows] == list(range(1, len(rows) + 1))


def test_a_provider_process_ends_with_the_process_that_made_it() -> None:
    """A test that is killed leaves no provider behind, and one that ends in order none either."""
    with ProviderProcess() as provider:
        process = psutil.Process(provider.pid)
        assert process.is_running()
    assert not process.is_running()
    script = (
        "import os, signal\nfrom tests.provider import ProviderProcess\n"
        "p = ProviderProcess().__enter__()\nprint(p.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    orphan = int(done.stdout)
    if psutil.pid_exists(orphan):
        psutil.Process(orphan).wait(timeout=PATIENCE_S)


async def test_a_provider_can_come_back_at_its_place() -> None:
    """A restart on the same port continues the same URL, for tests of outages."""
    with ProviderProcess() as first:
        port = int(first.url.rsplit(":", 1)[1])
    with ProviderProcess(port=port, keys=[]) as second:
        assert second.url == first.url
        async with aiohttp.ClientSession() as session:
            assert (await RawClient(session, second).ask(key="any")).status == 200


async def test_the_provider_is_no_bottleneck(page_images: list[bytes]) -> None:
    """Reading markers and all, a request costs the provider at most eight times what sending it costs a bare client."""
    with ProviderProcess() as provider:
        theirs, ours = psutil.Process(provider.pid), psutil.Process()

        def cpu_s(process: psutil.Process) -> float:
            times = process.cpu_times()
            return float(times.user + times.system)

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32)) as session:
            raw_client = RawClient(session, provider)
            await raw_client.ask(page_images[0])
            before_s = cpu_s(theirs), cpu_s(ours)
            await asyncio.gather(*(raw_client.ask(page_images[index % 3]) for index in range(300)))
            spent_s = cpu_s(theirs) - before_s[0], cpu_s(ours) - before_s[1]
    assert spent_s[0] < 8 * spent_s[1]

"""Roads of a run with batches on which things go wrong, ended at their operations: what is billed stands in rows.

Here runs are ended at some operations of each road, so that all kinds of them have their turn;
`benchmarks/batch_steps.py` ends them at every one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.reading.batch.cancelling import cancel_batches
from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.batch_run import MODEL, BatchRun, CrashError, Death, MortalClient
from tests.faults.test_batches import PAPERS, digest_of, lagging
from tests.provider import DEFAULT_KEY, Identify, Provider
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.manual_clock import ManualClock
    from tests.provider.control import Control

EVERY = 16  # one operation in so many is tried here


@dataclass
class Trip:
    """One way along a road, on which the process is ended at operation `at`; 0: at none."""

    provider: Control
    root: Path
    at: int = 0
    names: list[str] = field(default_factory=list)  # of the operations at which it may be ended

    def run(self, *documents: Any, clock: ManualClock | None = None, turns: int = 4000, **fields: Any) -> BatchRun:
        """A run that is ended, and another one to the end; gives the last."""
        death = Death(self.at)
        first = BatchRun(self.root, self.provider, documents, death=death, **fields)
        first.clock = clock or first.clock
        with suppress(CrashError, BaseExceptionGroup):
            first.run(most_turns=turns)
        self.names = death.names
        if not self.at:
            return first
        last = BatchRun(self.root, self.provider, documents, clock=first.clock, **fields)
        last.run(most_turns=turns)
        return last


def play(provider: Control, rules: tuple[dict[str, Any], ...] = (), **batches: Any) -> None:
    provider.reset(identify="digest", batches=batches, rules=rules)


def mishaps(trip: Trip) -> tuple[BatchRun, list[int]]:
    """A file too large, a refusal for too many tokens, a batch that expires at half, and a line that fails."""
    fails = {"fault": "server_error", "page": digest_of(2), "times_per_page": 1}
    steps = [{"step": "upload", "fault": "413"}]
    play(trip.provider, (fails,), validate_s=10, run_s=60, cap_tokens=8000, expire_first=1, steps=steps)
    return trip.run(*PAPERS, rest="batch"), [1, 2, 1, 1, 1, 1, 1]


def at_gemini(trip: Trip) -> tuple[BatchRun, list[int]]:
    """Uploads in pieces, and a batch that expires and gives nothing."""
    play(trip.provider, validate_s=10, run_s=60, expire_first=1)
    return trip.run(*PAPERS, rest="batch", engine="gemini", shard_pages=100), [1] * 7


def a_retry(trip: Trip) -> tuple[BatchRun, list[int]]:
    """A committed shard, whose failed page is asked for again."""
    refused = {"fault": "refusal", "page": digest_of(2), "times_per_page": 1}
    play(trip.provider, (refused,), validate_s=10, run_s=60)
    before = BatchRun(trip.root, trip.provider, PAPERS[:1], shard_pages=100)
    before.run()
    return trip.run(*PAPERS[:1], clock=before.clock, again=True, run_id="again", shard_pages=100), [1, 2, 1]


def a_lost_batch(trip: Trip) -> tuple[BatchRun, list[int]]:
    """A creation that was cut off, looked for in lists that do not show it, fenced and given up."""
    before = lagging(trip.provider, trip.root, validate_s=2000, run_s=60)
    trip.root = before.root
    return trip.run(*PAPERS[:1], clock=before.clock, rest="batch"), [1] * 3


def a_cancel(trip: Trip) -> tuple[BatchRun, list[int]]:
    """`one-ocr batch cancel`, and a run without batches that takes what was answered and reads the rest."""
    play(trip.provider, run_s=6000)
    paper = document(1, page_count=8)
    before = BatchRun(trip.root, trip.provider, [paper], shard_pages=100)
    before.run(most_turns=2)
    trip.provider.turn_clock(3000)
    death = Death(trip.at)
    with suppress(CrashError, BaseExceptionGroup):
        cancel(trip, before, death)
    trip.names = death.names
    if trip.at:
        cancel(trip, before, Death())
    last = BatchRun(trip.root, trip.provider, [paper], clock=before.clock, submits=False, shard_pages=100)
    last.run()
    return last, [1] * 8


def cancel(trip: Trip, run: BatchRun, death: Death) -> None:
    output = Objects(str(trip.root))
    options = EngineOptions(
        name="openai", model=MODEL, base_url=trip.provider.openai_url, api_key=SecretStr(DEFAULT_KEY)
    )
    account = BatchState(output).account()
    assert account is not None

    async def act() -> None:
        client = MortalClient(options, death)
        try:
            await cancel_batches(output, client, account, clock=run.clock, say=lambda _: None)
        finally:
            await client.close()

    with death.watching_files():
        asyncio.run(act())


ROADS: tuple[Callable[[Trip], tuple[BatchRun, list[int]]], ...] = (mishaps, at_gemini, a_retry, a_lost_batch, a_cancel)


def assert_sound(run: BatchRun, attempts: list[int], name: str) -> None:
    """Every page has its row, each line was executed at most once a round, and the bill is the sum of the rows."""
    rows, ledger = run.rows(), run.provider.rows()
    assert [(row.status, row.attempts) for row in rows] == [(PageStatus.OK, each) for each in attempts], name
    executed = Counter((row.page, row.settings["tag"]) for row in ledger if row.operation == "line")
    assert set(executed.values()) == {1}, name
    usd = {"line": 0.5e-6, "read": 1e-6}
    billed = sum(usd.get(row.operation, 0.0) * (row.input_tokens + 10 * row.output_tokens) for row in ledger)
    assert billed == pytest.approx(sum(row.cost_usd or 0.0 for row in rows)), name
    left = run.provider.batches()
    assert (left["files"], set(left["tags"].values())) == (0, {1}), name
    assert run.stages() == {Stage.CLEANED}, name


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(identify=Identify.DIGEST) as provider:
        yield provider


@pytest.mark.parametrize("road", ROADS)
def test_a_road_ended_at_its_operations(
    road: Callable[[Trip], tuple[BatchRun, list[int]]], provider: Provider, tmp_path: Path
) -> None:
    """The rows of a run that nobody has ended, and nothing is paid twice or left behind."""
    whole = Trip(provider, tmp_path / "whole")
    assert_sound(*road(whole), "whole")
    for at in range(1, len(whole.names) + 1, EVERY):
        run, attempts = road(Trip(provider, tmp_path / f"{at}", at))
        assert_sound(run, attempts, f"{at}: {whole.names[at - 1]}")

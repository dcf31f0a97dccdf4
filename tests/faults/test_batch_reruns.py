"""What a run makes of batches that earlier runs have left: nothing that is paid is dropped or asked for unasked."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.reading.batch.history import GONE
from one_ocr_ray.reading.batch.room import NO_ROOM, TOO_LONG
from one_ocr_ray.reading.batch.run_batches import BatchWishes, RunBatches
from one_ocr_ray.reading.batch.watch import CUT_SHORT, REFUSED
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.pending_work import PendingWork
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.batch_run import MODEL, BatchRun
from tests.faults.test_batches import cancel_now, digest_of, executed, play
from tests.provider import DEFAULT_KEY, BatchPlay, Identify, Provider
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.reading.batch.cancelling import Cancelled


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(identify=Identify.DIGEST) as provider:
        yield provider


def opened(run: BatchRun, provider: Provider, *, submits: bool = True, wait_s: float | None = None) -> RunBatches:
    """The batches of the next run on the output of `run`."""
    output = Objects(str(run.root))
    options = EngineOptions(name="openai", model=MODEL, base_url=provider.openai_url, api_key=SecretStr(DEFAULT_KEY))
    committed = Dataset(output, {}).committed()
    wishes = BatchWishes(submits, wait_s=wait_s)
    return asyncio.run(RunBatches.open(output, options, wishes, committed, say=run.said.append, clock=run.clock))


def test_files_that_cannot_be_deleted_are_deleted_later(provider: Provider, tmp_path: Path) -> None:
    """What a committed shard has left there stays known until it is gone, and no failed page is read again for it."""
    provider.reset(
        identify="digest",
        batches={"run_s": 60, "steps": [{"step": "delete", "fault": "500", "times": 1000}]},
        rules=[{"fault": "refusal", "page": digest_of(2)}],
    )
    run = BatchRun(tmp_path / "out", provider, [document(1)], shard_pages=100)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK, PageStatus.FAILED, PageStatus.OK]
    batches = opened(run, provider)
    assert run.stages() == {Stage.COLLECTED}
    assert not batches.due(PendingWork([]), Dataset(Objects(str(run.root)), {}).committed())
    provider.change(batches={"run_s": 60})
    opened(run, provider)
    assert run.stages() == {Stage.CLEANED}
    assert provider.batches()["files"] == 0


def retrying(provider: Provider, root: Path) -> BatchRun:
    """A run whose retry of one failed page lies in a batch."""
    play_s = {"run_s": 60.0}
    rules = [{"fault": "refusal", "page": digest_of(2), "times_per_page": 1}]
    provider.reset(identify="digest", batches=play_s, rules=rules)
    run = BatchRun(root, provider, [document(1)], shard_pages=100)
    run.run()
    provider.change(batches={"run_s": 6000})
    again = BatchRun(root, provider, [document(1)], "again", clock=run.clock, again=True, shard_pages=100)
    again.run(most_turns=2)
    assert Stage.LIVE in again.stages()
    return again


def test_a_retry_that_lies_in_a_batch_survives_other_runs(provider: Provider, tmp_path: Path) -> None:
    """A run that finishes its shard leaves the batch alone; its answer is collected when it has ended."""
    again = retrying(provider, tmp_path / "out")
    finishing = BatchRun(
        again.root, provider, [document(1)], "other", clock=again.clock, again=True, finishes=True, shard_pages=100
    )
    finishing.run(most_turns=1)
    assert Stage.LIVE in again.stages()
    provider.turn_clock(6000)
    last = BatchRun(again.root, provider, [document(1)], "last", clock=again.clock, shard_pages=100)
    last.run()
    assert [(row.status, row.attempts) for row in last.rows()] == [
        (PageStatus.OK, 1), (PageStatus.OK, 2), (PageStatus.OK, 1),
    ]  # fmt: skip
    assert sum(executed(provider).values()) == 4
    assert last.stages() == {Stage.CLEANED}


@pytest.mark.parametrize("submits", [True, False])
def test_a_retry_is_due_when_its_batch_has_ended(submits: bool, provider: Provider, tmp_path: Path) -> None:
    """Not before, whatever a crash has left of its shard, and not as one that only has to be finished."""
    again = retrying(provider, tmp_path / "out")
    committed = Dataset(Objects(str(again.root)), {}).committed()
    at_work = PendingWork(sorted(committed))
    assert not opened(again, provider, submits=submits).due(at_work, committed)
    provider.turn_clock(6000)
    batches = opened(again, provider, submits=submits)
    asyncio.run(batches.watch.step())
    due = batches.due(at_work, committed)
    assert (due.open_shards, due.failed_shards) == ([], sorted(committed))


def test_refusals_for_too_many_tokens_keep_no_money(provider: Provider, tmp_path: Path) -> None:
    """What was set aside for a batch that was refused is free again, however often others have filled the account."""
    play(provider, run_s=60, cap_tokens=1000)
    run = BatchRun(tmp_path / "out", provider, [document(1)], max_usd=0.3, rest="batch")
    run.run(most_turns=120)
    assert provider.batches()["states"]["failed"] >= 4
    play_s = BatchPlay(run_s=60).model_dump()
    provider.change(batches=play_s)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 3


def test_a_short_result_of_an_unknown_size_is_not_trusted(provider: Provider, tmp_path: Path) -> None:
    """Where the provider does not tell the size of one of two results, that one is fetched again until it does."""
    rules = [{"fault": "server_error", "page": digest_of(2), "times_per_page": 1}]
    provider.reset(identify="digest", batches={"run_s": 60}, rules=rules)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=6)], rest="batch", shard_pages=100)
    run.run(most_turns=1)
    faults = [{"step": "get", "fault": "500", "after": 1}, {"step": "content", "fault": "short"}]
    provider.change(batches={"run_s": 60, "steps": faults})
    provider.turn_clock(100)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 6
    assert sum(executed(provider).values()) == 7


def cancelled(run: BatchRun, provider: Provider) -> tuple[Cancelled, list[str]]:
    """What `one-ocr batch cancel` does after `run`, and says."""
    said: list[str] = []
    return asyncio.run(cancel_now(run.root, provider, run, said.append)), said


def test_a_cancel_tells_of_results_that_are_gone(provider: Provider, tmp_path: Path) -> None:
    """They count as spent, in a sentence, and their pages are left for the next run."""
    play(provider, run_s=60)
    run = BatchRun(tmp_path / "out", provider, [document(1)], shard_pages=100)
    run.run(most_turns=1)
    provider.turn_clock(60 * 86_400.0)
    ended, said = cancelled(run, provider)
    assert (ended.parcels, ended.left) == (0, 3)
    assert said == [GONE.format(pages=3)]
    assert recorded_spending(Objects(str(run.root)), None).requests == 3


def test_a_cancel_of_files_that_no_batch_was_made_of(provider: Provider, tmp_path: Path) -> None:
    """They are deleted, one of a batch that fails validation, too, and nothing stops on the way."""
    play(provider, validate_s=3600, run_s=60, fail_codes=("invalid_json_line",))
    papers = [document(number, page_count=4) for number in range(1, 5)]
    run = BatchRun(tmp_path / "out", provider, papers, cap=1)
    run.run(most_turns=1)
    assert run.stages() == {Stage.LIVE, Stage.UPLOADED}
    provider.turn_clock(3600)
    ended, said = cancelled(run, provider)
    assert (ended.parcels, ended.left) == (0, 16)
    assert said == [REFUSED.format(code="invalid_json_line")]
    assert provider.batches()["files"] == 0


def test_a_file_that_is_longer_than_the_cap_is_cut(provider: Provider, tmp_path: Path) -> None:
    """It would wait for ever: its pages go into files that fit in, and no page is asked for twice."""
    play(provider, run_s=60, cap_tokens=8000)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=12)], rest="batch", shard_pages=100)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 12
    assert set(executed(provider).values()) == {1}
    assert run.said == [NO_ROOM.format(cap=" (here 5,600 will be used)"), TOO_LONG.format(pages=12)]
    assert provider.batches()["files"] == 0


def test_a_wait_says_where_the_pages_are(provider: Provider, tmp_path: Path) -> None:
    """Now and then in a line, with what is left of the time; at its end in a sentence with the deadline."""
    play(provider, run_s=6000)
    run = BatchRun(tmp_path / "out", provider, [document(1)], shard_pages=100)
    run.run(most_turns=1)
    batches = opened(run, provider, wait_s=100)
    with pytest.raises(StoppedError, match="--batch-wait") as stopped:
        asyncio.run(batches.wait(nullcontext, None, more_to_render=False, written=5))
    lines = [line for line in run.said if line.startswith("pages in batches: 3 with the provider · 5 written")]
    assert len(lines) == 2
    assert all(line.endswith("; within 24 h") for line in lines)
    told = str(batches.with_deadline(stopped.value))
    assert "1 batch (3 pages) is with the provider; run the same command again before 20" in told


def test_a_batch_that_is_cancelled_at_the_providers_console(provider: Provider, tmp_path: Path) -> None:
    """What it has done is kept, a sentence tells of it, and the other pages are asked for again."""
    play(provider, run_s=6000)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=8)], shard_pages=100)
    run.run(most_turns=2)
    provider.turn_clock(3000)
    (parcel,) = run.watch.in_stage(Stage.LIVE)
    options = EngineOptions(name="openai", model=MODEL, base_url=provider.openai_url, api_key=SecretStr(DEFAULT_KEY))

    async def console() -> None:
        client = BatchClient(options)
        assert await client.cancel(parcel.batch_id or "") is None
        await client.close()

    asyncio.run(console())
    last = BatchRun(run.root, provider, [document(1, page_count=8)], clock=run.clock, rest="batch", shard_pages=100)
    last.run(most_turns=400)
    assert last.said == [CUT_SHORT.format(pages=8, state="cancelled")]
    assert [(row.status, row.attempts) for row in last.rows()] == [(PageStatus.OK, 1)] * 8
    assert sum(executed(provider).values()) == 8


def test_a_listing_that_lags_is_told_and_waited_for(provider: Provider, tmp_path: Path) -> None:
    """A creation without an answer is looked for in one sentence, and found; nothing is created meanwhile."""
    play(provider, run_s=60, listed_after_s=300, steps=[{"step": "create", "fault": "500 done"}])
    run = BatchRun(tmp_path / "out", provider, [document(1)], shard_pages=100)
    run.run()
    (told,) = run.said
    assert told.startswith("Nobody knows if a batch of 3 pages was created at ")
    assert told.endswith("looking for it in the provider's list, until 20 minutes after that.")
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 3
    assert provider.batches()["batches"] == 1

"""Runs with provider batches: the rows of online requests at half the price, whatever happens on the way."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.reading.batch.cancelling import Cancelled, cancel_batches
from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.batch_run import BatchRun, CrashError, Death, image_of
from tests.provider import DEFAULT_KEY, BatchPlay, Identify, Provider
from tests.provider.identity import digest_of_base64
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAPERS = [document(1), document(2, page_count=4)]
PAGES = 7
PAGE_USD = (1700 * 1.0 + 800 * 10.0) / 1e6 / 2


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(identify=Identify.DIGEST) as provider:
        yield provider


def play(provider: Provider, **batches: Any) -> None:
    provider.reset(identify="digest", batches=BatchPlay(**batches).model_dump())


def forget(provider: Provider, *, looks: int) -> None:
    """The next `looks` at batches find none."""
    steps = [{"step": "get", "fault": "404", "times": looks}]
    provider.change(batches=BatchPlay(run_s=60, steps=steps).model_dump())  # type: ignore[arg-type]


def executed(provider: Provider) -> Counter[tuple[str, str]]:
    """How often each page was executed, by page and tag."""
    lines = (row for row in provider.rows() if row.operation == "line")
    return Counter((row.page or "", row.settings["tag"]) for row in lines)


def billed_usd(provider: Provider) -> float:
    return sum((row.input_tokens + 10 * row.output_tokens) / 2e6 for row in provider.rows() if row.operation == "line")


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_a_run_in_batches(engine: str, provider: Provider, tmp_path: Path) -> None:
    """Every page has its row at half the price, each line was executed once, and nothing is left at the provider."""
    play(provider, validate_s=10, run_s=3600)
    run = BatchRun(tmp_path / "out", provider, PAPERS, engine=engine)
    run.run()
    rows = run.rows()
    assert len(rows) == PAGES
    for row in rows:
        assert (row.status, row.engine, row.attempts, row.latency_ms) == (PageStatus.OK, engine, 1, None)
        assert row.cost_usd == pytest.approx(PAGE_USD)
        assert row.image_sha256 == f"{row.source_name}-{row.page_number}"
    assert set(executed(provider).values()) == {1}
    assert billed_usd(provider) == pytest.approx(sum(row.cost_usd or 0.0 for row in rows))
    assert provider.batches()["files"] == 0
    assert run.stages() == {Stage.CLEANED}
    assert run.rendered == PAGES


@pytest.mark.parametrize("engine", ["azure", "azure v1"])
def test_a_run_in_batches_of_azure(engine: str, provider: Provider, tmp_path: Path) -> None:
    """A file that is pending, states and counts of older versions, an error file of no bytes, and lines that failed."""
    steps = [{"step": "get", "fault": fault, "after": 4 + at} for at, fault in enumerate(("Validating", "null counts"))]
    batches = {"validate_s": 10, "run_s": 600, "pending_s": 0.1, "steps": steps}
    rules = [{"fault": "server_error", "page": digest_of(2), "times_per_page": 1}]
    provider.reset(identify="digest", batches=batches, rules=rules)
    run = BatchRun(tmp_path / "out", provider, [document(1)], engine=engine, rest="batch")
    run.run()
    assert [(row.status, row.attempts) for row in run.rows()] == [(PageStatus.OK, each) for each in (1, 2, 1)]
    assert {row.dialect for row in provider.rows()} == {"azure"}
    assert billed_usd(provider) == pytest.approx(sum(row.cost_usd or 0.0 for row in run.rows()))
    assert provider.batches()["files"] == 0
    assert {row.settings["fault"] for row in provider.rows() if row.operation == "get"} > {"Validating", "null counts"}


def assert_as_undisturbed(run: BatchRun, provider: Provider, name: str = "") -> None:
    """The rows of an undisturbed run; each line executed once a round; what was billed stands in the rows."""
    rows = run.rows()
    assert [row.status for row in rows] == [PageStatus.OK] * PAGES, name
    assert {row.attempts for row in rows} == {1}, name
    pages = Counter(page for page, _ in executed(provider).elements())
    assert set(pages.values()) == {1}, name
    assert billed_usd(provider) == pytest.approx(sum(row.cost_usd or 0.0 for row in rows)), name
    assert provider.batches()["files"] == 0, name
    assert set(provider.batches()["tags"].values()) == {1}, name
    assert run.stages() == {Stage.CLEANED}, name


@pytest.mark.parametrize("listed_after_s", [0.0, 300.0])
def test_a_run_killed_at_every_operation(listed_after_s: float, provider: Provider, tmp_path: Path) -> None:
    """Before and after every request and every object, where the list lags, too: the next run ends all the same."""
    play(provider, validate_s=10, run_s=60, listed_after_s=listed_after_s)
    whole = BatchRun(tmp_path / "whole", provider, PAPERS)
    whole.run()
    assert_as_undisturbed(whole, provider)
    names = whole.death.names
    wanted = [at for at, name in enumerate(names, start=1) if listed_after_s == 0.0 or name.startswith("create")]
    assert len(wanted) > 1
    for at in wanted:
        play(provider, validate_s=10, run_s=60, listed_after_s=listed_after_s)
        killed = BatchRun(tmp_path / f"{at}", provider, PAPERS, death=Death(at))
        with pytest.raises((CrashError, BaseExceptionGroup), match=r"^$|unhandled errors"):
            killed.run()
        after = BatchRun(tmp_path / f"{at}", provider, PAPERS, clock=killed.clock)
        after.run()
        assert_as_undisturbed(after, provider, f"{at}: {names[at - 1]}")


LAG_S = 3600.0  # longer than anybody looks for


def lagging(provider: Provider, root: Path, **play_more: Any) -> BatchRun:
    """A run that was killed while the provider created a batch that no list shows for an hour."""
    play(provider, listed_after_s=LAG_S, **play_more)
    whole = BatchRun(root / "whole", provider, PAPERS[:1])
    whole.run(most_turns=1)
    at = whole.death.names.index("create not noted") + 1
    play(provider, listed_after_s=LAG_S, **play_more)
    killed = BatchRun(root / "out", provider, PAPERS[:1], death=Death(at))
    with pytest.raises((CrashError, BaseExceptionGroup), match=r"^$|unhandled errors"):
        killed.run()
    return killed


def test_a_batch_that_lists_show_too_late(provider: Provider, tmp_path: Path) -> None:
    """Its pages were asked for again; it is cancelled, counted as dear as it can be, told once, and leaves no file."""
    killed = lagging(provider, tmp_path, validate_s=10, run_s=100_000)
    after = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=killed.clock, rest="batch")
    after.run(most_turns=100)
    assert provider.batches()["states"] == {"cancelled": 1, "in_progress": 1}
    told = [sentence for sentence in after.said if "come to light" in sentence]
    assert len(told) == 1
    assert "3 pages" in told[0]
    assert sum("asked for again" in sentence for sentence in after.said) == 2
    spent = recorded_spending(Objects(str(tmp_path / "out")), None)
    assert (spent.requests, spent.unknown_usd is not None and spent.unknown_usd >= 3 * PAGE_USD) == (3, True)
    provider.turn_clock(100_000)
    last = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=killed.clock, rest="batch")
    last.run()
    assert [row.status for row in last.rows()] == [PageStatus.OK] * 3
    assert provider.batches()["files"] == 0
    assert not BatchState(Objects(str(tmp_path / "out"))).lost()


def test_a_batch_that_cannot_read_its_file_any_more(provider: Provider, tmp_path: Path) -> None:
    """What the deleted file keeps from running costs nothing, and nothing is counted."""
    killed = lagging(provider, tmp_path, validate_s=2000, run_s=60)
    after = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=killed.clock, rest="batch")
    after.run()
    assert [row.status for row in after.rows()] == [PageStatus.OK] * 3
    assert provider.batches()["states"] == {"failed": 1, "completed": 1}
    assert set(executed(provider).values()) == {1}
    assert recorded_spending(Objects(str(tmp_path / "out")), None).requests == 0


def test_nobody_asks_again_for_what_no_list_shows(provider: Provider, tmp_path: Path) -> None:
    """With `strict` the parcel is named and kept, over runs that each look once; found late, it is collected."""
    killed = lagging(provider, tmp_path, validate_s=10, run_s=60)
    for _ in range(3):
        run = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=killed.clock, strict=True)
        run.run(most_turns=1)
        run.clock.advance(700)
        provider.turn_clock(700)
    assert [parcel.stage for parcel in run.watch.quarantined] == [Stage.UNSURE]
    provider.turn_clock(LAG_S)
    last = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=killed.clock, strict=True)
    last.run()
    assert_as_undisturbed_but_failed(last, provider, pages=3)


@pytest.mark.parametrize("rest", ["auto", "batch"])
def test_half_of_a_batch_expires(rest: str, provider: Provider, tmp_path: Path) -> None:
    """What was done is kept and paid once; the other pages go online where they are few, or into a second batch."""
    play(provider, run_s=60, expire_first=1)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=8)], rest=rest, shard_pages=8)
    run.run()
    rows = run.rows()
    assert [row.status for row in rows] == [PageStatus.OK] * 8
    assert {row.attempts for row in rows} == {1}
    online = [row for row in provider.rows() if row.operation == "read"]
    assert len(online) == (4 if rest == "auto" else 0)
    assert sum(executed(provider).values()) == 8 - len(online)
    dear = sum(row.cost_usd == pytest.approx(2 * PAGE_USD) for row in rows)
    assert dear == len(online)
    assert sum("8 pages has ended before all of it was run (expired)" in sentence for sentence in run.said) == 1
    assert provider.batches()["files"] == 0


def test_gemini_gives_nothing_of_an_expired_batch(provider: Provider, tmp_path: Path) -> None:
    """All of its pages go into the next one."""
    play(provider, run_s=60, expire_first=1)
    run = BatchRun(tmp_path / "out", provider, PAPERS, engine="gemini", rest="batch", shard_pages=100)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK] * PAGES
    assert provider.batches()["states"] == {"expired": 1, "completed": 1}
    assert set(executed(provider).values()) == {1}


def test_answers_that_cannot_be_used(provider: Provider, tmp_path: Path) -> None:
    """Lines that were not run are asked again without an attempt, faults with one; refusals are failed pages."""
    faults = [
        {"fault": "missing", "page": digest_of(1), "times_per_page": 1},
        {"fault": "status 0", "page": digest_of(2), "times_per_page": 1},
        {"fault": "doubled", "page": digest_of(4)},
        {"fault": "foreign", "page": digest_of(5)},
    ]
    rules = [
        {"fault": "server_error", "page": digest_of(3), "times_per_page": 1},
        {"fault": "refusal", "page": digest_of(6)},
    ]
    provider.reset(identify="digest", batches={"run_s": 60, "lines": faults}, rules=rules)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=7)], rest="batch", shard_pages=100)
    run.run()
    rows = {row.page_number: row for row in run.rows()}
    assert {number: row.attempts for number, row in rows.items()} == {1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1, 7: 1}
    assert [number for number, row in rows.items() if row.failure is not None] == [6]
    assert provider.batches()["states"] == {"completed": 2}


def digest_of(number: int) -> str:
    """How the provider calls a page of the first document."""
    text = base64.b64encode(image_of(document(1), number).data)
    return digest_of_base64(text)


def test_a_cap_on_enqueued_tokens(provider: Provider, tmp_path: Path) -> None:
    """Refusals for too much at once cost no page anything: the run learns the number and goes on in waves."""
    play(provider, run_s=60, cap_tokens=8000)
    papers = [document(number, page_count=4) for number in range(1, 7)]
    run = BatchRun(tmp_path / "out", provider, papers)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 24
    states = provider.batches()["states"]
    assert (states["completed"], set(executed(provider).values())) == (6, {1})
    assert 1 <= states["failed"] <= 6
    assert run.watch.room.meter.cap == 5600
    assert sum("5,600 will be used" in sentence for sentence in run.said) == 1


def test_a_file_that_is_refused_stops_the_run(provider: Provider, tmp_path: Path) -> None:
    """Nothing ran and nothing is lost: the run says why, and the next one makes the file anew."""
    play(provider, run_s=60, fail_codes=("invalid_json_line",))
    run = BatchRun(tmp_path / "out", provider, PAPERS, shard_pages=100)
    with pytest.raises(StoppedError, match="invalid_json_line"):
        run.run()
    after = BatchRun(tmp_path / "out", provider, PAPERS, clock=run.clock)
    after.run()
    assert_as_undisturbed_but_failed(after, provider)


def assert_as_undisturbed_but_failed(run: BatchRun, provider: Provider, pages: int = PAGES) -> None:
    assert [row.status for row in run.rows()] == [PageStatus.OK] * pages
    assert set(executed(provider).values()) == {1}
    assert provider.batches()["files"] == 0


def test_results_that_the_provider_has_deleted(provider: Provider, tmp_path: Path) -> None:
    """They are counted as spent, and their pages are asked for again."""
    play(provider, run_s=60)
    run = BatchRun(tmp_path / "out", provider, PAPERS[:1], shard_pages=100)
    run.run(most_turns=0)
    assert run.stages() == {Stage.UPLOADED} or run.stages() == {Stage.LIVE}
    run.run(most_turns=1)
    provider.turn_clock(60 * 86_400.0)
    after = BatchRun(tmp_path / "out", provider, PAPERS[:1], clock=run.clock, rest="batch", shard_pages=100)
    after.run()
    assert [row.status for row in after.rows()] == [PageStatus.OK] * 3
    spent = recorded_spending(Objects(str(tmp_path / "out")), None)
    assert (spent.requests, spent.unknown_usd is not None and spent.unknown_usd >= 3 * PAGE_USD) == (3, True)


@pytest.mark.parametrize(("engine", "by_the_user"), [("openai", False), ("openai", True), ("gemini", False)])
def test_a_batch_that_the_provider_has_forgotten(
    engine: str, provider: Provider, tmp_path: Path, *, by_the_user: bool
) -> None:
    """Nobody asks again for its pages while it may live, unless the user says so; then they count as spent."""
    play(provider, run_s=60)
    run = BatchRun(tmp_path / "out", provider, PAPERS[:1], engine=engine, shard_pages=100)
    run.run(most_turns=1)
    assert run.stages() == {Stage.LIVE}
    forget(provider, looks=1000)
    again = BatchRun(tmp_path / "out", provider, PAPERS[:1], "again", engine, rest="batch", shard_pages=100)
    again.clock = run.clock
    again.clock.advance(2 * 86_400.0)
    with pytest.raises(StoppedError, match="--give-up"):
        again.run()
    if by_the_user:
        with pytest.raises(StoppedError, match="--give-up"):
            asyncio.run(cancel_now(tmp_path / "out", provider, run))
        assert asyncio.run(cancel_now(tmp_path / "out", provider, run, gives_up=True)).left == 3
    else:
        again.clock.advance(86_400.0)
    forget(provider, looks=0 if by_the_user else 1)
    again.run()
    assert [row.status for row in again.rows()] == [PageStatus.OK] * 3
    spent = recorded_spending(Objects(str(tmp_path / "out")), None)
    assert (spent.requests, spent.unknown_usd is not None and spent.unknown_usd >= 3 * PAGE_USD) == (3, True)


@pytest.mark.parametrize("step", ["create", "upload", "content", "get"])
@pytest.mark.parametrize("fault", ["429", "500", "500 done", "cut", "cut done"])
def test_faults_of_a_step(step: str, fault: str, provider: Provider, tmp_path: Path) -> None:
    """A step that fails, or is done without an answer, is repeated where that is free and looked up where it is not."""
    play(provider, run_s=60, steps=[{"step": step, "fault": fault}])
    run = BatchRun(tmp_path / "out", provider, PAPERS, shard_pages=100)
    run.run()
    assert_as_undisturbed(run, provider, f"{step} {fault}")


def test_the_first_pages_prove_a_configuration(provider: Provider, tmp_path: Path) -> None:
    """Few pages lie in batches until some were answered well; those may be asked for online, and have their rows."""
    play(provider, run_s=6000)
    papers = [document(number, page_count=4) for number in range(1, 5)]
    never = BatchRun(tmp_path / "never", provider, papers, unproved_pages=3, canary=2, rest="batch")
    never.run(most_turns=2)
    assert [row for row in provider.rows() if row.operation == "read"] == []
    play(provider, run_s=6000)
    first = BatchRun(tmp_path / "out", provider, papers, unproved_pages=3, canary=2)
    first.run(most_turns=2)
    assert provider.batches()["live"] == 1
    assert first.watch.wants_proof
    assert sum(row.operation == "read" for row in provider.rows()) == 8
    first.watch.prove()
    last = BatchRun(tmp_path / "out", provider, papers, clock=first.clock, unproved_pages=3)
    last.run(most_turns=10)
    assert not last.watch.wants_proof
    assert provider.batches()["live"] == 4
    provider.turn_clock(6000)
    last.run()
    assert [row.status for row in last.rows()] == [PageStatus.OK] * 16
    assert {row.attempts for row in last.rows()} == {1}


def test_nothing_more_is_created_before_the_first_answers_are_judged(provider: Provider, tmp_path: Path) -> None:
    """Pages whose results wait count as unproved, too; they are collected before the other files of their shard."""
    play(provider, run_s=600)
    papers = [document(number, page_count=4) for number in range(1, 5)]
    first = BatchRun(tmp_path / "out", provider, papers, unproved_pages=3, rest="batch")
    first.run(most_turns=2)
    provider.turn_clock(600)
    first.clock.advance(600)
    asyncio.run(first.watch.step())
    assert provider.batches()["states"] == {"completed": 1}
    play(provider, run_s=600)
    paper = document(1, page_count=8)
    run = BatchRun(tmp_path / "one", provider, [paper], unproved_pages=3, parcel_tokens=1, rest="batch", shard_pages=8)
    run.run(most_turns=400)
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 8


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_a_file_that_is_too_large_is_halved(engine: str, provider: Provider, tmp_path: Path) -> None:
    """A proxy's 413 is the size of the file: its halves go up instead, and no page is asked for twice."""
    play(provider, run_s=60, steps=[{"step": "upload", "fault": "413", "times": 1}])
    run = BatchRun(tmp_path / "out", provider, PAPERS, engine=engine, shard_pages=100)
    run.run()
    assert_as_undisturbed(run, provider)
    uploads = {row.settings["tag"] for row in provider.rows() if row.operation == "upload" and row.status == 200}
    assert len(uploads - {""}) == 2


def test_a_result_that_comes_short_is_fetched_again(provider: Provider, tmp_path: Path) -> None:
    """A content is trusted only at its whole length."""
    play(provider, run_s=60, steps=[{"step": "content", "fault": "short"}])
    run = BatchRun(tmp_path / "out", provider, PAPERS, shard_pages=100)
    run.run()
    assert_as_undisturbed(run, provider)
    assert sum(row.operation == "content" for row in provider.rows()) == 2


def test_pages_in_live_batches_are_not_asked_online(provider: Provider, tmp_path: Path) -> None:
    """A run without batches beside live ones asks only for other pages; a later one collects what has ended."""
    play(provider, run_s=6000)
    first = BatchRun(tmp_path / "out", provider, PAPERS, shard_pages=100)
    first.run(most_turns=3)
    assert provider.batches()["live"] == 1
    online = BatchRun(
        tmp_path / "out", provider, [*PAPERS, document(9)], clock=first.clock, submits=False, shard_pages=100
    )
    online.run(most_turns=0)
    assert sum(row.operation == "read" for row in provider.rows()) == 3
    assert len(online.rows()) == 3
    provider.turn_clock(6000)
    last = BatchRun(tmp_path / "out", provider, PAPERS, clock=first.clock, submits=False, shard_pages=100)
    last.run()
    assert len(last.rows()) == PAGES + 3
    assert sum(row.operation == "read" for row in provider.rows()) == 3


def test_failed_pages_are_retried_in_a_batch(provider: Provider, tmp_path: Path) -> None:
    """A retry is a new batch with the failed pages alone; the good rows stay."""
    provider.reset(
        identify="digest",
        batches={"run_s": 60},
        rules=[{"fault": "refusal", "page": digest_of(2), "times_per_page": 1}],
    )
    run = BatchRun(tmp_path / "out", provider, [document(1)], shard_pages=100)
    run.run()
    assert [row.status for row in run.rows()] == [PageStatus.OK, PageStatus.FAILED, PageStatus.OK]
    again = BatchRun(tmp_path / "out", provider, [document(1)], "again", clock=run.clock, again=True, shard_pages=100)
    again.run()
    assert [row.status for row in again.rows()] == [PageStatus.OK] * 3
    assert [row.attempts for row in again.rows()] == [1, 2, 1]
    assert sum(executed(provider).values()) == 4


def test_a_cancelled_batch_keeps_what_it_has_done(provider: Provider, tmp_path: Path) -> None:
    """The answers so far are stored, the files are gone, and a run without batches reads the other pages."""
    play(provider, run_s=6000)
    first = BatchRun(tmp_path / "out", provider, [document(1, page_count=8)], shard_pages=100)
    first.run(most_turns=2)
    provider.turn_clock(3000)
    ended = asyncio.run(cancel_now(tmp_path / "out", provider, first))
    assert (ended.parcels, ended.pages) == (1, 8)
    assert provider.batches()["files"] == 0
    done = sum(executed(provider).values())
    assert 0 < done < 8
    papers = [document(1, page_count=8)]
    last = BatchRun(tmp_path / "out", provider, papers, clock=first.clock, submits=False, shard_pages=100)
    last.run()
    assert [row.status for row in last.rows()] == [PageStatus.OK] * 8
    assert sum(row.operation == "read" for row in provider.rows()) == 8 - done
    assert asyncio.run(cancel_now(tmp_path / "out", provider, first)).parcels == 0


async def cancel_now(
    root: Path,
    provider: Provider,
    run: BatchRun,
    say: Callable[[str], None] = lambda _: None,
    *,
    gives_up: bool = False,
) -> Cancelled:
    options = EngineOptions(name="openai", model="m", base_url=provider.openai_url, api_key=SecretStr(DEFAULT_KEY))
    client, output = BatchClient(options), Objects(str(root))
    account = BatchState(output).account()
    assert account is not None
    try:
        return await cancel_batches(output, client, account, clock=run.clock, say=say, gives_up=gives_up)
    finally:
        await client.close()


def test_a_ceiling_is_not_waited_for_with_results_at_hand(provider: Provider, tmp_path: Path) -> None:
    """Batches of one shard that have ended are collected while its others wait for the money that they give back."""
    play(provider, run_s=60)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=8)], max_usd=0.1, parcel_tokens=1, shard_pages=8)
    run.run(most_turns=60)
    assert [row.status for row in run.rows()] == [PageStatus.OK] * 8
    assert provider.batches()["states"] == {"completed": 8}


def test_results_are_collected_before_the_provider_deletes_them(provider: Provider, tmp_path: Path) -> None:
    """A shard whose other files wait for room for days is not waited for."""
    play(provider, run_s=60)
    run = BatchRun(tmp_path / "out", provider, [document(1, page_count=2)], cap=1, parcel_tokens=1, shard_pages=2)
    run.run(most_turns=1)
    provider.change(batches=BatchPlay(run_s=10 * 86_400.0).model_dump())
    run.run(most_turns=60 * 20)
    assert run.stages() == {Stage.CLEANED, Stage.LIVE}


def test_a_ceiling_holds_over_ten_killed_runs(provider: Provider, tmp_path: Path) -> None:
    """Every batch sets its dearest outcome aside before it is created; what a killed run has asked for counts."""
    play(provider, run_s=60)
    papers, most_usd = [document(number, page_count=4) for number in range(1, 7)], 0.22
    clock = BatchRun(tmp_path / "out", provider, papers).clock
    for at in range(10):
        run = BatchRun(
            tmp_path / "out", provider, papers, max_usd=most_usd, death=Death(16 + 9 * at), clock=clock, rest="batch"
        )
        with suppress(CrashError, BaseExceptionGroup, StoppedError):
            run.run()
    last = BatchRun(tmp_path / "out", provider, papers, max_usd=most_usd, clock=clock, rest="batch")
    with pytest.raises(StoppedError, match="--max-cost"):
        last.run()
    assert 0 < billed_usd(provider) <= most_usd
    assert set(executed(provider).values()) == {1}
    assert billed_usd(provider) == pytest.approx(sum(row.cost_usd or 0.0 for row in last.rows()))

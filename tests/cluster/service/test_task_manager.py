"""The task manager on a real Ray against the fake provider: what becomes of tasks, also when processes die."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from one_ocr_ray.model import ErrorCode, PageStatus
from one_ocr_ray.policy.tasks.callback import SIGNATURE, signature_of
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskState
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID
from one_ocr_ray.storage.tasks.usage_ledger import UsageLedger
from one_ocr_ray.tasks.port import Load
from tests import pdfs
from tests.cluster.outputs import read, rows
from tests.cluster.service.task_managers import (
    OWNER,
    TaskManagerSite,
    cut_off_workers,
    kill,
    task_manager_actor,
    task_manager_site,
)
from tests.http.local_servers import http_server
from tests.provider import Latency, ProviderProcess, Rule, identity_pdf, write_identity_pdfs
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("ray_cluster")

TIMES_OUT = "request_timeout"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    """One provider for all tests; each resets it."""
    with ProviderProcess(keys=()) as process:
        yield process


@pytest.fixture(scope="module")
def shared(provider: ProviderProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskManagerSite]:
    """One task manager for the tests that do not kill it."""
    with task_manager_site(tmp_path_factory.mktemp("service"), provider, models=("other-model",)) as site:
        yield site


@pytest.fixture
def site(shared: TaskManagerSite, provider: ProviderProcess) -> TaskManagerSite:
    """The shared task manager, with a provider that has forgotten everything."""
    provider.reset()
    return shared


def calls_of(provider: ProviderProcess, document: int) -> Counter[int]:
    """How often each page of a document was answered."""
    names = [row.page.split(" page ") for row in provider.rows() if row.answered and row.page]
    return Counter(int(page) for name, page in names if name == f"doc-{document:04d}")


def files_of(site: TaskManagerSite) -> list[Path]:
    """Every file of the store."""
    return [path for path in Path(site.store.root).rglob("*") if path.is_file()]


def texts(site: TaskManagerSite, task_id: str) -> dict[int, str]:
    """The first words of each page's text: the page's identity."""
    return {page.page_number: (page.markdown or "").split("\n")[0].lstrip("# ") for page in site.store.pages(task_id)}


async def test_a_task_is_read_and_its_dataset_keeps_the_contract(
    site: TaskManagerSite, provider: ProviderProcess
) -> None:
    """Every page once and itself; counts, usage and times are told; the dataset is one that `verify` finds sound."""
    task_id = await site.submit(identity_pdf(1, 5))
    view = await site.succeeded(task_id)
    assert (view.outcome, view.pages_total, view.pages_done, view.pages_failed) == (TaskOutcome.COMPLETE, 5, 5, 0)
    assert (view.input_tokens, view.percent, view.error) == (5 * 1700, 100.0, None)
    assert view.started_at is not None
    assert view.finished_at is not None
    assert view.expires_at == view.finished_at + timedelta(days=7)
    assert texts(site, task_id) == {n: f"doc-0001 page {n}" for n in range(1, 6)}
    assert calls_of(provider, 1) == dict.fromkeys(range(1, 6), 1)
    assert list(verify(site.store.output_uri(task_id))) == []
    (document,) = Dataset(Objects(site.store.output_uri(task_id)), {}).documents(SHARD_ID)
    assert document.source_name == "upload.pdf"


async def test_events_tell_every_page_once_in_rising_revs(site: TaskManagerSite) -> None:
    """From the beginning, from the middle, and at the end: nothing is lost and nothing comes twice."""
    task_id = await site.submit(identity_pdf(2, 4))
    rev, seen = -1, []
    while True:
        view, events = await site.manager.events(OWNER, task_id, rev, 5.0)
        assert all(rev < event.rev <= view.rev for event in events)
        seen += [(event.page_number, event.status) for event in events]
        rev = view.rev
        if view.state.terminal:
            break
    assert sorted(seen) == [(n, PageStatus.OK) for n in range(1, 5)]
    _, events = await site.manager.events(OWNER, task_id, -1, 0.0)
    assert sorted(event.page_number for event in events) == [1, 2, 3, 4]
    with pytest.raises(KeyError):
        await site.manager.events(OWNER, "t_" + "x" * 22, 0, 0.0)


async def test_tasks_of_others_are_not_there(site: TaskManagerSite) -> None:
    """For every call, as if they did not exist."""
    task_id = await site.submit(identity_pdf(3, 1))
    assert await site.manager.task("another", task_id) is None
    assert await site.manager.changed("another", task_id, -1, 0.0) is None
    assert await site.manager.cancel("another", task_id) is None
    assert await site.manager.retry("another", task_id, None) is None
    assert await site.manager.delete("another", task_id) is False
    with pytest.raises(KeyError):
        await site.manager.events("another", task_id, -1, 0.0)
    assert (await site.manager.tasks("another", None, None, 10, "")).items == ()
    assert (await site.succeeded(task_id)).record.owner == OWNER


async def test_the_list_is_newest_first_and_pages_through(site: TaskManagerSite) -> None:
    """By owner, state and batch; a cursor leads on, and a made-up one is refused."""
    ids = [await site.submit(b"no PDF", batch_id="b_list", owner="lister") for _ in range(3)]
    for task_id in ids:
        await site.until(task_id, lambda view: view.state.terminal, owner="lister")
    first = await site.manager.tasks("lister", None, "b_list", 2, "")
    rest = await site.manager.tasks("lister", None, "b_list", 2, first.next_cursor or "")
    assert [view.record.task_id for view in (*first.items, *rest.items)] == ids[::-1]
    assert rest.next_cursor is None
    assert (await site.manager.tasks("lister", TaskState.SUCCESS, None, 10, "")).items == ()
    for made_up in ("x", "é", "bm8gY3Vyc29y"):
        with pytest.raises(ValueError, match=r".*"):
            await site.manager.tasks("lister", None, None, 2, made_up)


async def test_a_document_that_cannot_be_opened_fails_with_its_code(
    site: TaskManagerSite, provider: ProviderProcess
) -> None:
    """Nothing is asked of the provider, and there is nothing to retry."""
    for data, code in (
        (pdfs.encrypted_pdf("secret"), ErrorCode.PDF_ENCRYPTED),
        (pdfs.truncated_pdf(), ErrorCode.PDF_CORRUPT),
        (pdfs.zero_pages_pdf(), ErrorCode.PDF_EMPTY),
    ):
        view = await site.ended(await site.submit(data))
        assert (view.state, view.outcome) == (TaskState.FAILURE, TaskOutcome.EMPTY)
        assert view.error is not None
        assert view.error.code is code
        assert await site.manager.retry(OWNER, view.record.task_id, None) is None
    assert provider.rows() == []


async def test_failed_pages_stand_beside_the_others_and_are_read_again(
    site: TaskManagerSite, provider: ProviderProcess
) -> None:
    """SUCCESS and partial; the retry asks for the failed pages only, and the good rows stay as they were."""
    provider.change(rules=[Rule(fault="content_filter", page="doc-0004 page [23]")])
    task_id = await site.submit(identity_pdf(4, 4))
    view = await site.succeeded(task_id)
    assert (view.outcome, view.pages_done, view.pages_failed) == (TaskOutcome.PARTIAL, 4, 2)
    assert [(each.page_number, each.code) for each in view.failures] == [
        (2, ErrorCode.CONTENT_FILTERED),
        (3, ErrorCode.CONTENT_FILTERED),
    ]
    before = {page.page_number: page for page in site.store.pages(task_id)}
    assert await site.manager.retry(OWNER, task_id, [1, 4]) is None, "those are good"
    provider.reset()
    begun = await site.manager.retry(OWNER, task_id, [3])
    assert begun is not None
    assert (begun.state, begun.pages_done, begun.pages_failed) == (TaskState.RETRY, 3, 1)
    assert begun.rev > view.rev
    again = await site.succeeded(task_id)
    assert (again.outcome, [each.page_number for each in again.failures]) == (TaskOutcome.PARTIAL, [2])
    assert calls_of(provider, 4) == {3: 1}
    _, events = await site.manager.events(OWNER, task_id, view.rev, 0.0)
    assert [(event.page_number, event.status) for event in events] == [(3, PageStatus.OK)]
    assert await site.manager.retry(OWNER, task_id, None) is not None
    whole = await site.succeeded(task_id)
    assert (whole.outcome, whole.failures) == (TaskOutcome.COMPLETE, ())
    after = {page.page_number: page for page in site.store.pages(task_id)}
    assert (after[1], after[4]) == (before[1], before[4])
    assert after[2].attempts == before[2].attempts + 1
    assert list(verify(site.store.output_uri(task_id))) == []
    assert await site.manager.retry(OWNER, task_id, None) is None


async def test_a_cancelled_task_ends_its_calls_and_keeps_its_pages(
    site: TaskManagerSite, provider: ProviderProcess
) -> None:
    """REVOKED; requests under way are dropped, finished pages stay and are not asked for again by a retry."""
    provider.change(rules=[Rule(fault="stall", page="doc-0005 page [45]", seconds=300)])
    task_id = await site.submit(identity_pdf(5, 5))
    await site.until(task_id, lambda view: view.pages_done == 3 and view.pages_running == 2)
    await eventually(lambda: provider.summary()["in_flight"] == 2, "both requests at the provider")
    view = await site.manager.cancel(OWNER, task_id)
    assert view is not None
    assert (view.state, view.outcome, view.pages_done) == (TaskState.REVOKED, TaskOutcome.PARTIAL, 3)
    await eventually(lambda: provider.summary()["aborted"] == 2, "the end of both requests")
    assert provider.summary()["in_flight"] == 0
    assert await site.manager.cancel(OWNER, task_id) == view, "to cancel again changes nothing"
    provider.change(rules=[])
    assert await site.manager.retry(OWNER, task_id, None) is not None
    assert (await site.succeeded(task_id)).outcome is TaskOutcome.COMPLETE
    assert calls_of(provider, 5) == dict.fromkeys(range(1, 6), 1)
    assert list(verify(site.store.output_uri(task_id))) == []


async def test_deletion_leaves_no_byte_of_a_running_task(site: TaskManagerSite, provider: ProviderProcess) -> None:
    """Neither in the store nor in a list; waiting calls are told."""
    provider.change(rules=[Rule(fault="stall", page="doc-0006 page 3", seconds=300)])
    task_id = await site.submit(identity_pdf(6, 3))
    view = await site.until(task_id, lambda view: view.pages_done == 2)
    waiting = asyncio.create_task(site.manager.changed(OWNER, task_id, view.rev, 30.0))
    assert await site.manager.delete(OWNER, task_id) is True
    assert await waiting is None
    assert await site.manager.task(OWNER, task_id) is None
    assert await site.manager.delete(OWNER, task_id) is False
    assert not [path for path in files_of(site) if task_id in str(path) or b"doc-0006" in path.read_bytes()]
    await eventually(lambda: provider.summary()["in_flight"] == 0, "the end of its request")


async def test_tasks_with_different_options_share_a_worker(site: TaskManagerSite, provider: ProviderProcess) -> None:
    """Model, prompt, pages and image size are each task's own."""
    wide = await site.submit(identity_pdf(7, 3), longest_side=900, pages="2-", prompt="Read it.", model="other-model")
    plain = await site.submit(identity_pdf(8, 2))
    await asyncio.gather(site.succeeded(wide), site.succeeded(plain))
    rows = {row.page: row.model for row in provider.rows()}
    assert set(rows) == {"doc-0007 page 2", "doc-0007 page 3", "doc-0008 page 1", "doc-0008 page 2"}
    assert rows["doc-0007 page 2"] == "other-model" != rows["doc-0008 page 1"]
    one, two = site.store.pages(wide)[0], site.store.pages(plain)[0]
    assert max(one.image_width or 0, one.image_height or 0) == 900
    assert max(two.image_width or 0, two.image_height or 0) == 1600
    assert one.prompt_sha256 != two.prompt_sha256
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    extracted = await site.submit(identity_pdf(9, 1), schema=json.dumps(schema))
    await site.succeeded(extracted)
    (page,) = site.store.pages(extracted)
    assert "doc-0009 page 1" in json.loads(page.data or "")["title"]
    refused = await site.ended(await site.submit(identity_pdf(9, 1), engine="gemini"))
    assert (refused.state, refused.error and refused.error.code) == (TaskState.FAILURE, ErrorCode.INVALID_OPTIONS)
    unknown = await site.ended(await site.submit(identity_pdf(9, 1), model="made-up"))
    assert (unknown.state, unknown.error and unknown.error.code) == (TaskState.FAILURE, ErrorCode.MODEL_NOT_FOUND)


async def test_a_cost_ceiling_stops_the_task_and_not_the_service(
    site: TaskManagerSite, provider: ProviderProcess
) -> None:
    """FAILURE with `budget`, what was read is kept, and never more is spent than was allowed."""
    provider.change(latency=Latency(seconds=0.1))
    task_id = await site.submit(identity_pdf(10, 30), max_cost_usd=0.03)
    view = await site.ended(task_id)
    assert view.state is TaskState.FAILURE
    assert view.error is not None
    assert view.error.code is ErrorCode.BUDGET
    assert view.outcome is TaskOutcome.PARTIAL
    assert 0 < (view.cost_usd or 0) <= 0.03
    assert len(site.store.pages(task_id)) == view.pages_done


async def test_a_key_has_a_budget_for_the_day_whatever_dies(provider: ProviderProcess, tmp_path: Path) -> None:
    """All its tasks together cost no more, also with a new task manager; another key has its own."""
    provider.reset(tokens={"input": 1700, "output": 800})
    flags = {"key_budget_usd": 0.02, "model": "gpt-5.6-luna", "output_tokens": 1000}
    spent = 0
    for number in range(2):
        with task_manager_site(tmp_path, provider, **flags) as site:
            views = [await site.ended(await site.submit(identity_pdf(60 + number, 20))) for _ in range(2)]
            assert TaskState.FAILURE in {view.state for view in views}
            assert {view.error.code for view in views if view.error is not None} == {ErrorCode.BUDGET}
            asked = [row for row in provider.rows() if row.operation == "read"]
            cost_usd = len(asked) * (1700 * 0.20 + 800 * 1.20) / 1e6
            assert 0.015 < cost_usd <= 0.02
            if number == 0:
                spent = len(asked)
                continue
            assert len(asked) - spent <= 1  # but for what the first task manager had given back
            task_id = await site.submit(identity_pdf(70, 2), owner="another")
            assert (await site.until(task_id, lambda view: view.state.terminal, "another")).state is TaskState.SUCCESS


async def test_tasks_that_stop_leave_their_places_to_the_next(provider: ProviderProcess, tmp_path: Path) -> None:
    """The account is empty: each upload fails in turn, none hangs; it is paid: the next one is read."""
    provider.reset(rules=[Rule(fault="insufficient_quota")])
    with task_manager_site(tmp_path, provider, max_in_flight=2) as site:
        for number in range(50, 53):
            view = await site.ended(await site.submit(identity_pdf(number, 12)))
            assert view.error is not None
            assert (view.state, view.error.code) == (TaskState.FAILURE, ErrorCode.BILLING)
        provider.reset()
        assert (await site.succeeded(await site.submit(identity_pdf(53, 12)))).pages_done == 12


async def test_what_is_open_is_told(site: TaskManagerSite, provider: ProviderProcess) -> None:
    """Tasks and pages, and none when all is done."""
    provider.change(rules=[Rule(fault="stall", page="doc-0011 page *", seconds=300)])
    task_id = await site.submit(identity_pdf(11, 3))
    await site.until(task_id, lambda view: view.pages_running == 3)
    assert await site.manager.load() == Load(open_tasks=1, open_pages=3)
    await site.manager.cancel(OWNER, task_id)
    assert await site.manager.load() == Load(open_tasks=0, open_pages=0)


async def test_a_stored_task_that_was_never_handed_over_is_taken_up(site: TaskManagerSite) -> None:
    """The process that stored it died before it could speak."""
    record = site.save(identity_pdf(12, 1))
    assert await site.manager.task(OWNER, record.task_id) is None
    await task_manager_actor(site).sweep.remote()
    await site.succeeded(record.task_id)


async def test_an_expired_task_loses_its_bytes(provider: ProviderProcess, tmp_path: Path) -> None:
    """It is remembered as expired, not listed, and its bytes are gone."""
    with task_manager_site(tmp_path, provider, expiry_days=2 / 86_400) as site:
        task_id = await site.submit(identity_pdf(13, 1))
        view = await site.succeeded(task_id)
        assert view.expires_at is not None
        await asyncio.sleep(max(0.0, (view.expires_at - datetime.now(UTC)).total_seconds()) + 0.05)
        await task_manager_actor(site).sweep.remote()
        assert (await site.manager.tasks(OWNER, None, None, 10, "")).items == ()
        assert [path.name for path in files_of(site) if "tasks" in path.parts] in (["state.json"], []), "later nothing"


@pytest.mark.parametrize("victim", ["TaskManagerActor", "TaskWorker"])
async def test_a_killed_process_loses_nothing(provider: ProviderProcess, tmp_path: Path, victim: str) -> None:
    """Every accepted task ends, no page told as done is asked for again, no rev goes down, and callbacks come."""
    told: list[dict[str, Any]] = []

    async def hear(request: web.Request) -> web.Response:
        data = await request.read()
        assert request.headers[SIGNATURE] == signature_of(data, b"of the tests")
        told.append(json.loads(data))
        return web.Response()

    provider.reset(latency=Latency(seconds=0.05), rules=[Rule(fault="stall", page="* page [78]", times_per_page=1)])
    async with AsyncExitStack() as open_:
        url = await open_.enter_async_context(http_server(hear))
        flags = {"callback_hosts": "127.0.0.1", "callback_private": True}
        site = open_.enter_context(task_manager_site(tmp_path, provider, **flags))
        tasks = [await site.submit(identity_pdf(number, 8), callback_url=url) for number in (20, 21)]
        before = [await site.until(task_id, lambda view: view.pages_done == 6) for task_id in tasks]
        kill(site, victim)
        for earlier in before:
            ended = await site.until(earlier.record.task_id, lambda view: view.state.terminal)
            assert ended.rev > earlier.rev
            assert (ended.state, ended.pages_done) == (TaskState.SUCCESS, 8)
            assert list(verify(site.store.output_uri(earlier.record.task_id))) == []
        for number in (20, 21):
            assert all(calls_of(provider, number)[page] == 1 for page in range(1, 7))
        await eventually(lambda: {body["task_id"] for body in told} == set(tasks), "both callbacks")
        assert {body["state"] for body in told} == {"SUCCESS"}


async def test_a_worker_out_of_sight_reads_nothing_twice(provider: ProviderProcess, tmp_path: Path) -> None:
    """The connection between task manager and worker is cut: only what is under way then may be asked for again."""
    provider.reset(latency=Latency(seconds=0.5))
    with task_manager_site(tmp_path, provider, max_in_flight=4) as site:
        task_id = await site.submit(identity_pdf(22, 50))
        await site.until(task_id, lambda view: view.pages_done >= 4)
        cut_off_workers(site)
        view = await site.succeeded(task_id)
        assert view.pages_done == 50
        assert len(provider.rows()) <= 50 + 4
        assert list(verify(site.store.output_uri(task_id))) == []


async def test_a_retry_goes_on_after_a_crash(provider: ProviderProcess, tmp_path: Path) -> None:
    """What it has read already, good or failed, is not asked for again."""
    failing = Rule(fault="content_filter", page="doc-0030 page [123]")
    provider.reset(rules=[failing])
    with task_manager_site(tmp_path, provider) as site:
        task_id = await site.submit(identity_pdf(30, 4))
        await site.succeeded(task_id)
        stalled = Rule(fault="stall", page="doc-0030 page 3", times_per_page=1)
        provider.reset(rules=[replace_page(failing, "doc-0030 page 1"), stalled])
        assert await site.manager.retry(OWNER, task_id, None) is not None
        await site.until(task_id, lambda view: view.pages_done == 3)
        kill(site, "TaskManagerActor")
        view = await site.ended(task_id)
        assert (view.state, view.outcome) == (TaskState.SUCCESS, TaskOutcome.PARTIAL)
        assert [each.page_number for each in view.failures] == [1]
        assert calls_of(provider, 30) == {1: 1, 2: 1, 3: 1}
        used = UsageLedger(site.store.root).use(OWNER)
        assert sum(use.pages for readers in used.values() for use in readers.values()) == 4 + 3
        assert list(verify(site.store.output_uri(task_id))) == []


def replace_page(rule: Rule, page: str) -> Rule:
    """The same fault for another page."""
    return rule.model_copy(update={"page": page})


async def test_a_new_configuration_starts_a_new_task_manager(provider: ProviderProcess, tmp_path: Path) -> None:
    """Finished tasks are known to it; it reads new ones as it is set."""
    provider.reset()
    with task_manager_site(tmp_path, provider) as site:
        done = await site.submit(identity_pdf(40, 1))
        earlier = await site.succeeded(done)
        with task_manager_site(tmp_path, provider, model="newer-model") as after:
            assert await after.manager.task(OWNER, done) == earlier
            assert [event.page_number for event in (await after.manager.events(OWNER, done, -1, 0.0))[1]] == [1]
            await after.succeeded(await after.submit(identity_pdf(41, 1)))
    assert provider.rows()[-1].model == "newer-model"


async def test_an_upload_goes_before_a_batch_that_fills_the_limit(provider: ProviderProcess, tmp_path: Path) -> None:
    """Its page waits for a fraction of the time that the batch's pages wait for."""
    provider.reset(latency=Latency(seconds=0.1))
    source = tmp_path / "in"
    source.mkdir()
    write_identity_pdfs(source, range(50, 54), pages=20)
    limit = {"rpm": 240, "engine": "openai", "base_url": provider.openai_url, "longest_side": 400}
    with task_manager_site(tmp_path, **limit) as site:
        await site.succeeded(await site.submit(identity_pdf(60, 1)))  # all is warm
        batch = asyncio.create_task(asyncio.to_thread(read, tmp_path / "out", source, **limit))
        await eventually(lambda: calls_of(provider, 50).total() >= 5, "answers for the batch")
        task_id = await site.submit(identity_pdf(61, 1))
        await site.succeeded(task_id)
        assert not batch.done()
        assert (await batch).exit_code == 0
        waits_ms = sorted(row["queue_ms"] for row in rows(tmp_path / "out", "pages"))
        (page,) = site.store.pages(task_id)
        assert page.queue_ms is not None
        assert 5 * page.queue_ms < waits_ms[len(waits_ms) // 2]

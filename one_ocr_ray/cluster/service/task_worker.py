"""`TaskWorker`: the async actor that reads the service's tasks, each a dataset of its own: one shard of one document.

Many tasks share one process: its engines, its places for pages under way, its render lanes. What a task tells on its
way is streamed to the book that has handed it out; nothing of a page's content is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.budget import RemoteBudget
from one_ocr_ray.cluster.engine_pool import PAGES_PER_READER, EnginePool
from one_ocr_ray.cluster.engine_setup import engine_on_node, metered_reading, permits_of, pooled_reading
from one_ocr_ray.cluster.nodes import ANCHOR_BYTES
from one_ocr_ray.cluster.rendering import RenderPlace, start_inspection
from one_ocr_ray.cluster.service.key_budget import LOST
from one_ocr_ray.cluster.shard_reader import ShardReader, page_places
from one_ocr_ray.errors import OneOcrError, OptionsError, StoppedError, StorageError, UsageError
from one_ocr_ray.job_settings import pdf_options_of
from one_ocr_ray.model import ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.fingerprint import config_difference
from one_ocr_ray.policy.dataset.plan import SLICE_PAGES
from one_ocr_ray.policy.ratelimit.messages import Priority
from one_ocr_ray.policy.tasks.transitions import TaskResult, TaskUpdate, outcome_of
from one_ocr_ray.reading.budget import BudgetShare
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.inputs import stat_input
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID, TaskStore
from one_ocr_ray.tasks.fair_semaphore import FairSemaphore
from one_ocr_ray.tasks.service_config import left_usd, task_job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.job import Job
    from one_ocr_ray.model import DocumentRef, PageResult
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
    from one_ocr_ray.policy.tasks.transitions import PageOutcome
    from one_ocr_ray.reading.page import Reading
    from one_ocr_ray.tasks.service_config import ServiceConfig, TaskAssignment

log = logging.getLogger(__name__)

# Of one worker, half of them for one owner alone: many short documents must fill a slow provider's places.
TASKS_AT_ONCE = 128
# How many of them render at once. Short documents have a lane of their own: long ones may hold theirs for hours, so a
# part of it stays free for the next owner.
LANE = 6
INSPECTIONS = 4
# Uploads do not wait for the CPU that a batch has booked: the machine shares it out among them.
ONLINE_CPUS = 0.0
UPDATE_EVERY_S = 0.1
CALLS_AT_ONCE = 1000

INTERNAL = "The service has met an error of its own with this document; its log has it."
OTHERWISE = "The service is configured otherwise than when this document was read ({difference}). Upload it again."


class _News:
    """What there is to tell of a task; the `Listener` of its shard."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._pages: list[PageOutcome] = []
        self._running = 0
        self._some = asyncio.Event()

    def opened(self, pages_total: int) -> None:
        self._total = pages_total
        self._some.set()

    def kept(self, pages: Iterable[PageResult]) -> None:
        self._pages.extend(outcome_of(page) for page in pages)
        self._some.set()

    def failed_before(self, pages: Iterable[PageResult]) -> None:
        pass

    def begun(self) -> None:
        self._running += 1
        self._some.set()

    def rendered(self) -> None:
        pass

    def recorded(self, spending: Spending) -> None:
        pass

    def safe(self, page: PageResult) -> None:
        self._running -= 1
        self._pages.append(outcome_of(page))
        self._some.set()

    async def while_running(self, work: asyncio.Task[TaskResult]) -> AsyncIterator[TaskUpdate]:
        """What is new, as soon as there is something, but not more often than `UPDATE_EVERY_S`."""
        work.add_done_callback(lambda _: self._some.set())
        while True:
            await self._some.wait()
            if work.done():
                return
            yield self._take()
            await asyncio.wait([work], timeout=UPDATE_EVERY_S)

    def rest(self) -> tuple[PageOutcome, ...]:
        """The finished pages that were not told yet."""
        return self._take().pages

    def _take(self) -> TaskUpdate:
        self._some.clear()
        pages, self._pages = tuple(self._pages), []
        return TaskUpdate(self._total, pages, self._running)


class TaskWorker:
    """Actor body. `read_task` streams what becomes of one task and ends with a `TaskResult`."""

    def __init__(
        self, service: ServiceConfig, readers: Sequence[str], workers: int, node: Node, key_budgets: Any = None
    ) -> None:
        """`key_budgets`: the handle of their keeper, where keys have budgets."""
        self._service = service
        self._key_budgets = key_budgets
        self._store = TaskStore(service.settings.store)
        self._readers = readers
        self._pool: EnginePool | None = None
        self._engines: dict[tuple[str, str], Engine] = {}
        self._llm_places = page_places(max(1, service.settings.max_in_flight // workers))
        self._ocr_places = page_places(max(1, PAGES_PER_READER * len(readers) // workers))
        self._short_lane, self._long_lane = FairSemaphore(LANE, shared=True), FairSemaphore(LANE, shared=True)
        self._inspections = FairSemaphore(INSPECTIONS, shared=True)
        self._place = RenderPlace(node.here, ONLINE_CPUS)
        self._work: dict[str, asyncio.Task[TaskResult]] = {}

    async def warm(self) -> None:
        """Have the process started that will open and render the first upload."""
        await start_inspection([], pdf_options_of(self._service.settings), cpus=ONLINE_CPUS)

    async def read_task(self, order: TaskAssignment) -> AsyncIterator[TaskUpdate | TaskResult]:
        """Read what is left of a task; at its end every finished page is safe."""
        task_id = order.record.task_id
        news = _News()
        work = self._work[task_id] = asyncio.create_task(self._read(order, news))
        try:
            async for update in news.while_running(work):
                yield update
            end = TaskResult(cancelled=True) if work.cancelled() else work.result()
            yield end if end.pages else replace(end, pages=news.rest())
        finally:
            del self._work[task_id]

    async def cancel(self, task_id: str) -> None:
        """End a task's work; returns when nothing of it is under way and its finished pages are safe."""
        work = self._work.get(task_id)
        if work is not None:
            work.cancel()
            await asyncio.wait([work])

    async def cancel_all(self) -> None:
        """The same for every task."""
        await asyncio.gather(*(self.cancel(task_id) for task_id in list(self._work)))

    async def _read(self, order: TaskAssignment, news: _News) -> TaskResult:
        try:
            return await self._read_document(order, news)
        except StorageError as error:
            log.warning("task %s is put off: %s", order.record.task_id, error)
            return TaskResult(put_off=True)
        except StoppedError as error:
            return TaskResult(failure=Failure(error.code or ErrorCode.PROVIDER_UNAVAILABLE, str(error)))
        except OptionsError as error:
            return TaskResult(failure=Failure(error.code, str(error)))
        except UsageError as error:  # of this node: its key
            return TaskResult(failure=Failure(ErrorCode.AUTH, str(error)))
        except (OneOcrError, Exception):
            log.exception("task %s", order.record.task_id)
            return TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, INTERNAL))

    async def _read_document(self, order: TaskAssignment, news: _News) -> TaskResult:
        job, fingerprint = task_job(self._service, order, self._store)
        document = await self._opened(order, job)
        await asyncio.to_thread(self._claim, order, job, fingerprint, document)
        pages_total = 0 if document.page_count is None else len(job.selection.of(document.page_count))
        if document.failure is None:
            news.opened(pages_total)
        async with self._reading(order, job) as reading:
            places = self._ocr_places if job.engine is None else self._llm_places
            lane = self._short_lane if pages_total <= SLICE_PAGES else self._long_lane
            only = frozenset(order.retry.pages) if order.retry and order.retry.pages is not None else None
            owner = order.record.owner
            pages = await ShardReader(job, places, self._place, lane=lane, owner=owner).read(
                Shard(SHARD_ID, (document,)), reading, news, again=order.retry is not None, only=only
            )
        return TaskResult(tuple(outcome_of(page) for page in pages), document.failure)

    async def _opened(self, order: TaskAssignment, job: Job) -> DocumentRef:
        file = await asyncio.to_thread(stat_input, self._store.upload_uri(order.record.task_id))
        async with self._inspections.turn(order.record.owner):
            (document,) = await start_inspection([file], job.pdf, cpus=ONLINE_CPUS)
        return replace(document, name=order.record.filename)

    def _claim(self, order: TaskAssignment, job: Job, fingerprint: Fingerprint, document: DocumentRef) -> None:
        """Give the task's dataset its configuration and its plan, as a run would."""
        output = Objects(job.output)
        run_dir = RunDirectory(output)
        before = run_dir.fingerprint()
        if before is not None and (changed := config_difference(before, fingerprint)):
            if order.retry is not None or Dataset(output, {}).committed():  # what is paid is never thrown away
                raise OptionsError(OTHERWISE.format(difference=changed), ErrorCode.INVALID_OPTIONS)
            for info in list(output.list()):  # the task is unfinished: it begins again as the service is now
                output.delete(info.path)
        run_dir.claim(fingerprint)
        if not any(run_dir.plan()):
            run_dir.add_to_plan(0, [Shard(SHARD_ID, (document,))])

    @asynccontextmanager
    async def _reading(self, order: TaskAssignment, job: Job) -> AsyncIterator[Reading]:
        """What the task's pages are read with: a shared engine, and a place of its own in the account's line."""
        if job.engine is None:
            self._pool = self._pool or EnginePool(self._readers)
            yield pooled_reading(job, self._pool)
            return
        name = job.engine.name, job.engine.model
        engine = self._engines[name] = self._engines.get(name) or engine_on_node(job.engine)
        ceiling_usd = await asyncio.to_thread(left_usd, self._service, order, job, self._store)
        owner = f"service {order.record.owner}"
        permits = permits_of(job, job.engine, job.identity.run_id, Priority.ONLINE, owner=owner)
        budgets = [] if ceiling_usd is None else [BudgetShare(free_usd=ceiling_usd)]
        if self._key_budgets is not None:
            budgets.append(BudgetShare(RemoteBudget(self._key_budgets, order.record.owner, lost=LOST)))
        reading = metered_reading(job, job.engine, engine, permits, tuple(budgets))
        try:
            yield reading
        finally:
            with suppress(OneOcrError):
                await permits.close()
            for share in budgets:
                with suppress(OneOcrError):
                    await share.close()


def start_task_workers(
    service: ServiceConfig, nodes: Sequence[Node], readers: Sequence[str], key_budgets: Any = None
) -> list[ActorHandle[TaskWorker]]:
    """One worker a node, or as many as are set. They live as long as the process that starts them."""
    count = min(service.settings.workers or len(nodes), service.settings.max_in_flight)
    worker: Any = ray.remote(TaskWorker)
    return [
        worker.options(
            num_cpus=0,
            memory=ANCHOR_BYTES,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CALLS_AT_ONCE,
            scheduling_strategy=nodes[number % len(nodes)].here,
        ).remote(service, readers, count, nodes[number % len(nodes)], key_budgets)
        for number in range(count)
    ]

"""`TaskWorker`: the async actor that reads the service's tasks. Each is a dataset with one shard of one document.

Many tasks share one process: its engines, its slots for pages under way, its render lanes. Progress is streamed to the
task manager; the content of a page never is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from one_ocr_ray.cluster.budget import RemoteBudget
from one_ocr_ray.cluster.engine_pool import PAGES_PER_READER, EnginePool
from one_ocr_ray.cluster.engine_setup import engine_on_node, llm_reader, permits_of, route_context
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.cluster.rendering import RenderPlace, start_inspection
from one_ocr_ray.cluster.service.key_budget import LOST
from one_ocr_ray.cluster.worker import Worker, WorkProgress
from one_ocr_ray.errors import OneOcrError, OptionsError, StoppedError, StorageError, UsageError
from one_ocr_ray.model import ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.plan import SLICE_PAGES
from one_ocr_ray.policy.ratelimit.messages import Priority
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.policy.tasks.transitions import TaskResult, TaskUpdate, outcome_of
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.reading.shard_reader import ShardReader, page_slots
from one_ocr_ray.setup.job import pdf_options_of
from one_ocr_ray.storage.inputs import stat_input
from one_ocr_ray.storage.tasks.task_store import SHARD_ID, TaskStore
from one_ocr_ray.tasks.service_config import left_usd, task_job
from one_ocr_ray.tasks.task_dataset import claim_dataset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.job import Endpoint, Job, LlmSetup
    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.transitions import PageOutcome
    from one_ocr_ray.reading.limits.endpoints import EndpointPermits
    from one_ocr_ray.reading.page.loop import ReadContext
    from one_ocr_ray.tasks.service_config import ServiceConfig, TaskAssignment

log = logging.getLogger(__name__)

# Tasks of one worker; at most half of them are one owner's. Many short documents must fill a slow provider's limit.
TASKS_AT_ONCE = 128
# Tasks that render at once, short and long documents apart. A long one may take hours, so that a part of the lane stays
# free for the next owner.
LANE = 6
INSPECTIONS = 4
# Uploads do not wait for CPUs that a batch has booked: they share the machine with it.
ONLINE_CPUS = 0.0
UPDATE_EVERY_S = 0.1
CALLS_AT_ONCE = 1000

INTERNAL = "The service has met an error of its own with this document; its log has it."


class _TaskProgress(WorkProgress):
    """The observer of a task's shard: gathers what there is to tell of its pages."""

    every_s = UPDATE_EVERY_S

    def __init__(self) -> None:
        super().__init__()
        self._total: int | None = None
        self._pages: list[PageOutcome] = []
        self._running = 0

    def update(self) -> TaskUpdate:
        pages, self._pages = tuple(self._pages), []
        return TaskUpdate(self._total, pages, self._running)

    def opened(self, pages_total: int) -> None:
        self._total = pages_total
        self.changed.set()

    def kept(self, pages: Iterable[PageResult]) -> None:
        self._pages.extend(outcome_of(page, self.saved_usd(page)) for page in pages)
        self.changed.set()

    def begun(self) -> None:
        self._running += 1
        self.changed.set()

    def safe(self, page: PageResult) -> None:
        self._running -= 1
        self._pages.append(outcome_of(page, self.saved_usd(page)))
        self.changed.set()


class TaskWorker(Worker["TaskAssignment"]):
    """Actor body, one per node. `read` streams the `TaskUpdate`s of one task and ends with a `TaskResult`."""

    def __init__(
        self, service: ServiceConfig, readers: Sequence[str], workers: int, node: Node, key_budgets: Any = None
    ) -> None:
        """`key_budgets` is the handle of their actor, where keys have budgets."""
        super().__init__()
        self._service = service
        self._key_budgets = key_budgets
        self._store = TaskStore(service.settings.store)
        self._readers = readers
        self._pool: EnginePool | None = None
        self._engines: dict[tuple[str, str, str], Engine] = {}  # by reader, model, endpoint
        self._llm_slots = page_slots(max(1, service.settings.max_in_flight // workers))
        self._ocr_slots = page_slots(max(1, PAGES_PER_READER * len(readers) // workers))
        self._short_lane, self._long_lane = FairSemaphore(LANE, shared=True), FairSemaphore(LANE, shared=True)
        self._inspections = FairSemaphore(INSPECTIONS, shared=True)
        self._place = RenderPlace(node.here, ONLINE_CPUS)
        self._own: dict[str, Sequence[Endpoint]] = {}  # own servers that answer, by reader
        self._own_known = asyncio.Condition()
        self._under_way: set[tuple[str, EndpointPermits]] = set()  # of tasks that use them

    async def check_engine(self, ask_provider: bool) -> None:
        """Look for a key on this node, and start the process for the first upload."""
        if (setup := self._service.engines[self._service.settings.engine]) is not None:
            await engine_on_node(setup.options).close()
        await start_inspection([], pdf_options_of(self._service.settings), cpus=ONLINE_CPUS)

    async def reach(self, name: str, endpoints: Sequence[Endpoint]) -> None:
        """Ask only `endpoints` for the reader `name`, also in tasks that are under way."""
        async with self._own_known:
            self._own[name] = endpoints
            self._own_known.notify_all()
        for _, permits in [each for each in self._under_way if each[0] == name]:
            permits.keep(endpoints)
            for endpoint in endpoints:
                permits.join(endpoint, partial(self._engine_of, name))

    async def _with_servers(self, setup: LlmSetup) -> LlmSetup:
        """The reader with its own servers, once the first of them answers. Any other as it is."""
        if not setup.may_grow:
            return setup
        async with self._own_known:
            await self._own_known.wait_for(lambda: self._own.get(setup.name))
            return replace(setup, endpoints=tuple(self._own[setup.name]))

    async def stop(self, wait_s: float) -> None:
        """End all work. Returns when every finished page is safe."""
        await asyncio.gather(*(self.cancel(key) for key in list(self._work)))

    def _progress(self, assignment: TaskAssignment) -> _TaskProgress:
        return _TaskProgress()

    def _result(self, work: asyncio.Task[TaskResult], progress: _TaskProgress) -> TaskResult:
        result = TaskResult(cancelled=True) if work.cancelled() else work.result()
        unsent = progress.update().pages
        return replace(result, pages=result.pages or unsent, unsent=unsent)

    async def _read(self, assignment: TaskAssignment, progress: _TaskProgress) -> TaskResult:
        record, retry = assignment.record, assignment.retry
        try:
            job, fingerprint = task_job(self._service, assignment, self._store)
            file = await asyncio.to_thread(stat_input, self._store.upload_uri(record.task_id))
            async with self._inspections.turn(record.owner):
                (document,) = await start_inspection([file], job.pdf, cpus=ONLINE_CPUS)
            document = replace(document, name=record.filename)
            await asyncio.to_thread(claim_dataset, assignment, job, fingerprint, document)
            pages_total = 0 if document.page_count is None else len(job.selection.of(document.page_count))
            if document.failure is None:
                progress.opened(pages_total)
            async with self._context(assignment, job) as context:
                progress.readers = context.readers
                shards = ShardReader(
                    job,
                    self._llm_slots if job.engines else self._ocr_slots,
                    partial(rendered_pages, options=job.pdf, tasks=job.render_tasks, place=self._place),
                    lane=self._short_lane if pages_total <= SLICE_PAGES else self._long_lane,
                    owner=record.owner,
                )
                shard = Shard(SHARD_ID, (document,))
                rows = await shards.read(
                    shard,
                    context,
                    progress,
                    retry_failed=retry is not None,
                    retry_pages=frozenset(retry.pages) if retry and retry.pages is not None else None,
                )
        except (OneOcrError, Exception) as error:
            return _result_of(error, record.task_id)
        return TaskResult(
            tuple(outcome_of(row, progress.saved_usd(row)) for row in rows or ()), failure=document.failure
        )

    @asynccontextmanager
    async def _context(self, assignment: TaskAssignment, job: Job) -> AsyncIterator[ReadContext]:
        """What the task's pages are read with: a shared engine, and permits of its own."""
        if needs_embedded_engine(job.route):
            self._pool = self._pool or EnginePool(self._readers, job.line_models.name)
        if not job.engines:
            yield route_context(job, self._pool, {})
            return
        ceiling_usd = await asyncio.to_thread(left_usd, self._service, assignment, job, self._store)
        owner = f"service {assignment.record.owner}"
        budgets = [] if ceiling_usd is None else [BudgetShare(free_usd=ceiling_usd)]
        if self._key_budgets is not None:
            budgets.append(BudgetShare(RemoteBudget(self._key_budgets, assignment.record.owner, lost=LOST)))
        setups = {name: await self._with_servers(setup) for name, setup in job.engines.items()}
        engines = {
            name: [self._engine_of(name, endpoint) for endpoint in setup.endpoints] for name, setup in setups.items()
        }
        permits = {
            name: permits_of(job, setup, engines[name], job.identity.run_id, Priority.ONLINE, owner=owner)
            for name, setup in setups.items()
        }
        readers = {name: llm_reader(setup, permits[name], tuple(budgets)) for name, setup in setups.items()}
        grows = {(name, permits[name]) for name, setup in setups.items() if setup.may_grow}
        self._under_way |= grows
        try:
            yield route_context(job, self._pool, readers)
        finally:
            self._under_way -= grows
            for close in (*(each.close for each in permits.values()), *(each.close for each in budgets)):
                with suppress(OneOcrError):
                    await close()

    def _engine_of(self, reader: str, endpoint: Endpoint) -> Engine:
        """The engine of a reader's endpoint, which tasks share."""
        name = reader, endpoint.options.model, endpoint.name
        if name not in self._engines:
            self._engines[name] = engine_on_node(endpoint.options)
        return self._engines[name]


def _result_of(error: Exception, task_id: str) -> TaskResult:
    """The result of a task that was not read to its end."""
    if isinstance(error, StorageError):
        log.warning("task %s is put off: %s", task_id, error)
        return TaskResult(put_off=True)
    if isinstance(error, StoppedError):
        return TaskResult(failure=Failure(error.code or ErrorCode.PROVIDER_UNAVAILABLE, str(error)))
    if isinstance(error, OptionsError):
        return TaskResult(failure=Failure(error.code, str(error)))
    if isinstance(error, UsageError):  # of this node: its key
        return TaskResult(failure=Failure(ErrorCode.AUTH, str(error)))
    log.error("task %s", task_id, exc_info=error)
    return TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, INTERNAL))

"""The driver of a run: hands shards to workers until everything is committed. It sees no image and no page text."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.batch.engine_check import check_engine
from one_ocr_ray.cluster.batch.ocr_worker import ShardAssignment
from one_ocr_ray.cluster.metrics import count_batches
from one_ocr_ray.cluster.worker_scaler import GROW_S
from one_ocr_ray.errors import StoppedError, first_error
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.batch.flow import CANARY_PAGES, are_good
from one_ocr_ray.policy.failure_rate import OF_THE_PAGE, FailureRateGuard
from one_ocr_ray.policy.progress import RunProgress
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER
from one_ocr_ray.reading.batch.history import GONE
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.setup.servers import VLLM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from one_ocr_ray.cluster.batch.ocr_worker import ShardUpdate
    from one_ocr_ray.cluster.batch.planner import Planner
    from one_ocr_ray.cluster.servers.own import OwnServers
    from one_ocr_ray.cluster.worker_pool import WorkerPool
    from one_ocr_ray.cluster.worker_scaler import NodeDemand, WorkerScaler
    from one_ocr_ray.model import Shard
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.batch.watch import BatchWatch
    from one_ocr_ray.reading.run_totals import WorkerReport
    from one_ocr_ray.shutdown import Interruption
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.pending_work import PendingWork
    from one_ocr_ray.storage.plan_index import PlanIndex

# Shards planned ahead of the workers; more would only be memory.
PLANNED_AHEAD = 16
# A worker renders a shard, and the next one as soon as the first has no more pages to give. Shards whose last pages are
# under way come on top, for a single page may take minutes. They hold rows and are bounded too.
RENDERING_AT_ONCE = 2
OPEN_SHARDS = 16
PROGRESS_S = 0.5
# How long workers have to make finished pages safe, once requests under way have had their time. A submitted job that
# is stopped has 3 s from SIGTERM to its end. One that stops by itself is in no haste.
INTERRUPTED_S = 1.7
STOPPED_S = 20.0

TOO_MANY_FAILED = (
    "Too many pages fail with {code}; the column error says why. "
    "Mend the cause, then run the same command with --retry-failed."
)
FIRST_FAILED = (
    "The first pages fail with {code}, so that no more batches are made; the column error says why. "
    "Mend the cause, then run the same command with --retry-failed."
)


class RunDriver:
    """One run over the workers of `pool`. With a `scaler` others join it, and with `demand` nodes are asked for."""

    def __init__(
        self,
        pool: WorkerPool,
        planner: Planner,
        plan: PlanIndex,
        selection: PageSelection,
        on_progress: Callable[[RunProgress], None],
        *,
        interruption: Interruption,
        say: Callable[[str], None] = lambda _: None,
        scaler: WorkerScaler | None = None,
        demand: NodeDemand | None = None,
        batches: BatchWatch | None = None,
        servers: OwnServers | None = None,
    ) -> None:
        self._pool = pool
        self._planner = planner
        self._plan = plan
        self._selection = selection
        self._on_progress = on_progress
        self._interruption = interruption
        self._say = say
        self._scaler = scaler
        self._demand = demand
        self._batches = batches
        self._servers = servers
        self._started_s = time.monotonic()
        self._queue: asyncio.Queue[ShardAssignment | None] = asyncio.Queue(PLANNED_AHEAD)
        self._is_handed_out = False  # the whole plan
        self._under_way = 0  # shards
        self._copies: list[str] = []
        self._progress = RunProgress()
        self._totals: dict[tuple[int, str], RunTotals] = {}  # by worker and incarnation
        self._open_pages: dict[int, Counter[str]] = {}  # finished, of shards that are not committed; by worker
        self._committed_pages: Counter[str] = Counter()
        self._held: dict[int, Held | None] = {}  # by worker
        self._has_canary = False  # some pages are asked for online to see if batches are worth it
        self._shown: set[str] = set()  # error codes whose failure note the user has
        self._guard = FailureRateGuard()
        self._guarded = RunTotals()  # what the guard has seen

    @property
    def totals(self) -> RunTotals:
        """What this run has used, as far as its workers have told."""
        return sum(self._totals.values(), RunTotals())

    async def run(self, pending: PendingWork, files: Iterator[InputFile]) -> None:
        """Do what earlier runs have left and read everything new in `files`.

        However it ends, finished pages are made safe first. Raises StoppedError when it is interrupted, and when too
        many pages fail for one reason.
        """
        with self._interruption.ends_this_task():
            try:
                async with asyncio.TaskGroup() as beside:
                    watch = beside.create_task(self._watch())
                    joining = beside.create_task(self._tell_of_servers())
                    moving = beside.create_task(self._batches.keep_moving()) if self._batches is not None else None
                    async with asyncio.TaskGroup() as shards:
                        checked = shards.create_task(check_engine(self._pool.workers, self._say))
                        shards.create_task(self._plan_shards(pending, files, checked))
                        await checked  # files are opened meanwhile, but nothing is read
                        for number in range(len(self._pool.workers)):
                            shards.create_task(self._consume(number, shards))
                        grow = beside.create_task(self._grow(shards))
                    grow.cancel()
                    for shard_id in self._copies:
                        shard = await asyncio.to_thread(self._plan.shard, shard_id)
                        homes = {each.document_id: self._plan.shard_of(each.document_id) for each in shard.documents}
                        originals = {document_id: home for document_id, home in homes.items() if home is not None}
                        await self._pool.read(ShardAssignment(shard, originals=originals), lambda *_: 0)
                    watch.cancel()
                    joining.cancel()
                    if moving is not None:
                        moving.cancel()
            except BaseException as end:
                safe_s = INTERRUPTED_S if isinstance(end, asyncio.CancelledError) else STOPPED_S
                for number, report in await self._pool.stop(self._interruption.wait_s, safe_s):
                    self._take_report(number, report)
                if isinstance(end, ExceptionGroup):
                    raise first_error(end) from None
                raise
            finally:
                self._show_progress()

    async def _plan_shards(self, pending: PendingWork, files: Iterator[InputFile], checked: asyncio.Task[None]) -> None:
        for shard_id in pending.open_shards:
            await self._enqueue(await asyncio.to_thread(self._plan.shard, shard_id))
        for shard_id in pending.failed_shards:
            shard = await asyncio.to_thread(self._plan.shard, shard_id)
            await self._enqueue(await self._planner.with_mended_files(shard), retry_failed=True)
        self._copies.extend(pending.stale_copies)
        async for shard in self._planner.shards(files, checked):
            await self._enqueue(shard)
        self._progress.plan_complete = True
        await self._queue.put(None)  # whoever takes it puts it back for the next

    async def _enqueue(self, shard: Shard, *, retry_failed: bool = False) -> None:
        self._progress.documents_total += len(shard.documents)
        if shard.copies:
            self._copies.append(shard.shard_id)
            return
        for document in shard.documents:
            if document.failure is None and document.page_count is not None:
                self._progress.pages_total += len(self._selection.of(document.page_count))
        await self._queue.put(ShardAssignment(shard, retry_failed))

    async def _consume(self, number: int, shards: asyncio.TaskGroup) -> None:
        """Give shards to one worker. It gets the next one before it has finished the last.

        A shard whose worker dies moves to another one; its own gets no more until that has rendered it.
        """
        rendering, unfinished = asyncio.Semaphore(RENDERING_AT_ONCE), asyncio.Semaphore(OPEN_SHARDS)
        while True:
            await unfinished.acquire()
            await rendering.acquire()
            assignment = await self._queue.get()
            if assignment is None:
                self._is_handed_out = True
                self._queue.put_nowait(None)
                return
            if self._batches is not None and not self._batches.takes(assignment.shard.shard_id):
                rendering.release()
                unfinished.release()
                continue  # it stays open, and is handed out when batches have made room
            if self._batches is not None and self._batches.wants_proof and not self._has_canary:
                self._has_canary, assignment = True, replace(assignment, canary=CANARY_PAGES)
            shards.create_task(self._read(number, assignment, rendering, unfinished))

    async def _read(
        self, number: int, assignment: ShardAssignment, rendering: asyncio.Semaphore, unfinished: asyncio.Semaphore
    ) -> None:
        is_rendering = True

        def take_update(worker: int, update: ShardUpdate) -> int:
            nonlocal is_rendering
            self._take_report(worker, update.report)
            if is_rendering and (not update.is_rendering or update.committed is not None):
                is_rendering = False
                rendering.release()
            return update.pages_done

        self._under_way += 1
        last: ShardUpdate = await self._pool.read(assignment, take_update, worker=number)
        self._under_way -= 1
        if self._batches is not None:
            await self._batches.take_in(assignment.key)
        if last.batches is not None:
            count_batches(last.batches)
            if last.batches.gone_pages:
                self._say(GONE.format(pages=last.batches.gone_pages))
            self._judge_first_pages()
        if last.lies_in_batches:
            unfinished.release()
            return
        self._committed_pages += last.committed or Counter()
        self._progress.documents_done += len(assignment.shard.documents)
        unfinished.release()

    def _judge_first_pages(self) -> None:
        """Let batches be made without number once pages are answered well. Raises StoppedError if hardly any is."""
        if self._batches is None or self._batches.is_proved:
            return
        totals = self.totals
        pages = sum(use.pages for name, use in totals.readers.items() if name not in {LOCAL, TEXT_LAYER})
        failures = Counter({code: count for code, count in totals.failures.items() if code not in OF_THE_PAGE})
        good = are_good(pages - totals.failures.total() + failures.total(), failures.total())
        if good:
            self._batches.prove()
        elif good is False:
            code = failures.most_common(1)[0][0]
            raise StoppedError(FIRST_FAILED.format(code=code), ErrorCode(code))

    async def _grow(self, shards: asyncio.TaskGroup) -> None:
        """Take in workers on new nodes, and ask for nodes while shards wait, until cancelled."""
        while self._scaler is not None:
            await asyncio.sleep(GROW_S)
            for worker in await self._scaler.workers_on_new_nodes():
                self._pool.workers.append(worker)
                if not self._is_handed_out:
                    shards.create_task(self._consume(len(self._pool.workers) - 1, shards))
            if self._demand is not None:
                waiting = self._queue.qsize()
                await self._demand.request_nodes(self._under_way + waiting, more_planned=waiting >= PLANNED_AHEAD)

    async def _tell_of_servers(self) -> None:
        """Tell the workers of own servers that have become ready, until cancelled."""
        known = self._servers.endpoints if self._servers is not None else ()
        while self._servers is not None:
            await asyncio.sleep(GROW_S)
            if (endpoints := self._servers.endpoints) != known:  # told again and again: workers are replaced
                for worker in self._pool.workers:
                    worker.reach.remote(VLLM, endpoints)

    async def _watch(self) -> None:
        """Show progress until cancelled. Raises StoppedError when too many pages fail for one reason."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._show_progress()
            now, before = self.totals, self._guarded
            pages = (now.pages_read - now.failed_as_before) - (before.pages_read - before.failed_as_before)
            code = self._guard.add(pages, now.failures - before.failures) if pages else None
            self._guarded = now
            if code is not None:
                raise StoppedError(TOO_MANY_FAILED.format(code=code), code)

    def _take_report(self, number: int, report: WorkerReport) -> None:
        self._totals[number, report.incarnation] = report.totals
        self._open_pages[number] = report.open_pages
        self._held[number] = report.held
        for code in report.failure_notes.keys() - self._shown:
            self._shown.add(code)
            self._say(report.failure_notes[code])

    def _show_progress(self) -> None:
        pages = sum(self._open_pages.values(), self._committed_pages)
        held = next((each for each in self._held.values() if each is not None), None)
        self._progress.update(pages, elapsed_s=time.monotonic() - self._started_s, held=held)
        self._on_progress(self._progress)

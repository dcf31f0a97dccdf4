"""The driver of a run: hands shards to workers until everything is committed. It sees no image and no page text."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from one_ocr_ray.cluster.batch.engine_check import check_engine
from one_ocr_ray.cluster.faults import cause_of, first_fault
from one_ocr_ray.errors import OneOcrError, StoppedError
from one_ocr_ray.job import RunTotals, WorkerReport
from one_ocr_ray.policy.failure_rate import FailureRateGuard
from one_ocr_ray.policy.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.batch.planner import Planner
    from one_ocr_ray.cluster.batch.worker import OcrWorker
    from one_ocr_ray.cluster.batch.worker_scaler import WorkerScaler
    from one_ocr_ray.model import Shard
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.shutdown import Interruption
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.pending_work import PendingWork
    from one_ocr_ray.storage.plan_index import PlanIndex

# Shards planned ahead of the workers; more would only be memory.
PLANNED_AHEAD = 16
PROGRESS_S = 0.5
GROW_S = 2.0
# How long workers have to make finished pages safe, once requests under way have had their time, and then to tell of
# them: a submitted job that is stopped has 3 s from SIGTERM to its end; one that stops by itself has no such haste.
INTERRUPTED_S = (1.2, 0.5)
STOPPED_S = (20.0, 5.0)
WORKER_TRIES = 5
WORKER_RESTART_S = 1.0
# How long a run waits while no worker answers: for a worker to restart, or for a node to come in place of the last one.
NO_WORKER_S = 900.0
ANSWER_S = 10.0


TOO_MANY_FAILED = (
    "Too many pages fail with {code}; the column error says why. "
    "Mend the cause, then run the same command with --retry-failed."
)


class RunDriver:
    """One run over the workers that are given to it."""

    def __init__(
        self,
        workers: Sequence[ActorHandle[OcrWorker]],
        planner: Planner,
        known: PlanIndex,
        selection: PageSelection,
        on_progress: Callable[[Progress], None],
        *,
        interruption: Interruption,
        say: Callable[[str], None] = lambda _: None,
        recruiter: WorkerScaler | None = None,
    ) -> None:
        """`recruiter` finds workers on nodes that join; without one it is these to the end."""
        self._interruption = interruption
        self._workers: list[Any] = list(workers)  # Ray's stubs do not follow methods of actors
        self._recruiter = recruiter
        self._consumers: asyncio.TaskGroup | None = None  # while shards are handed out
        self._turn = count()  # of those that take the shards of a lost one
        self._under_way = 0  # shards
        self._planner = planner
        self._known = known
        self._selection = selection
        self._on_progress = on_progress
        self._say = say
        self._said: set[str] = set()  # error codes of which the user was told what the provider says
        self._progress = Progress()
        self._tallies: dict[tuple[int, str], RunTotals] = {}  # by worker and incarnation
        self._open_pages: dict[int, Counter[str]] = {}
        self._committed_pages: Counter[str] = Counter()
        self._brake = FailureRateGuard()
        self._braked = RunTotals()  # what the brake has seen
        self._queue: asyncio.Queue[tuple[Shard, bool] | None] = asyncio.Queue(PLANNED_AHEAD)
        self._copies: list[str] = []

    async def run(self, todo: PendingWork, files: Iterator[InputFile], inspections: int) -> RunTotals:
        """Do what earlier runs have left and read everything new in `files`; gives what this run has done."""
        started = time.monotonic()
        work = asyncio.create_task(self._work(todo, files, inspections))
        watch = asyncio.create_task(self._watch(started))
        grow = asyncio.create_task(self._grow())
        try:
            await _first_of(work, watch, grow)
        except BaseException as end:  # whatever ends the run, finished pages are made safe first
            safe_s, told_s = INTERRUPTED_S if isinstance(end, asyncio.CancelledError) else STOPPED_S
            await self._stop_workers(self._interruption.wait_s, safe_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._refresh(started), told_s)
            raise
        await self._refresh(started)
        return self.tally

    @property
    def tally(self) -> RunTotals:
        """What this run has done, as far as its workers have told."""
        return sum(self._tallies.values(), RunTotals())

    async def _work(self, todo: PendingWork, files: Iterator[InputFile], inspections: int) -> None:
        async with asyncio.TaskGroup() as consumers:
            checked = consumers.create_task(check_engine(self._workers, self._say))
            consumers.create_task(self._produce(todo, files, inspections, checked))
            await checked  # files are opened meanwhile, but nothing is read
            self._consumers = consumers
            for number in range(len(self._workers)):
                self._employ(number)
        self._consumers = None
        for shard_id in self._copies:
            shard = await asyncio.to_thread(self._known.shard, shard_id)
            homes = {each.document_id: self._known.shard_of(each.document_id) for each in shard.documents}
            await self._on_worker(0, "copy_shard", shard, homes)

    async def _produce(
        self, todo: PendingWork, files: Iterator[InputFile], inspections: int, checked: asyncio.Task[None]
    ) -> None:
        for shard_id in todo.open_shards:
            await self._hand_out(await asyncio.to_thread(self._known.shard, shard_id))
        for shard_id in todo.failed_shards:
            shard = await asyncio.to_thread(self._known.shard, shard_id)
            await self._hand_out(await self._planner.with_mended_files(shard), again=True)
        self._copies.extend(todo.stale_copies)
        async for shard in self._planner.shards(files, inspections, checked):
            await self._hand_out(shard)
        self._progress.plan_complete = True
        await self._queue.put(None)  # whoever takes it puts it back for the next

    async def _hand_out(self, shard: Shard, *, again: bool = False) -> None:
        self._progress.documents_total += len(shard.documents)
        if shard.copies:
            self._copies.append(shard.shard_id)
            return
        for document in shard.documents:
            if document.failure is None and document.page_count is not None:
                self._progress.pages_total += len(self._selection.of(document.page_count))
        await self._queue.put((shard, again))

    def _employ(self, number: int) -> None:
        if self._consumers is not None:  # else there is nothing left to read
            self._consumers.create_task(self._consume(number, self._consumers))

    async def _consume(self, number: int, consumers: asyncio.TaskGroup) -> None:
        """Give shards to one worker whenever it has room, which it has before the last one is finished."""
        while (work := await self._queue.get()) is not None:
            reading = consumers.create_task(self._read(number, *work))
            await asyncio.sleep(0)  # the shard goes first: whether there is room after it is the question
            try:
                await self._workers[number].has_room.remote()
            except RayActorError:  # the shard moves to another worker; this one gets no more until that is done
                await asyncio.wait([reading])
        self._queue.put_nowait(None)

    async def _read(self, number: int, shard: Shard, again: bool) -> None:
        self._under_way += 1
        self._committed_pages += await self._on_worker(number, "read_shard", shard, again)
        self._under_way -= 1
        self._progress.documents_done += len(shard.documents)

    async def _grow(self) -> None:
        """Take in workers on nodes that join, and ask for nodes while shards wait, until cancelled."""
        while self._recruiter is not None:
            await asyncio.sleep(GROW_S)
            with suppress(RayError):  # the cluster's head is busy or being replaced: next time
                for worker in await self._recruiter.newcomers():
                    self._workers.append(worker)
                    self._employ(len(self._workers) - 1)
                waiting = self._queue.qsize()
                await self._recruiter.ask_for_nodes(self._under_way + waiting, more_planned=waiting >= PLANNED_AHEAD)
        await asyncio.Event().wait()

    async def _on_worker(self, number: int, method: str, shard: Shard, *more: Any) -> Any:
        """Run a worker's method to its end; a worker that dies leaves the shard open, and it is handed out again.

        The same worker is asked first: only the way to it may have been cut, and then it still has the shard in hand.
        """
        for attempt in range(WORKER_TRIES):
            worker = self._workers[number] if not attempt else await self._living_worker(number)
            try:
                return await getattr(worker, method).remote(shard, *more)
            except RayTaskError as error:
                raise cause_of(error) from None
            except RayActorError:
                await asyncio.sleep(WORKER_RESTART_S)
        raise OneOcrError(f"The worker died {WORKER_TRIES} times on shard {shard.shard_id}.")

    async def _living_worker(self, first: int) -> Any:
        """Worker `first` or one that answers, another at each call: a lost one's shards are many.

        Waits, for nodes come back.
        """
        deadline_s = time.monotonic() + NO_WORKER_S
        while time.monotonic() < deadline_s:
            others = (next(self._turn) % len(self._workers) for _ in self._workers)
            for number in chain([first], others):
                worker = self._workers[number]
                with suppress(RayActorError, TimeoutError):
                    await asyncio.wait_for(worker.report.remote(), ANSWER_S)
                    return worker
            await asyncio.sleep(WORKER_RESTART_S)
        raise StoppedError("No node of the cluster has a worker any more. The same command resumes.")

    async def _stop_workers(self, wait_s: float, safe_s: float) -> None:
        """Let the workers finish requests under way, which are paid, and journal what they have finished."""
        stops = [worker.stop.remote(wait_s) for worker in self._workers]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*stops, return_exceptions=True), wait_s + safe_s)

    async def _watch(self, started: float) -> None:
        """Show progress until cancelled. Raises StoppedError when too many pages fail for one reason."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            await self._refresh(started)
            self._apply_brake(sum(self._tallies.values(), RunTotals()))

    async def _refresh(self, started: float) -> None:
        held = None
        for number, worker in enumerate(self._workers):
            with suppress(RayActorError):  # it is being restarted; its last report stands
                report: WorkerReport = await worker.report.remote()
                held = report.held or held
                self._tell(report.said)
                self._tallies[number, report.incarnation] = report.tally
                self._open_pages[number] = report.open_pages
        pages = sum(self._open_pages.values(), self._committed_pages)
        self._progress.update(pages, elapsed_s=time.monotonic() - started, held=held)
        self._on_progress(self._progress)

    def _tell(self, said: Mapping[str, str]) -> None:
        for code in said.keys() - self._said:
            self._said.add(code)
            self._say(said[code])

    def _apply_brake(self, now: RunTotals) -> None:
        pages = (now.pages_read - now.failed_as_before) - (self._braked.pages_read - self._braked.failed_as_before)
        code = self._brake.add(pages, now.failures - self._braked.failures) if pages else None
        self._braked = now
        if code is not None:
            raise StoppedError(TOO_MANY_FAILED.format(code=code), code)


async def _first_of(work: asyncio.Task[None], *beside: asyncio.Task[None]) -> None:
    """Wait for `work`; a fault of any ends all and is raised as it is."""
    try:
        await asyncio.wait([work, *beside], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, *beside):
            if task.done():
                task.result()
    except ExceptionGroup as group:
        raise first_fault(group) from None
    finally:
        for task in (work, *beside):
            task.cancel()
        await asyncio.gather(work, *beside, return_exceptions=True)

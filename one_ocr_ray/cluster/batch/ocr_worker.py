"""`OcrWorker`: the async actor that reads whole shards of one run. The reading itself is `ShardReader`'s."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from one_ocr_ray.cluster.batch.engine_check import EngineCheck
from one_ocr_ray.cluster.engine_setup import batch_tools, engine_on_node, run_context
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.cluster.rendering import RenderPlace
from one_ocr_ray.cluster.worker import Worker, WorkProgress, start_worker
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.reading.batch.shard import BatchedShard
from one_ocr_ray.reading.copies import commit_copies
from one_ocr_ray.reading.failure_notes import FailureNotes
from one_ocr_ray.reading.limits.endpoints import EndpointPermits
from one_ocr_ray.reading.run_totals import RunTotals, WorkerReport
from one_ocr_ray.reading.shard_reader import ShardReader, page_slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.job import Endpoint, Job
    from one_ocr_ray.model import PageResult, Shard
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.reading.batch.history import BatchWork
    from one_ocr_ray.reading.batch.shard import BatchTools
    from one_ocr_ray.reading.page.loop import ReadContext

# The driver adds up to this many calls for shards to those for a check and a stop.
CALLS_AT_ONCE = 64
UPDATE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class ShardAssignment:
    """A shard as it is handed to a worker.

    With `retry_failed` it is committed, and its failed pages are read once more. With `originals`, the shard of each
    document by its id, it is a shard of copies.
    """

    shard: Shard
    retry_failed: bool = False
    originals: Mapping[str, str] | None = None
    canary: int = 0  # pages to be asked for online before batches of the others are made

    @property
    def key(self) -> str:
        return self.shard.shard_id

    @property
    def name(self) -> str:
        return f"shard {self.shard.shard_id}"


@dataclass(frozen=True, slots=True)
class ShardUpdate:
    """How far a shard is, and its worker."""

    report: WorkerReport
    pages_done: int
    is_rendering: bool
    committed: Counter[str] | None = None  # its pages by status, in the last update
    lies_in_batches: bool = False  # in the last update: it is not committed, and is to be read again later
    batches: BatchWork | None = None  # in the last update, for metrics: a worker may end before Ray has shown its own


class _ShardProgress(WorkProgress):
    """The observer of a shard counts its pages for the worker's report and the metrics."""

    tick_s = UPDATE_EVERY_S

    def __init__(self, worker: OcrWorker) -> None:
        super().__init__()
        self._worker = worker
        self.pages: Counter[str] = Counter()  # by status
        self._is_rendering = True
        self._before: dict[tuple[str, int], ErrorCode] = {}  # why pages had failed that are read again

    def update(self, committed: Counter[str] | None = None) -> ShardUpdate:
        return ShardUpdate(self._worker.report(), self.pages.total(), self._is_rendering, committed)

    def kept(self, pages: Iterable[PageResult]) -> None:
        self.pages.update(page.status.value for page in pages)

    def failed_before(self, pages: Iterable[PageResult]) -> None:
        self._before = {(page.document_id, page.page_number): page.failure.code for page in pages if page.failure}

    def rendered(self) -> None:
        self._is_rendering = False
        self.changed.set()  # the driver sends the next shard

    def safe(self, page: PageResult) -> None:
        self.pages[page.status.value] += 1
        before = self._before.get((page.document_id, page.page_number))
        self._worker.totals.add_page(page, before, self.saved_usd(page))

    def recorded(self, spending: Spending) -> None:
        self._worker.totals.add_spending(spending)


class OcrWorker(Worker["ShardAssignment"]):
    """Actor body, one per node. `read` ends when the shard is committed."""

    def __init__(self, job: Job, number: int, readers: Sequence[str], node: Node) -> None:
        super().__init__()
        self._job = job
        place = RenderPlace(node.here, slots=asyncio.Semaphore(job.render_tasks))
        render = partial(rendered_pages, options=job.pdf, tasks=job.render_tasks, place=place)
        self._shards = ShardReader(job, page_slots(job.pages_at_once), render)
        self._incarnation = token_hex(4)
        self._notes = FailureNotes()
        self.totals = RunTotals()
        self._open: dict[str, _ShardProgress] = {}
        self._make_context = partial(run_context, job, readers, number)

    @cached_property
    def _context(self) -> ReadContext:
        """Made at first use: a missing key is told by `check_engine` and kills no actor."""
        context = self._make_context()
        own = {name for name, setup in self._job.engines.items() if setup.options.usd_per_s is not None}
        readers = tuple(
            replace(each, observers=(*each.observers, self.totals.observe_own_server)) if each.called in own else each
            for each in context.readers
        )
        context = replace(context, readers=readers)
        return replace(context, observers=(*context.observers, self.totals.observe, self._notes.observe))

    @cached_property
    def _batch_tools(self) -> BatchTools | None:
        return batch_tools(self._job, self._context)

    async def check_engine(self, ask_provider: bool) -> EngineCheck:
        """Find out whether this node has what the engines need. With `ask_provider` also what the providers say."""
        asked, faults = 0, []
        for reader in self._context.readers:
            if isinstance(reader.permits, EndpointPermits):
                several = len(reader.permits.lanes) > 1
                for lane in reader.permits.lanes:
                    failure = await lane.engine.check() if ask_provider else None
                    if failure is None or failure.code is ErrorCode.MODEL_NOT_FOUND:
                        await lane.permits.ready()
                    asked += 1
                    if failure is not None:
                        faults.append((f"{reader.called} at {lane.name}" if several else reader.called, failure))
            elif ask_provider and (failure := await reader.engine.check()) is not None:
                raise StoppedError(failure.message, failure.code)
        return EngineCheck(asked, tuple(faults))

    async def reach(self, name: str, endpoints: Sequence[Endpoint]) -> None:
        """Ask those of `endpoints`, too, that the reader `name` does not know yet."""
        for reader in self._context.readers:
            if reader.called == name and isinstance(reader.permits, EndpointPermits):
                for endpoint in endpoints:
                    reader.permits.join(endpoint, lambda each: engine_on_node(each.options))

    def report(self) -> WorkerReport:
        """How far this worker is."""
        open_pages = sum((each.pages for each in self._open.values()), Counter())
        held = next(filter(None, (reader.permits.held() for reader in self._context.readers)), None)
        return WorkerReport(self._incarnation, self.totals, open_pages, held, self._notes.to_show(held))

    async def stop(self, wait_s: float) -> WorkerReport:
        """Send no more requests, and give those under way `wait_s`. Returns when every finished page is safe."""
        self._shards.end(wait_s)
        await asyncio.gather(*(work for work, _ in self._work.values()), return_exceptions=True)
        return self.report()

    def _progress(self, assignment: ShardAssignment) -> _ShardProgress:
        return _ShardProgress(self)

    async def _read(self, assignment: ShardAssignment, progress: _ShardProgress) -> ShardUpdate:
        shard, originals = assignment.shard, assignment.originals
        if originals is not None:
            progress.committed(await asyncio.to_thread(commit_copies, self._job, shard, originals))
            return progress.update(Counter())
        self._open[shard.shard_id] = progress
        progress.readers = self._context.readers
        batches = None
        if self._batch_tools is not None:
            batches = BatchedShard(self._batch_tools, shard.shard_id, canary=assignment.canary)
        try:
            rows = await self._shards.read(
                shard, self._context, progress, retry_failed=assignment.retry_failed, batches=batches
            )
        finally:
            if batches is not None:
                batches.dispose()
        del self._open[shard.shard_id]
        counts = Counter(row.status.value for row in rows) if rows is not None else None
        last = replace(progress.update(counts), lies_in_batches=rows is None)
        return replace(last, batches=batches.work if batches is not None else None)


def start_ocr_worker(job: Job, number: int, readers: Sequence[str], node: Node) -> ActorHandle[Any]:
    """Worker `number` of a run, with the engine actors `readers` by name."""
    name = f"ocr-worker-{number}-{job.identity.run_id}"
    return start_worker(OcrWorker, node, job, number, readers, node, calls_at_once=CALLS_AT_ONCE, name=name)

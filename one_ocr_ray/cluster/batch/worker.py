"""`OcrWorker`: the async actor that reads whole shards of one run. The reading itself is `ShardReader`'s."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.engine_setup import llm_reading, local_reading
from one_ocr_ray.cluster.metrics import count_documents
from one_ocr_ray.cluster.nodes import ANCHOR_BYTES
from one_ocr_ray.cluster.rendering import RenderPlace
from one_ocr_ray.cluster.shard_reader import ShardReader, page_places
from one_ocr_ray.job import RunTotals, WorkerReport
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.dataset.documents import document_result, same_bytes_result
from one_ocr_ray.reading.failure_notes import FailureNotes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ray.actor import ActorHandle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.job import Job
    from one_ocr_ray.model import Failure, PageResult, Shard
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.reading.page import Reading

# A worker renders a shard, and the next one as soon as the first has no more pages to give. Shards whose last pages are
# under way come on top, for a single page may take minutes; those hold rows, and so they are bounded too.
RENDERING_AT_ONCE = 2
OPEN_SHARDS = 16
# Room for reports and a stop beside the shards, all on one event loop: a concurrency group would have its own.
CALLS_AT_ONCE = 64


class _Counting:
    """What an open shard adds to its worker's report; `on_rendered` is called when it needs no more rendering."""

    def __init__(self, tally: RunTotals, on_rendered: Callable[[], None]) -> None:
        self._tally = tally
        self._on_rendered = on_rendered
        self.pages: Counter[str] = Counter()  # by status
        self.needs_rendering = True
        self._before: dict[tuple[str, int], ErrorCode] = {}  # why pages had failed that are read again

    def kept(self, pages: Iterable[PageResult]) -> None:
        self.pages.update(page.status.value for page in pages)

    def failed_before(self, pages: Iterable[PageResult]) -> None:
        self._before = {(page.document_id, page.page_number): page.failure.code for page in pages if page.failure}

    def begun(self) -> None:
        pass

    def rendered(self) -> None:
        self.needs_rendering = False
        self._on_rendered()

    def safe(self, page: PageResult) -> None:
        self.pages[page.status.value] += 1
        self._tally.add_page(page, self._before.get((page.document_id, page.page_number)))

    def recorded(self, spending: Spending) -> None:
        self._tally.add_untold(spending)


class OcrWorker:
    """Actor body. One per node; `read_shard` and `copy_shard` return when the shard is committed."""

    def __init__(self, job: Job, number: int, readers: Sequence[str], where: NodeAffinitySchedulingStrategy):
        place = RenderPlace(where, slots=asyncio.Semaphore(job.render_tasks))
        self._identity = job.identity
        self._shards = ShardReader(job, page_places(job.pages_at_once), place)
        self._incarnation = token_hex(4)
        self._sayings = FailureNotes()
        self._tally = RunTotals()
        self._open: dict[str, _Counting] = {}  # by shard
        self._under_way: dict[str, asyncio.Task[Counter[str]]] = {}  # by shard, until it is committed or has failed
        self._room = asyncio.Event()
        self._room.set()
        self._make_reading = (
            partial(local_reading, job, readers, number) if readers else partial(llm_reading, job, number)
        )

    @cached_property
    def _reading(self) -> Reading:
        """Made at first use: a missing key must come out of `check_engine`, not as the death of an actor."""
        reading = self._make_reading()
        return replace(reading, observers=(*reading.observers, self._tally.observe, self._sayings.observe))

    async def check_engine(self, ask_provider: bool) -> Failure | None:
        """Whether this node has what the engine needs; with `ask_provider`, what the provider says of it."""
        failure = await self._reading.engine.check() if ask_provider else None
        if failure is None or failure.code is ErrorCode.MODEL_NOT_FOUND:
            await self._reading.permits.ready()
        return failure

    async def read_shard(self, shard: Shard, again: bool = False) -> Counter[str]:
        """Read every wanted page of `shard` that no earlier attempt has read, and commit its rows.

        `again`: the shard is committed; its failed pages are read once more and its files replaced, good rows kept.
        Gives the number of its pages by status. Asked once more for a shard that it is reading, as by a driver that
        had lost sight of it, a worker goes on with what it has.
        """
        reading = self._under_way.get(shard.shard_id)
        if reading is None:
            reading = self._under_way[shard.shard_id] = asyncio.create_task(self._read_shard(shard, again))
            reading.add_done_callback(lambda _: self._under_way.pop(shard.shard_id))
        return await asyncio.shield(reading)

    async def has_room(self) -> None:
        """Return when this worker can begin another shard."""
        await self._room.wait()

    async def copy_shard(self, shard: Shard, originals: Mapping[str, str]) -> None:
        """Commit the rows of files whose bytes stand in other shards; `originals`: document_id -> shard_id."""
        await asyncio.to_thread(self._commit_copies, shard, originals)

    async def report(self) -> WorkerReport:
        """How far this worker is."""
        open_pages = sum((each.pages for each in self._open.values()), Counter())
        held = self._reading.permits.held()
        return WorkerReport(self._incarnation, self._tally, open_pages, held, self._sayings.told(held))

    async def stop(self, wait_s: float) -> None:
        """Give requests under way so long, and send none; returns when every finished page is in the journal."""
        await self._shards.stop(wait_s)

    async def _read_shard(self, shard: Shard, again: bool) -> Counter[str]:
        counting = self._open[shard.shard_id] = _Counting(self._tally, self._look_for_room)
        self._look_for_room()
        pages = await self._shards.read(shard, self._reading, counting, again=again)
        self._open.pop(shard.shard_id, None)
        self._look_for_room()
        return Counter(page.status.value for page in pages)

    def _look_for_room(self) -> None:
        rendering = sum(each.needs_rendering for each in self._open.values())
        if rendering < RENDERING_AT_ONCE and len(self._open) < OPEN_SHARDS:
            self._room.set()
        else:
            self._room.clear()

    def _commit_copies(self, shard: Shard, originals: Mapping[str, str]) -> None:
        dataset = self._shards.dataset
        found = {
            row.document_id: row
            for shard_id in sorted({originals[each.document_id] for each in shard.documents})
            for row in dataset.documents(shard_id)
            if row.document_id in originals  # the others' texts would only fill memory
        }
        now = datetime.now(UTC)
        rows = [
            # Of a failure the plan knows all; the row that it was first met in may be of a file that was found since.
            document_result(each, [], self._identity, now)
            if each.failure
            else same_bytes_result(found[each.document_id], each)
            for each in shard.documents
        ]
        dataset.commit_pages(shard.shard_id, [])
        dataset.replace_documents(shard.shard_id, rows)  # the originals may have been read again
        self._shards.journal(shard.shard_id).delete()
        count_documents(rows)


def start_workers(
    job: Job, nodes: Sequence[Node], count: int, readers: Sequence[str], *, first: int = 0
) -> list[ActorHandle[OcrWorker]]:
    """`count` workers with numbers from `first`, spread over `nodes`. They take no CPU: they wait most of the time."""
    worker: Any = ray.remote(OcrWorker)
    return [
        worker.options(
            name=f"ocr-worker-{number}-{job.identity.run_id}",
            num_cpus=0,
            memory=ANCHOR_BYTES,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CALLS_AT_ONCE,
            scheduling_strategy=nodes[number % len(nodes)].here,
        ).remote(job, number, readers, nodes[number % len(nodes)].here)
        for number in range(first, first + count)
    ]

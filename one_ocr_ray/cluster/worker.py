"""`OcrWorker`: the async actor that reads whole shards, from their PDFs to their committed rows.

It drives the render tasks and the engine itself, so that the driver never holds a page. Blocking work (Parquet,
storage) runs in threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cached_property, partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.faults import first_fault
from one_ocr_ray.cluster.job import Tally, WorkerReport
from one_ocr_ray.cluster.journaling import PageJournal
from one_ocr_ray.cluster.pages import rendered_pages
from one_ocr_ray.cluster.reading import llm_reading, local_reading
from one_ocr_ray.flow import read_page
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.documents import document_result, same_bytes_result
from one_ocr_ray.policy.journal import best_pages, carried_over
from one_ocr_ray.policy.plan import render_slices
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ray.actor import ActorHandle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from one_ocr_ray.cluster.job import Job
    from one_ocr_ray.cluster.session import Node
    from one_ocr_ray.flow import Reading
    from one_ocr_ray.model import DocumentRef, Failure, PageResult, RenderedPage, Shard

# A worker reads two shards at a time: the next one fills the places that the tail of the first leaves empty.
SHARDS_AT_ONCE = 2
# Room for reports and a stop beside the shards, all on one event loop: a concurrency group would have its own.
CALLS_AT_ONCE = 64


class OcrWorker:
    """Actor body. One per node; `read_shard` and `copy_shard` return when the shard is committed."""

    def __init__(self, job: Job, number: int, readers: Sequence[str], where: NodeAffinitySchedulingStrategy):
        self._job = job
        self._where = where
        self._output = Objects(job.output)
        self._dataset = Dataset(self._output, job.config)
        self._reading_tasks: set[asyncio.Task[list[PageResult]]] = set()
        self._places = asyncio.Semaphore(job.pages_at_once)
        self._incarnation = token_hex(4)
        self._tally = Tally()
        self._open_pages: dict[str, Counter[str]] = {}  # by shard
        self._make_reading = (
            partial(local_reading, job, readers, number) if readers else partial(llm_reading, job, number)
        )

    @cached_property
    def _reading(self) -> Reading:
        """Made at first use: a missing key must come out of `check_engine`, not as the death of an actor."""
        return self._make_reading()

    async def check_engine(self, ask_provider: bool) -> Failure | None:
        """Whether this node has what the engine needs; with `ask_provider`, what the provider says of it."""
        engine = self._reading.engine
        return await engine.check() if ask_provider else None

    async def read_shard(self, shard: Shard, again: bool = False) -> Counter[str]:
        """Read every wanted page of `shard` that no earlier attempt has read, and commit its rows.

        `again`: the shard is committed; its failed pages are read once more and its files replaced, good rows kept.
        Gives the number of its pages by status.
        """
        journal = Journal(self._output, shard.shard_id, self._job.identity.config_id)
        pages = await asyncio.to_thread(self._dataset.pages, shard.shard_id)
        if again:
            pages = await self._stoppable(self._read_failed(shard, pages, journal))
            await asyncio.to_thread(journal.mark_replacing)
            await asyncio.to_thread(self._dataset.replace_pages, shard.shard_id, pages)
        elif not pages:  # else a run before this one ended between the shard's two files
            found = best_pages(await asyncio.to_thread(journal.read))
            pages = await self._stoppable(self._read_pages(shard, found, journal))
            pages = await asyncio.to_thread(self._dataset.commit_pages, shard.shard_id, pages)
        await asyncio.to_thread(self._finish, shard, pages, journal)
        self._open_pages.pop(shard.shard_id, None)
        return Counter(page.status.value for page in pages)

    async def copy_shard(self, shard: Shard, originals: Mapping[str, str]) -> None:
        """Commit the rows of files whose bytes stand in other shards; `originals`: document_id -> shard_id."""
        await asyncio.to_thread(self._commit_copies, shard, originals)

    async def report(self) -> WorkerReport:
        """How far this worker is."""
        return WorkerReport(self._incarnation, self._tally, sum(self._open_pages.values(), Counter()))

    async def stop(self) -> None:
        """End what is under way; returns when every finished page is in the journal."""
        for task in self._reading_tasks:
            task.cancel()
        await asyncio.gather(*self._reading_tasks, return_exceptions=True)

    async def _stoppable(self, reading: Coroutine[Any, Any, list[PageResult]]) -> list[PageResult]:
        task = asyncio.create_task(reading)
        self._reading_tasks.add(task)
        try:
            return await task
        except ExceptionGroup as group:
            raise first_fault(group) from None
        finally:
            self._reading_tasks.discard(task)

    async def _read_failed(self, shard: Shard, committed: list[PageResult], journal: Journal) -> list[PageResult]:
        before = best_pages(committed)
        journaled = await asyncio.to_thread(journal.read)
        good = [page for page in (*committed, *journaled) if page.status is not PageStatus.FAILED]
        pages = await self._read_pages(shard, best_pages(good), journal)
        return [
            carried_over(page, earlier) if earlier is not None and earlier.status is PageStatus.FAILED else page
            for page in pages
            for earlier in [before.get((page.document_id, page.page_number))]
        ]

    async def _read_pages(
        self, shard: Shard, results: dict[tuple[str, int], PageResult], journal: Journal
    ) -> list[PageResult]:
        """All wanted pages of `shard` in order: those in `results`, and the others read."""
        counts = self._open_pages[shard.shard_id] = Counter(page.status.value for page in results.values())

        def on_safe(page: PageResult) -> None:
            counts[page.status.value] += 1
            self._tally.add_page(page)

        slices = render_slices(shard.documents, self._job.selection, frozenset(results))
        pages = rendered_pages(slices, self._job.pdf, tasks=self._job.render_tasks, where=self._where)
        page_journal = PageJournal(journal, on_safe)
        try:
            async with asyncio.TaskGroup() as writing:
                writer = writing.create_task(page_journal.keep_writing())
                async with asyncio.TaskGroup() as reading:
                    async for document, page in pages:
                        await self._places.acquire()
                        reading.create_task(self._read(document, page, results, page_journal))
                writer.cancel()
        finally:
            await page_journal.flush()
        place = {document.document_id: number for number, document in enumerate(shard.documents)}
        wanted = (page for page in results.values() if page.document_id in place)
        return sorted(wanted, key=lambda page: (place[page.document_id], page.page_number))

    async def _read(
        self,
        document: DocumentRef,
        page: RenderedPage,
        results: dict[tuple[str, int], PageResult],
        journal: PageJournal,
    ) -> None:
        try:
            result = await read_page(document, page, self._reading)
        finally:
            self._places.release()
        results[result.document_id, result.page_number] = result
        journal.add(result)

    def _finish(self, shard: Shard, pages: Sequence[PageResult], journal: Journal) -> None:
        """Write the documents that follow from `pages`; where pages were replaced, in the place of the old ones."""
        by_document: dict[str, list[PageResult]] = defaultdict(list)
        for page in pages:
            by_document[page.document_id].append(page)
        now = datetime.now(UTC)
        rows = [
            document_result(document, by_document[document.document_id], self._job.identity, now)
            for document in shard.documents
        ]
        if journal.is_replacing():
            self._dataset.replace_documents(shard.shard_id, rows)
        else:
            self._dataset.commit_documents(shard.shard_id, rows)
        journal.delete()

    def _commit_copies(self, shard: Shard, originals: Mapping[str, str]) -> None:
        found = {
            row.document_id: row
            for shard_id in sorted({originals[each.document_id] for each in shard.documents})
            for row in self._dataset.documents(shard_id)
        }
        rows = [same_bytes_result(found[each.document_id], each) for each in shard.documents]
        self._dataset.commit_pages(shard.shard_id, [])
        self._dataset.replace_documents(shard.shard_id, rows)  # the originals may have been read again


def start_workers(job: Job, nodes: Sequence[Node], count: int, readers: Sequence[str]) -> list[ActorHandle[OcrWorker]]:
    """`count` workers, spread over `nodes`. They take no CPU: they wait for others most of the time."""
    worker: Any = ray.remote(OcrWorker)
    return [
        worker.options(
            name=f"ocr-worker-{number}-{job.identity.run_id}",
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CALLS_AT_ONCE,
            scheduling_strategy=nodes[number % len(nodes)].here,
        ).remote(job, number, readers, nodes[number % len(nodes)].here)
        for number in range(count)
    ]

"""`ShardReader`: one shard of one job from its PDFs to its committed rows, inside a worker's event loop.

What is the same for the batch's workers and the service's: dataset, journal, render tasks, page loop. Blocking work
(Parquet, storage) runs in threads.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from one_ocr_ray.cluster.faults import first_fault
from one_ocr_ray.cluster.joblog import log_documents, log_page
from one_ocr_ray.cluster.journaling import PageJournal, Risk
from one_ocr_ray.cluster.metrics import count_documents, count_page
from one_ocr_ray.cluster.pages import rendered_pages
from one_ocr_ray.flow import read_page
from one_ocr_ray.policy.plan import render_slices
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.objects import Objects
from one_ocr_ray.storage.open_shard import OpenShard

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from contextlib import AbstractAsyncContextManager

    from one_ocr_ray.cluster.job import Job
    from one_ocr_ray.cluster.rendering import RenderPlace
    from one_ocr_ray.flow import Reading
    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage, Shard


class Listener(Protocol):
    """Who wants to hear how the pages of a shard are doing."""

    def kept(self, pages: Iterable[PageResult]) -> None:
        """These pages need no reading: an earlier attempt has read them."""

    def begun(self) -> None:
        """A page is under way."""

    def rendered(self) -> None:
        """Every page has begun; those that are still under way need no rendering."""

    def safe(self, page: PageResult) -> None:
        """A page was read and is in the journal."""


class ShardReader:
    """Reads shards of `job`. Jobs may share `places`, a bound on the pages under way, and `lane`, one on rendering."""

    def __init__(
        self,
        job: Job,
        places: asyncio.Semaphore,
        render_place: RenderPlace,
        lane: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        self._job = job
        self._places = places
        self._render_place = render_place
        self._lane = lane or nullcontext()
        self._output = Objects(job.output)
        self.dataset = Dataset(self._output, job.config)
        self._risk = Risk()
        self._shards_open: set[asyncio.Task[list[PageResult]]] = set()  # until they are committed
        self._reading_tasks: set[asyncio.Task[list[PageResult]]] = set()  # what a stop cancels of them
        self._stopped = False

    async def read(
        self,
        shard: Shard,
        reading: Reading,
        listener: Listener,
        *,
        again: bool = False,
        only: frozenset[int] | None = None,
    ) -> list[PageResult]:
        """Read every wanted page of `shard` that no earlier attempt has read, and commit its rows; gives them all.

        `again`: read failed pages once more (of page numbers `only`, if given); good rows are kept, and the files of
        a committed shard are replaced.
        """
        task = asyncio.create_task(self._read(shard, reading, listener, again=again, only=only))
        self._shards_open.add(task)
        task.add_done_callback(self._shards_open.discard)
        return await task

    async def _read(
        self, shard: Shard, reading: Reading, listener: Listener, *, again: bool, only: frozenset[int] | None
    ) -> list[PageResult]:
        work = await asyncio.to_thread(
            OpenShard, self._output, self.dataset, shard, self._job.identity, again=again, only=only
        )
        if work.is_read:
            pages, documents = await asyncio.to_thread(work.settle)
        else:
            read = await self._stoppable(self._read_pages(shard, work.kept, work.journal, reading, listener))
            pages, documents = await asyncio.to_thread(work.commit, read)
        count_documents(documents)
        log_documents(shard.shard_id, documents)
        return pages

    def journal(self, shard_id: str) -> Journal:
        """A new attempt at the journal of a shard."""
        return Journal(self._output, shard_id, self._job.identity.config_id)

    async def stop(self) -> None:
        """End what is under way; returns when finished pages are in the journal, shards read whole committed."""
        self._stopped = True
        for task in self._reading_tasks:
            task.cancel()
        await asyncio.gather(*self._shards_open, return_exceptions=True)

    async def _stoppable(self, reading: Coroutine[Any, Any, list[PageResult]]) -> list[PageResult]:
        task = asyncio.create_task(reading)
        if self._stopped:  # while the shard was being opened
            task.cancel()
        self._reading_tasks.add(task)
        try:
            return await task
        except ExceptionGroup as group:
            raise first_fault(group) from None
        finally:
            self._reading_tasks.discard(task)

    async def _read_pages(
        self,
        shard: Shard,
        results: dict[tuple[str, int], PageResult],
        journal: Journal,
        reading: Reading,
        listener: Listener,
    ) -> list[PageResult]:
        """All wanted pages of `shard` in order: those in `results`, and the others read."""
        listener.kept(results.values())
        slices = render_slices(shard.documents, self._job.selection, frozenset(results))
        stream = rendered_pages(slices, self._job.pdf, tasks=self._job.render_tasks, place=self._render_place)
        page_journal = PageJournal(journal, listener.safe, self._risk)
        try:
            async with asyncio.TaskGroup() as writing:
                writer = writing.create_task(page_journal.keep_writing())
                async with asyncio.TaskGroup() as at_work, self._lane, aclosing(stream) as pages:
                    async for document, page in pages:
                        await self._places.acquire()
                        task = at_work.create_task(self._read_page(document, page, reading, results, page_journal))
                        task.add_done_callback(self._release_place)  # one that is cancelled may never have begun
                        listener.begun()
                    listener.rendered()
                writer.cancel()
        finally:
            await page_journal.finish()
        place = {document.document_id: number for number, document in enumerate(shard.documents)}
        wanted = (page for page in results.values() if page.document_id in place)
        return sorted(wanted, key=lambda page: (place[page.document_id], page.page_number))

    async def _read_page(
        self,
        document: DocumentRef,
        page: RenderedPage,
        reading: Reading,
        results: dict[tuple[str, int], PageResult],
        journal: PageJournal,
    ) -> None:
        result = await read_page(document, page, reading)
        results[result.document_id, result.page_number] = result
        journal.add(result)
        count_page(result)
        log_page(result)

    def _release_place(self, _: asyncio.Task[None]) -> None:
        self._places.release()

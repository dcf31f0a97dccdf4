"""`ShardReader`: one shard of one job from its PDFs to its committed rows, inside a worker's event loop.

What is the same for the batch's workers and the service's: dataset, journal, render tasks, page loop. Blocking work
(Parquet, storage) runs in threads.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.cluster.faults import first_fault
from one_ocr_ray.cluster.job_logging import log_documents, log_page
from one_ocr_ray.cluster.metrics import count_documents, count_page
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import PageUnrendered
from one_ocr_ray.policy.dataset.plan import render_slices
from one_ocr_ray.reading.journal_writer import JournalWriter, UnflushedRows
from one_ocr_ray.reading.page import read_page
from one_ocr_ray.reading.stopping import Ending
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.tasks.fair_semaphore import FairSemaphore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    from one_ocr_ray.cluster.rendering import RenderPlace
    from one_ocr_ray.job import Job
    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage, Shard
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.reading.page import Reading


class Listener(Protocol):
    """Who wants to hear how the pages of a shard are doing."""

    def kept(self, pages: Iterable[PageResult]) -> None:
        """These pages need no reading: an earlier attempt has read them."""

    def failed_before(self, pages: Iterable[PageResult]) -> None:
        """These pages have failed in an earlier attempt, and are read again."""

    def begun(self) -> None:
        """A page is under way."""

    def rendered(self) -> None:
        """Every page has begun; those that are still under way need no rendering."""

    def safe(self, page: PageResult) -> None:
        """A page was read and is in the journal."""

    def recorded(self, spending: Spending) -> None:
        """Requests have cost this, and no page will tell."""


# Of the images of pages under way in one process: a thousand of usual size, a dozen of the largest there are.
IMAGE_BYTES = 512 << 20


def page_places(count: int) -> FairSemaphore:
    """Places for pages under way, bounded by what their images take as well."""
    return FairSemaphore(count, bytes_at_once=IMAGE_BYTES)


class ShardReader:
    """Reads shards of `job`. Jobs may share `places`, a bound on the pages under way, and `lane`, one on rendering;
    those of several owners have equal shares.
    """

    def __init__(
        self,
        job: Job,
        places: FairSemaphore,
        render_place: RenderPlace,
        *,
        lane: FairSemaphore | None = None,
        owner: str = "",
    ) -> None:
        self._job = job
        self._places = places
        self._render_place = render_place
        self._lane = lane
        self._owner = owner
        self._output = Objects(job.output)
        self.dataset = Dataset(self._output, job.config)
        self._risk = UnflushedRows()
        self._shards_open: set[asyncio.Task[list[PageResult]]] = set()  # until they are committed
        self._ending = Ending(job.stop_wait_s)

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
        a committed shard are replaced. Raises StoppedError when pages are left unread, once requests under way have had
        their time.
        """
        reading = replace(reading, ending=self._ending)
        task = asyncio.create_task(self._read(shard, reading, listener, again=again, only=only))
        self._shards_open.add(task)
        task.add_done_callback(self._shards_open.discard)
        return await task

    async def _read(
        self, shard: Shard, reading: Reading, listener: Listener, *, again: bool, only: frozenset[int] | None
    ) -> list[PageResult]:
        work = await asyncio.to_thread(
            ShardCommit,
            self._output,
            self.dataset,
            shard,
            self._job.identity,
            again=again,
            only=only,
            selection=self._job.selection,
        )
        if work.pages_committed:
            pages, documents = await asyncio.to_thread(work.recover)
        else:
            try:
                listener.failed_before(work.replaced.values())
                read = await self._read_pages(shard, work.kept, work.journal, reading, listener)
            except ExceptionGroup as group:
                raise first_fault(group) from None
            pages, documents = await asyncio.to_thread(work.commit, read)
        count_documents(documents)
        log_documents(shard.shard_id, documents)
        return pages

    def journal(self, shard_id: str) -> Journal:
        """A new attempt at the journal of a shard."""
        return Journal(self._output, shard_id, self._job.identity.config_id)

    async def stop(self, wait_s: float) -> None:
        """Send nothing more, and give requests under way so long; returns when finished pages are in the journal.

        Shards that are read whole are committed.
        """
        self._ending.begin(StoppedError("The run is being ended."), wait_s)
        await asyncio.gather(*self._shards_open, return_exceptions=True)

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
        slices = list(render_slices(shard.documents, self._job.selection, frozenset(results)))
        wanted = len(results) + sum(len(item.pages) for each in slices for item in each)
        stream = rendered_pages(slices, self._job.pdf, tasks=self._job.render_tasks, place=self._render_place)
        page_journal = JournalWriter(journal, listener.safe, self._risk, listener.recorded)
        reading = replace(reading, untold=page_journal.add_untold)
        try:
            async with asyncio.TaskGroup() as writing:
                writer = writing.create_task(page_journal.keep_writing())
                async with asyncio.TaskGroup() as at_work, self._rendering():
                    with self._ending.begins_here(), self._ending.waiting():
                        async with aclosing(stream) as pages:
                            async for document, page in pages:
                                size_bytes = 0 if isinstance(page, PageUnrendered) else len(page.data)
                                await self._places.take(self._owner, size_bytes)
                                task = at_work.create_task(
                                    self._read_page(document, page, reading, results, page_journal)
                                )
                                # Not in the task itself: one that is cancelled may never have begun.
                                task.add_done_callback(partial(self._give_place_back, size_bytes))
                                listener.begun()
                        listener.rendered()
                writer.cancel()
        finally:
            await page_journal.finish()
        if self._ending.reason is not None and len(results) < wanted:
            raise self._ending.reason
        place = {document.document_id: number for number, document in enumerate(shard.documents)}
        in_shard = (page for page in results.values() if page.document_id in place)
        return sorted(in_shard, key=lambda page: (place[page.document_id], page.page_number))

    def _rendering(self) -> AbstractAsyncContextManager[None]:
        return self._lane.turn(self._owner) if self._lane is not None else nullcontext()

    def _give_place_back(self, size_bytes: int, _: asyncio.Task[None]) -> None:
        self._places.give_back(self._owner, size_bytes)

    async def _read_page(
        self,
        document: DocumentRef,
        page: RenderedPage,
        reading: Reading,
        results: dict[tuple[str, int], PageResult],
        journal: JournalWriter,
    ) -> None:
        with self._ending.begins_here():
            result = await read_page(document, page, reading)
            results[result.document_id, result.page_number] = result
            journal.add(result)
            count_page(result)
            log_page(result)

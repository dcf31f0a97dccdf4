"""`ShardReader` reads one shard of one job, from page images to committed rows. The page stream is passed in."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StoppedError, first_error
from one_ocr_ray.model import PageUnrendered
from one_ocr_ray.policy.dataset.plan import render_slices
from one_ocr_ray.reading.job_logging import log_documents, log_page
from one_ocr_ray.reading.journal_writer import JournalWriter, UnflushedRows
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.reading.page.loop import read_page
from one_ocr_ray.reading.route.audit import ShardAudit
from one_ocr_ray.reading.route.reader import PageDeferred
from one_ocr_ray.reading.stopping import Ending
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from one_ocr_ray.job import Job
    from one_ocr_ray.model import DocumentRef, DocumentResult, PageResult, RenderedPage, Shard
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.plan import RenderSlice
    from one_ocr_ray.reading.batch.shard import BatchedShard
    from one_ocr_ray.reading.page.loop import ReadContext

    PageStream = AsyncGenerator[tuple[DocumentRef, RenderedPage]]
    Render = Callable[[Sequence[RenderSlice]], PageStream]
    Rows = dict[tuple[str, int], PageResult]  # by document id and page number
    PageKeys = frozenset[tuple[str, int]]


class ShardObserver:
    """Hears how the pages of a shard are doing. What a subclass leaves out is heard and ignored."""

    def kept(self, pages: Iterable[PageResult]) -> None:
        """An earlier attempt has read these pages."""

    def failed_before(self, pages: Iterable[PageResult]) -> None:
        """These pages failed in an earlier attempt and are read again."""

    def begun(self) -> None:
        """A page is under way."""

    def rendered(self) -> None:
        """Every page has begun; the shard needs no more rendering."""

    def finished(self, page: PageResult) -> None:
        """A page was read; it is not in the journal yet."""

    def safe(self, page: PageResult) -> None:
        """A page was read and is in the journal."""

    def recorded(self, spending: Spending) -> None:
        """Requests have cost this, and no row will say so."""

    def committed(self, documents: Sequence[DocumentResult]) -> None:
        """The shard stands in the dataset with these documents."""


# The images of all pages under way in one process: a thousand of usual size, or a dozen of the largest.
IMAGE_BYTES = 512 << 20


def page_slots(count: int) -> FairSemaphore:
    """Bound the pages under way to `count`, and their images to `IMAGE_BYTES`."""
    return FairSemaphore(count, bytes_at_once=IMAGE_BYTES)


class ShardReader:
    """Reads shards of `job`. Jobs may share `slots` and `lane`; several owners then have equal shares."""

    def __init__(
        self, job: Job, slots: FairSemaphore, render: Render, *, lane: FairSemaphore | None = None, owner: str = ""
    ) -> None:
        """`slots` bounds the pages under way, `lane` the shards that render. `render` opens a stream of page images."""
        self._job = job
        self._slots = slots
        self._render = render
        self._lane = lane
        self._owner = owner
        self._output = Objects(job.output)
        self._dataset = Dataset(self._output, job.config)
        self._unflushed = UnflushedRows()
        self._ending = Ending(job.stop_wait_s)

    def end(self, wait_s: float) -> None:
        """Send no more requests, and give those under way `wait_s`. Shards that are read whole are still committed."""
        self._ending.begin(StoppedError("The run is being ended."), wait_s)

    async def read(
        self,
        shard: Shard,
        context: ReadContext,
        observer: ShardObserver,
        *,
        retry_failed: bool = False,
        retry_pages: frozenset[int] | None = None,
        batches: BatchedShard | None = None,
    ) -> list[PageResult] | None:
        """Read the wanted pages of `shard` that no earlier attempt has read. Commit and return all its rows.

        With `retry_failed` failed pages are read once more (those in `retry_pages`, if given) and the files of a
        committed shard are replaced. None when pages lie in `batches`: the shard must be read again when those have
        ended. Raises StoppedError when pages stay unread, after requests under way have had their time.
        """
        work = await asyncio.to_thread(
            ShardCommit.open,
            self._output,
            self._dataset,
            shard,
            self._job.identity,
            retry_failed=retry_failed,
            retry_pages=retry_pages,
            selection=self._job.selection,
        )
        if work.pages_committed:
            return await self._commit(work.recover, shard, observer, batches)
        observer.failed_before(work.replaced.values())
        observer.kept(work.kept.values())
        audit = await asyncio.to_thread(ShardAudit.open, context.audit, self._output, shard.shard_id)
        journal = JournalWriter(work.journal, observer.safe, self._unflushed, observer.recorded)
        context = replace(
            context,
            ending=self._ending,
            record_spending=journal.add_spending,
            record_passed=journal.add_passed,
            passed_before=work.passed,
            failed_before=work.replaced,
        )
        lane = self._lane.turn(self._owner) if self._lane is not None else nullcontext()
        try:
            async with journal.writing(), asyncio.TaskGroup() as tasks, lane:
                with self._ending.begins_here(), self._ending.waiting():
                    if batches is not None:
                        async with aclosing(batches.rows(shard, work.kept, context)) as collected:
                            async for row in collected:
                                _keep(row, work.kept, journal, observer)
                    elsewhere = batches.elsewhere if batches is not None else frozenset()
                    # Of an attempt that was cut off before a second reader came, some pages are drawn for that one.
                    done = frozenset(work.kept) - audit.lacking(work.kept.values()) | elsewhere
                    slices = list(render_slices(shard.documents, self._job.selection, done))
                    if batches is not None:
                        await batches.turn(slices)
                    async with aclosing(self._render(slices)) as stream:
                        async for document, page in stream:
                            size_bytes = 0 if isinstance(page, PageUnrendered) else len(page.data)
                            await self._slots.take(self._owner, size_bytes)
                            own = batches.context_of(document, page.page_number, context) if batches else context
                            task = tasks.create_task(
                                self._read_page(
                                    document, page, own, audit, work.kept, journal=journal, observer=observer
                                )
                            )
                            # Not in the task itself: a task that is cancelled may never have begun.
                            task.add_done_callback(partial(self._free_slot, size_bytes))
                            observer.begun()
                    observer.rendered()
        except ExceptionGroup as group:
            raise first_error(group) from None
        if batches is not None:
            await batches.close()
        is_whole = next(render_slices(shard.documents, self._job.selection, frozenset(work.kept)), None) is None
        if self._ending.reason is not None and (not is_whole or audit.lacking(work.kept.values())):
            raise self._ending.reason
        if not is_whole:
            return None
        return await self._commit(partial(work.commit, work.kept.values()), shard, observer, batches)

    async def _commit(
        self,
        commit: Callable[[], tuple[list[PageResult], list[DocumentResult]]],
        shard: Shard,
        observer: ShardObserver,
        batches: BatchedShard | None,
    ) -> list[PageResult]:
        rows, documents = await asyncio.to_thread(commit)
        if batches is not None:
            await batches.forget()
        observer.committed(documents)
        log_documents(shard.shard_id, documents)
        return rows

    def _free_slot(self, size_bytes: int, _: asyncio.Task[None]) -> None:
        self._slots.give_back(self._owner, size_bytes)

    async def _read_page(
        self,
        document: DocumentRef,
        page: RenderedPage,
        context: ReadContext,
        audit: ShardAudit,
        rows: Rows,
        *,
        journal: JournalWriter,
        observer: ShardObserver,
    ) -> None:
        with self._ending.begins_here(), suppress(PageDeferred):
            row = rows.get((document.document_id, page.page_number))
            if row is None:
                row = await context.reuse.page(document, page, context) if context.reuse is not None else None
                row = row or await read_page(document, page, context)
                _keep(row, rows, journal, observer)
            await audit.read(document, page, row, context)


def _keep(row: PageResult, rows: Rows, journal: JournalWriter, observer: ShardObserver) -> None:
    rows[row.document_id, row.page_number] = row
    journal.add(row)
    observer.finished(row)
    log_page(row)

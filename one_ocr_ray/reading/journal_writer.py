"""Writes finished pages to the journal, after half a second or four pages. In threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.reading.page.loop import ignore_spending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.storage.journal import Journal

# A crash repeats what is not written yet. The promise is 1 s or 16 rows a worker; writing takes a part of the second,
# and more rows finish meanwhile.
ROWS_AT_RISK = 4
SEGMENT_S = 0.5
WRITES_AT_ONCE = 8


class UnflushedRows:
    """Counts the finished rows of one worker that are not written yet. Its journals share it.

    They also share `threads` of their own: segments must not wait while shards are opened and committed.
    """

    def __init__(self) -> None:
        self._rows = 0
        self.full = asyncio.Event()
        self.threads = ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="journal")

    def change(self, rows: int) -> None:
        """Add rows, or remove them."""
        self._rows += rows
        if self._rows >= ROWS_AT_RISK:
            self.full.set()
        else:
            self.full.clear()


class JournalWriter:
    """Writes a shard's finished pages in segments, and tells `on_safe` of each that is written.

    Costs that no row holds are written first, and `on_recorded` is told of them.
    """

    def __init__(
        self,
        journal: Journal,
        on_safe: Callable[[PageResult], None],
        risk: UnflushedRows,
        on_recorded: Callable[[Spending], None] = ignore_spending,
    ) -> None:
        self._journal = journal
        self._on_safe = on_safe
        self._on_recorded = on_recorded
        self._risk = risk
        self._spending = Spending()
        self._waiting: list[PageResult] = []
        self._passed: list[PageResult] = []
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, page: PageResult) -> None:
        """Take a finished page."""
        self._waiting.append(page)
        self._some.set()
        self._risk.change(1)

    def add_passed(self, page: PageResult) -> None:
        """Take a page that goes on to the next reader. Its answer is paid, and not asked for again."""
        self._passed.append(page)
        self._some.set()

    def add_spending(self, spending: Spending) -> None:
        """Take costs that no row holds."""
        self._spending += spending
        self._some.set()

    async def _flush(self) -> None:
        """Write what is waiting."""
        async with self._writing:
            pages, self._waiting = self._waiting, []
            passed, self._passed = self._passed, []
            spending, self._spending = self._spending, Spending()
            self._some.clear()
            self._risk.change(-len(pages))
            loop = asyncio.get_running_loop()
            try:
                if spending.most_usd != 0.0:
                    await loop.run_in_executor(self._risk.threads, self._journal.record, spending)
                if spending != Spending():
                    self._on_recorded(spending)
                    spending = Spending()
                if pages or passed:
                    await loop.run_in_executor(self._risk.threads, self._journal.write, pages, passed)
            except BaseException:  # they are not safe: the last flush of the shard tries once more
                self._spending += spending
                self._waiting, self._passed = pages + self._waiting, passed + self._passed
                self._risk.change(len(pages))
                raise
        for page in pages:
            self._on_safe(page)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write segments during the block, and what is left at its end. Raises StorageError when storage refuses."""
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self.keep_writing())
                yield
                writer.cancel()
        finally:
            await self.finish()

    async def finish(self) -> None:
        """Write what is left, even if cancelled meanwhile. A page that is safe must be told as such."""
        last = asyncio.create_task(self._flush())
        cancelled = None
        while not last.done():
            try:
                await asyncio.wait([last])
            except asyncio.CancelledError as error:
                cancelled = error
        last.result()
        if cancelled is not None:
            raise cancelled

    async def keep_writing(self) -> None:
        """Write segments until cancelled; to run beside the reading. Raises StorageError when storage refuses."""
        while True:
            await self._some.wait()
            # Not `wait_for`, which in Python 3.11 loses a cancellation that comes in the instant the pages are enough.
            with suppress(TimeoutError):
                async with asyncio.timeout(SEGMENT_S):
                    await self._risk.full.wait()
            await asyncio.shield(self._flush())

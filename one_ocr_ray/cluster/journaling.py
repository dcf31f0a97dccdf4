"""When finished pages become safe: at the latest half a second or 16 rows after they finish, off the event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.storage.journal import Journal

# A crash repeats what is not written yet: the promise is 1 s or 16 rows, and writing takes its part of that second.
SEGMENT_ROWS = 16
SEGMENT_S = 0.5


class PageJournal:
    """Takes a shard's pages as they finish and writes them in segments; `on_safe` hears of each page written."""

    def __init__(self, journal: Journal, on_safe: Callable[[PageResult], None]) -> None:
        self._journal = journal
        self._on_safe = on_safe
        self._waiting: list[PageResult] = []
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, page: PageResult) -> None:
        """Take one finished page."""
        self._waiting.append(page)
        self._some.set()
        if len(self._waiting) >= SEGMENT_ROWS:
            self._full.set()

    async def flush(self) -> None:
        """Write what is waiting; returns when it is safe."""
        async with self._writing:
            pages, self._waiting = self._waiting, []
            self._some.clear()
            self._full.clear()
            if pages:
                await asyncio.to_thread(self._journal.write, pages)
        for page in pages:
            self._on_safe(page)

    async def keep_writing(self) -> None:
        """Write segments until cancelled; to run beside the reading. Raises StorageError when storage refuses."""
        while True:
            await self._some.wait()
            # Not `wait_for`, which in Python 3.11 loses a cancellation that comes in the instant the pages are enough.
            with suppress(TimeoutError):
                async with asyncio.timeout(SEGMENT_S):
                    await self._full.wait()
            await asyncio.shield(self.flush())

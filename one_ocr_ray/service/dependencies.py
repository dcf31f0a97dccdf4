"""What every route works with: the book, the store, the settings, and who is calling."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from one_ocr_ray.service.cache import BoundedCache
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.web.markdown import to_html

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.service.ended_sessions import Ended
    from one_ocr_ray.service.keys import ApiKeys
    from one_ocr_ray.service.page_images import PdfReaders
    from one_ocr_ray.service.single_flight import Making
    from one_ocr_ray.service.spool import Spool
    from one_ocr_ray.service.streams import Streams
    from one_ocr_ray.settings import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.port import TaskManager

_CACHED_TEXT_BYTES = 64 << 20
_CACHED_IMAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Service:
    """One replica's parts. Nothing in it is the only copy of anything."""

    book: TaskManager
    store: TaskStore
    settings: ServiceSettings
    keys: ApiKeys
    ended: Ended
    spool: Spool
    pdfs: PdfReaders
    streams: Streams
    polls: Streams  # status requests that wait for a change
    making: Making
    rows: BoundedCache[tuple[str, int], list[PageResult]]
    images: BoundedCache[tuple[str, int, int], bytes]

    async def task(self, owner: str, task_id: str) -> TaskView:
        """The task, where it is theirs. Raises Problem: 404 or 410."""
        return present(await self.book.task(owner, task_id))

    async def pages(self, view: TaskView) -> list[PageResult]:
        """The finished pages of `view`, in page order."""
        key = view.record.task_id, view.rev
        rows = self.rows.get(key)
        if rows is None:
            rows = await asyncio.to_thread(self.store.pages, view.record.task_id)
            self.rows.put(key, rows, sum(_bytes(row) for row in rows))
        return rows

    async def html(self, owner: str, markdown: str) -> str:
        """A page's Markdown as HTML that is safe to show."""
        return await self.making.run(owner, lambda: to_html(markdown))

    async def forget(self, task_id: str) -> None:
        """Drop what this replica has cached of a task that is being deleted."""
        self.rows.discard(lambda key: key[0] == task_id)
        self.images.discard(lambda key: key[0] == task_id)
        await self.pdfs.forget(task_id)


def _bytes(row: PageResult) -> int:
    return 1000 + len(row.markdown or "") * 2 + (len(row.blocks.data) if row.blocks else 0)


def caches() -> tuple[BoundedCache[tuple[str, int], list[PageResult]], BoundedCache[tuple[str, int, int], bytes]]:
    """Empty caches of page rows and page images."""
    return BoundedCache(_CACHED_TEXT_BYTES), BoundedCache(_CACHED_IMAGE_BYTES)


def present(view: TaskView | None) -> TaskView:
    """`view`, where it is there and has not expired. Raises Problem: 404 or 410."""
    if view is None:
        raise Problem("task_not_found", "There is no such task.")
    if view.expires_at is not None and view.expires_at <= datetime.now(UTC):
        raise Problem("task_expired", "The task has expired; its upload and results are removed.")
    return view


def service_of(request: Request) -> Service:
    """The replica's parts."""
    service: Service = request.app.state.service
    return service


def owner_of(request: Request) -> str:
    """Who is calling, as the guard found."""
    owner: str = request.scope["state"]["owner"]
    return owner


Parts = Annotated[Service, Depends(service_of)]
Owner = Annotated[str, Depends(owner_of)]

"""What FastAPI hands to every route: the parts of the service, and who is calling."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.web.markdown import to_html

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.service.cache import BoundedCache
    from one_ocr_ray.service.ended_sessions import EndedSessionCache
    from one_ocr_ray.service.fair_executor import FairExecutor
    from one_ocr_ray.service.keys import ApiKeys
    from one_ocr_ray.service.page_images import PdfReaders
    from one_ocr_ray.service.streams import Streams
    from one_ocr_ray.service.upload.spool import Spool
    from one_ocr_ray.settings.service import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.port import TaskManager


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one replica. Losing them loses no data: the store has everything."""

    manager: TaskManager
    store: TaskStore
    settings: ServiceSettings
    keys: ApiKeys
    ended: EndedSessionCache
    spool: Spool
    pdfs: PdfReaders
    streams: Streams
    polls: Streams  # status requests that wait for a change
    executor: FairExecutor
    rows: BoundedCache[tuple[str, int], list[PageResult]]
    images: BoundedCache[tuple[str, int, int], bytes]

    async def task(self, owner: str, task_id: str) -> TaskView:
        """The task of `owner`. Raises Problem: 404 or 410."""
        return require_live(await self.manager.task(owner, task_id))

    async def pages(self, view: TaskView) -> list[PageResult]:
        """The finished pages of a task, in page order."""
        key = view.record.task_id, view.rev
        rows = self.rows.get(key)
        if rows is None:
            rows = await asyncio.to_thread(self.store.pages, view.record.task_id)
            texts = sum(2 * len(row.markdown or "") + (len(row.blocks.data) if row.blocks else 0) for row in rows)
            self.rows.put(key, rows, texts + 1000 * len(rows))
        return rows

    async def html(self, owner: str, markdown: str) -> str:
        """Markdown of a page as HTML that is safe to show."""
        return await self.executor.run(owner, lambda: to_html(markdown))

    async def forget(self, task_id: str) -> None:
        """Drop everything that this replica has cached of a task."""
        self.rows.discard(lambda key: key[0] == task_id)
        self.images.discard(lambda key: key[0] == task_id)
        await self.pdfs.forget(task_id)


def require_live(view: TaskView | None) -> TaskView:
    """`view` of a task that exists and has not expired. Raises Problem: 404 or 410."""
    if view is None:
        raise Problem("task_not_found", "There is no such task.")
    if view.expires_at is not None and view.expires_at <= datetime.now(UTC):
        raise Problem("task_expired", "The task has expired; its upload and results are removed.")
    return view


def service_of(request: HTTPConnection) -> Service:
    """The parts of the replica."""
    service: Service = request.app.state.service
    return service


def owner_of(request: HTTPConnection) -> str:
    """The caller, whom the middleware `Authentication` has found."""
    owner: str = request.scope["state"]["owner"]
    return owner


ServiceDep = Annotated[Service, Depends(service_of)]
Owner = Annotated[str, Depends(owner_of)]

"""`LocalTaskManager`: the calls of `tasks.port.TaskManager` in this process, over a lifecycle and a dispatcher."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.tasks.port import Load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskPage, TaskRecord, TaskState, TaskView
    from one_ocr_ray.tasks.lifecycle import TaskLifecycle
    from one_ocr_ray.tasks.registry import TaskEntry


class Dispatcher(Protocol):
    """Has tasks read and tells the lifecycle how they go on."""

    def take(self, entries: Iterable[TaskEntry]) -> None:
        """Have tasks read, whenever their turn comes."""

    async def stop(self, entry: TaskEntry) -> None:
        """End the work of a cancelled or deleted task. Return when nothing of it is under way."""


class LocalTaskManager:
    """For the coroutines of one event loop."""

    def __init__(self, lifecycle: TaskLifecycle, dispatcher: Dispatcher) -> None:
        self.deleting: set[str] = set()  # ids whose files are being removed
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._tasks = lifecycle.table

    async def accept(self, records: Sequence[TaskRecord]) -> None:
        entries = [self._lifecycle.accept(record) for record in records]
        self._dispatcher.take([entry for entry in entries if entry is not None])

    def adopt(self, entries: Iterable[TaskEntry]) -> None:
        """Have tasks read that a process stored and never handed over."""
        self._dispatcher.take(self._lifecycle.take_up(entries))

    async def task(self, owner: str, task_id: str) -> TaskView | None:
        entry = self._tasks.get(owner, task_id)
        return entry.view if entry is not None else None

    async def changed(self, owner: str, task_id: str, rev: int, wait_s: float) -> TaskView | None:
        entry = self._tasks.get(owner, task_id)
        if entry is not None and entry.view.rev <= rev:
            await entry.news_within(wait_s)
        return entry.view if entry is not None and not entry.deleted else None

    async def events(self, owner: str, task_id: str, rev: int, wait_s: float) -> tuple[TaskView, tuple[PageEvent, ...]]:
        entry = self._tasks.get(owner, task_id)
        if entry is not None and entry.view.rev <= rev:
            await entry.news_within(wait_s)
        if entry is None or entry.deleted:
            raise KeyError(task_id)
        view = entry.view
        return view, await self._lifecycle.events_after(entry, rev) if view.rev > rev else ()

    async def tasks(
        self, owner: str, state: TaskState | None, batch_id: str | None, limit: int, cursor: str
    ) -> TaskPage:
        return self._tasks.page(owner, cursor, state=state, batch_id=batch_id, limit=limit, now=datetime.now(UTC))

    async def retry(self, owner: str, task_id: str, pages: Sequence[int] | None) -> TaskView | None:
        entry = self._tasks.get(owner, task_id)
        if entry is None or not await self._lifecycle.begin_retry(entry, pages):
            return None
        self._dispatcher.take([entry])
        return entry.view

    async def cancel(self, owner: str, task_id: str) -> TaskView | None:
        entry = self._tasks.get(owner, task_id)
        if entry is None:
            return None
        if await self._lifecycle.begin_cancel(entry):
            await self._dispatcher.stop(entry)
        return entry.view

    async def delete(self, owner: str, task_id: str) -> bool:
        entry = self._tasks.get(owner, task_id)
        if entry is None:
            return False
        self.deleting.add(task_id)
        try:
            if not await self._lifecycle.begin_delete(entry):
                return False
            await self._dispatcher.stop(entry)
            await self._lifecycle.delete(entry)
        finally:
            self.deleting.discard(task_id)
        return True

    async def load(self) -> Load:
        return Load(*self._tasks.load())

"""A `TaskManager` in this process over a `TaskStore`, whose engine writes scripted text: for tests of HTTP and pages.

It keeps the promises of `tasks/port.py`, one page at a time, and journals and commits through the store's own
classes, so that results are read back as those of the real book are. State is in memory only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.model import DocumentRef, Failure, PageResult
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.tasks.task import (
    PageEvent,
    PageFailure,
    TaskOutcome,
    TaskPage,
    TaskState,
    TaskView,
    cursor_of,
    place_of,
)
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID
from one_ocr_ray.tasks.port import Load, TaskManagerUnavailableError
from tests.service.script import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.tasks.task import TaskRecord
    from one_ocr_ray.storage.tasks.task_store import TaskStore


@dataclass(slots=True)
class _Task:
    view: TaskView
    events: list[PageEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None
    retried: set[int] = field(default_factory=set)


class MemoryBook:
    """For one event loop. `unavailable`, `refusals` of acceptances, and `load_now` play a book that is being restarted
    or is full.
    """

    def __init__(self, store: TaskStore, script: Script | None = None) -> None:
        self.script = script or Script()
        self.unavailable = False
        self.refusals = 0
        self.load_now: Load | None = None
        self.calls: dict[str, int] = {}
        self._store = store
        self._tasks: dict[str, _Task] = {}

    async def accept(self, records: Sequence[TaskRecord]) -> None:
        self._check()
        if self.refusals:
            self.refusals -= 1
            raise TaskManagerUnavailableError
        for record in records:
            if record.task_id not in self._tasks:
                view = TaskView(record, TaskState.PENDING, 1, expires_at=datetime.now(UTC) + self.script.expires_in)
                task = self._tasks[record.task_id] = _Task(view)
                task.work = asyncio.create_task(self._read(task, None))

    async def task(self, owner: str, task_id: str) -> TaskView | None:
        self._check()
        task = self._tasks.get(task_id)
        return task.view if task and task.view.record.owner == owner else None

    async def changed(self, owner: str, task_id: str, rev: int, wait_s: float) -> TaskView | None:
        await self._wait(owner, task_id, rev, wait_s)
        return await self.task(owner, task_id)

    async def events(self, owner: str, task_id: str, rev: int, wait_s: float) -> tuple[TaskView, tuple[PageEvent, ...]]:
        await self._wait(owner, task_id, rev, wait_s)
        view = await self.task(owner, task_id)
        if view is None:
            raise KeyError(task_id)
        return view, tuple(event for event in self._tasks[task_id].events if event.rev > rev)

    async def tasks(
        self, owner: str, state: TaskState | None, batch_id: str | None, limit: int, cursor: str
    ) -> TaskPage:
        self._check()
        older_than = place_of(cursor) if cursor else None
        views = [
            task.view
            for task in reversed(self._tasks.values())
            if task.view.record.owner == owner
            and state in (None, task.view.state)
            and batch_id in (None, task.view.record.batch_id)
        ]
        views.sort(key=_place, reverse=True)
        rest = [view for view in views if older_than is None or _place(view) < older_than]
        return TaskPage(tuple(rest[:limit]), cursor_of(*_place(rest[limit - 1])) if len(rest) > limit else None)

    async def retry(self, owner: str, task_id: str, pages: Sequence[int] | None) -> TaskView | None:
        view = await self.task(owner, task_id)
        if view is None or not view.state.terminal:
            return None
        failed = {failure.page_number for failure in view.failures}
        wanted = failed if pages is None else failed & set(pages)
        if not wanted:
            return None
        task = self._tasks[task_id]
        task.retried |= wanted
        self._change(
            task,
            state=TaskState.RETRY,
            outcome=None,
            finished_at=None,
            pages_done=view.pages_done - len(wanted),
            pages_failed=view.pages_failed - len(wanted),
            failures=tuple(each for each in view.failures if each.page_number not in wanted),
        )
        task.work = asyncio.create_task(self._read(task, sorted(wanted)))
        return task.view

    async def cancel(self, owner: str, task_id: str) -> TaskView | None:
        view = await self.task(owner, task_id)
        if view is None or view.state.terminal:
            return view
        task = self._tasks[task_id]
        await self._stop(task)
        self._change(task, state=TaskState.REVOKED, pages_running=0, finished_at=datetime.now(UTC))
        return task.view

    async def delete(self, owner: str, task_id: str) -> bool:
        if await self.task(owner, task_id) is None:
            return False
        task = self._tasks.pop(task_id)
        await self._stop(task)
        task.changed.set()
        await asyncio.to_thread(self._store.delete, task_id)
        return True

    async def load(self) -> Load:
        self._check()
        running = [task.view for task in self._tasks.values() if not task.view.state.terminal]
        return self.load_now or Load(len(running), sum(view.pages_total or 1 for view in running))

    async def settled(self, task_id: str) -> None:
        """Wait until the task's work is over."""
        work = self._tasks[task_id].work
        if work is not None:
            await asyncio.wait([work])

    def _check(self) -> None:
        if self.unavailable:
            raise TaskManagerUnavailableError

    async def _wait(self, owner: str, task_id: str, rev: int, wait_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + wait_s
        while (view := await self.task(owner, task_id)) is not None and view.rev <= rev:
            task = self._tasks[task_id]
            task.changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await task.changed.wait()
            except TimeoutError:
                return

    async def _stop(self, task: _Task) -> None:
        if task.work is not None and not task.work.done():
            task.work.cancel()
            await asyncio.wait([task.work])

    def _change(self, task: _Task, **changes: object) -> None:
        task.view = replace(task.view, rev=task.view.rev + 1, **changes)  # type: ignore[arg-type]
        task.changed.set()

    async def _read(self, task: _Task, again: list[int] | None) -> None:
        """Read all selected pages, or those of a retry, and commit."""
        record = task.view.record
        await asyncio.sleep(self.script.start_delay_s)
        opened = await asyncio.to_thread(self._open, record)
        if opened.failure is not None:
            self._change(task, state=TaskState.FAILURE, outcome=TaskOutcome.EMPTY, error=opened.failure)
            return
        selected = parse_selection(record.options.pages or "all").of(opened.page_count or 0)
        output = Objects(self._store.output_uri(record.task_id))
        config = Fingerprint("local", "scripted", None, None, 1600, "all")
        RunDirectory(output).claim(config)
        if again is None:
            started_at = datetime.now(UTC)
            self._change(task, state=TaskState.STARTED, pages_total=len(selected), started_at=started_at)
        journal = Journal(output, SHARD_ID, config.config_id)
        for page_number in selected if again is None else again:
            if self.script.gate is not None:
                await self.script.gate.wait()
            await asyncio.sleep(self.script.page_delay_s)
            self.calls[record.task_id] = self.calls.get(record.task_id, 0) + 1
            row = self.script.page(record, opened, page_number, config.config_id, again=page_number in task.retried)
            await asyncio.to_thread(journal.write, [row])
            self._report(task, row)
        await asyncio.to_thread(self._commit, opened, output, config, journal)
        view = task.view
        good = view.pages_done - view.pages_failed
        self._change(
            task,
            state=TaskState.SUCCESS if good else TaskState.FAILURE,
            outcome=TaskOutcome.EMPTY
            if not good
            else TaskOutcome.PARTIAL
            if view.pages_failed
            else TaskOutcome.COMPLETE,
            finished_at=datetime.now(UTC),
            input_tokens=100 * view.pages_done,
            output_tokens=50 * view.pages_done,
            cost_usd=0.0,
        )

    def _open(self, record: TaskRecord) -> DocumentRef:
        with PdfChild() as child:
            info = child.inspect(self._store.fetch_upload(record.task_id, Path(self._store.root)))
        failure = info if isinstance(info, Failure) else None
        return DocumentRef(
            document_id=record.document_id,
            uri=f"upload:{record.task_id}",
            name=record.filename,
            size_bytes=record.size_bytes,
            page_count=None if isinstance(info, Failure) else info.page_count,
            failure=failure,
        )

    def _report(self, task: _Task, row: PageResult) -> None:
        view = task.view
        failures = view.failures
        if row.failure is not None:
            code = row.failure.code
            failure = PageFailure(row.page_number, code, row.failure.message, code.retryable, row.attempts)
            failures = tuple(sorted((*failures, failure), key=lambda each: each.page_number))
        event = PageEvent(view.rev + 1, row.page_number, row.status, row.failure.code if row.failure else None)
        task.events.append(event)
        self._change(
            task,
            pages_done=view.pages_done + 1,
            pages_failed=view.pages_failed + (row.failure is not None),
            failures=failures,
        )

    def _commit(self, document: DocumentRef, output: Objects, config: Fingerprint, journal: Journal) -> None:
        rows = self._store.pages(self._task_id_of(output))
        dataset = Dataset(output, {})
        identity = RunIdentity("run", config.config_id)
        dataset.replace_pages(SHARD_ID, rows)
        dataset.replace_documents(SHARD_ID, [document_result(document, rows, identity, datetime.now(UTC))])
        journal.delete()

    def _task_id_of(self, output: Objects) -> str:
        return output.root.split("/")[-2]


def _place(view: TaskView) -> tuple[datetime, str]:
    return view.record.created_at, view.record.task_id

"""The real task manager of the service over a reader that follows a script: for tests of HTTP and pages, without Ray.

The reader journals and commits one page at a time through the store's own classes.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.model import DocumentRef, Failure, PageResult
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.tasks.transitions import TaskResult, TaskUpdate, outcome_of
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID
from one_ocr_ray.tasks.lifecycle import TaskLifecycle
from one_ocr_ray.tasks.manager import LocalTaskManager
from one_ocr_ray.tasks.port import Load, TaskManagerUnavailableError
from tests.service.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.policy.tasks.task import TaskPage, TaskRecord, TaskState, TaskView
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.registry import TaskEntry


class ScriptedManager(LocalTaskManager):
    """For one event loop. `unavailable`, `refusals` (of uploads) and `load_now` play one that restarts or is full."""

    def __init__(self, store: TaskStore, script: Script | None = None) -> None:
        self.script = script or Script()
        self.unavailable = False
        self.refusals = 0
        self.load_now: Load | None = None
        self.lifecycle = TaskLifecycle(store, self.script.expires_in)
        self.reader = ScriptedReader(store, self.lifecycle, self.script)
        super().__init__(self.lifecycle, self.reader)

    async def accept(self, records: Sequence[TaskRecord]) -> None:
        self._check()
        if self.refusals:
            self.refusals -= 1
            raise TaskManagerUnavailableError
        await super().accept(records)

    async def task(self, owner: str, task_id: str) -> TaskView | None:
        self._check()
        return await super().task(owner, task_id)

    async def tasks(
        self, owner: str, state: TaskState | None, batch_id: str | None, limit: int, cursor: str
    ) -> TaskPage:
        self._check()
        return await super().tasks(owner, state, batch_id, limit, cursor)

    async def load(self) -> Load:
        self._check()
        return self.load_now or await super().load()

    async def settled(self, task_id: str) -> None:
        """Wait until the task's work is over."""
        await asyncio.wait([self.reader.work[task_id]])

    def _check(self) -> None:
        if self.unavailable:
            raise TaskManagerUnavailableError


class ScriptedReader:
    """A `tasks.manager.Dispatcher` that reads every task itself, page by page. `calls` counts pages read by task."""

    def __init__(self, store: TaskStore, lifecycle: TaskLifecycle, script: Script) -> None:
        self.calls: dict[str, int] = {}
        self.work: dict[str, asyncio.Task[None]] = {}
        self._store = store
        self._lifecycle = lifecycle
        self._script = script

    def take(self, entries: Iterable[TaskEntry]) -> None:
        for entry in entries:
            entry.is_ending = False
            entry.work = self.work[entry.view.record.task_id] = asyncio.create_task(self._read(entry))

    async def stop(self, entry: TaskEntry) -> None:
        if entry.work is not None:
            if not entry.is_ending:
                entry.work.cancel()
            await asyncio.wait([entry.work])

    async def _read(self, entry: TaskEntry) -> None:
        try:
            result = await self._read_pages(entry)
        except asyncio.CancelledError:
            result = TaskResult(cancelled=True)
        entry.is_ending = True
        await self._lifecycle.end(entry, result)

    async def _read_pages(self, entry: TaskEntry) -> TaskResult:
        """Read the pages that the task has not yet, and commit."""
        record = entry.view.record
        await asyncio.sleep(self._script.start_delay_s)
        document = await asyncio.to_thread(self._open, record)
        if document.failure is not None:
            return TaskResult(failure=document.failure)
        selected = parse_selection(record.options.pages or "all").of(document.page_count or 0)
        self._lifecycle.note(entry, TaskUpdate(len(selected)))
        output = Objects(self._store.output_uri(record.task_id))
        config = Fingerprint("local", "scripted", None, None, 1600, "all")
        RunDirectory(output).claim(config)
        run_id = entry.retry.run_id if entry.retry else record.task_id
        journal = Journal(output, SHARD_ID, config.config_id)
        for page_number in [number for number in selected if number not in entry.notes]:
            if self._script.gate is not None:
                await self._script.gate.wait()
            await asyncio.sleep(self._script.page_delay_s)
            self.calls[record.task_id] = self.calls.get(record.task_id, 0) + 1
            identity = RunIdentity(run_id, config.config_id)
            row = self._script.page(record, document, page_number, identity, again=entry.retry is not None)
            await asyncio.to_thread(journal.write, [row])
            self._lifecycle.note(entry, TaskUpdate(pages=(outcome_of(row),)))
        rows = await asyncio.to_thread(self._commit, record.task_id, document, output, config, journal)
        return TaskResult(tuple(outcome_of(row) for row in rows))

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

    def _commit(
        self, task_id: str, document: DocumentRef, output: Objects, config: Fingerprint, journal: Journal
    ) -> list[PageResult]:
        rows = self._store.pages(task_id)
        dataset = Dataset(output, {})
        identity = RunIdentity("run", config.config_id)
        dataset.replace_pages(SHARD_ID, rows)
        dataset.replace_documents(SHARD_ID, [document_result(document, rows, identity, datetime.now(UTC))])
        journal.delete()
        return rows

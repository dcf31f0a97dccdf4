"""`TaskLifecycle` makes every change of a task, first in the store and then for waiters.

It knows nothing of workers. `policy/tasks/transitions.py` decides what a view becomes.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.errors import OneOcrError, StorageError
from one_ocr_ray.policy.tasks.codec import StoredTask, as_set_aside, being_deleted
from one_ocr_ray.policy.tasks.task import PageEvent, TaskState, TaskView
from one_ocr_ray.policy.tasks.transitions import (
    TaskResult,
    ended,
    kept_pages,
    new_events,
    next_rev,
    outcome_of,
    retry_of,
    retrying,
    started,
    with_pages,
)
from one_ocr_ray.policy.tasks.usage import use_of
from one_ocr_ray.storage.tasks.usage_ledger import UsageLedger
from one_ocr_ray.tasks.registry import TaskEntry, TaskRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, timedelta

    from one_ocr_ray.policy.tasks.task import TaskRecord
    from one_ocr_ray.policy.tasks.transitions import PageOutcome, TaskUpdate
    from one_ocr_ray.storage.tasks.task_store import TaskStore

log = logging.getLogger(__name__)

UNDELIVERED_ENDS = 20  # of one task, for its callback
TRY_AGAIN_S = (0.5, 30.0)  # at first and at most, while the store refuses


class TaskLifecycle:
    """The tasks of one store, for the coroutines of one event loop."""

    def __init__(self, store: TaskStore, kept_for: timedelta) -> None:
        self.table = TaskRegistry()
        self.generation = 0
        self.on_end: Callable[[TaskEntry], None] = lambda _: None  # told of each end once the store knows
        self._store = store
        self._ledger = UsageLedger(store.root)
        self._kept_for = kept_for

    def recover(self, generation: int) -> list[TaskEntry]:
        """Take up all tasks of the store; gives the unfinished, oldest first. Blocks.

        Revs are counted from `generation`.
        """
        self.generation = generation
        self._store.check()
        entries, _ = self.look_up(self._store.task_ids())
        return self.take_up(entries)

    def look_up(self, task_ids: set[str]) -> tuple[list[TaskEntry], set[str]]:
        """Load tasks from the store; gives them, and the ids of uploads without a record. Blocks.

        A task whose files are damaged is set aside. One that cannot be read now is looked for at the next sweep. Raises
        StorageError when the store as a whole is away.
        """
        entries: list[TaskEntry] = []
        nameless: set[str] = set()
        refused = False
        for task_id, stored in self._store.load(task_ids):
            try:
                if isinstance(stored, StorageError):
                    raise stored
                if stored is None:
                    nameless.add(task_id)
                elif stored.deleted:
                    self._store.delete(task_id)
                else:
                    entries.append(self._recalled(stored))
            except StorageError as error:
                log.warning("task %s is left out for now: %s", task_id, error)
                refused = True
        if refused:
            self._store.check()
        return entries, nameless

    def take_up(self, entries: Iterable[TaskEntry]) -> list[TaskEntry]:
        """Add new `entries` to the registry; gives the unfinished of them, oldest first."""
        new = [entry for entry in entries if entry.view.record.task_id not in self.table]
        for entry in new:
            self.table.add(entry)
        return sorted((entry for entry in new if not entry.view.state.terminal), key=lambda entry: entry.key)

    def accept(self, record: TaskRecord) -> TaskEntry | None:
        """Add a task; None when it is there already."""
        if record.task_id in self.table:
            return None
        entry = TaskEntry(TaskView(record, TaskState.PENDING, next_rev(0, self.generation)))
        self.table.add(entry)
        return entry

    def note(self, entry: TaskEntry, update: TaskUpdate) -> None:
        """Take in a worker's update."""
        entry.note_use(update.pages)
        self._publish(entry, started(entry.view, _now()), update.pages, update.pages_total, update.pages_running)

    async def end(self, entry: TaskEntry, end: TaskResult) -> None:
        """Take in the result of a worker's work. A cancel or a deletion that came meanwhile wins."""
        async with entry.turning:
            await self._until_kept(lambda: self._put_use(entry, end))
            if entry.deleted:
                return
            if entry.cancelled:
                end = replace(end, cancelled=True)
            self._publish(entry, entry.view, end.pages, None, 0)
            view = ended(entry.view, end, _now(), self._kept_for)
            view = replace(view, rev=next_rev(view.rev, self.generation))
            undelivered = _undelivered(entry, view)
            await self._until_kept(lambda: self._store.save_task(StoredTask(view, undelivered=undelivered)))
            entry.retry, entry.notes, entry.used, entry.undelivered = None, {}, {}, undelivered
            self.table.publish(entry, view)
        self.on_end(entry)

    def _put_use(self, entry: TaskEntry, end: TaskResult) -> None:
        """Store what this run of a task has used; a deleted task counts, too."""
        entry.note_use((*end.unsent, *end.pages))
        self._ledger.put(entry.view.record.owner, entry.run_id, use_of(entry.used.values()))

    def add_up_usage(self, today: date) -> None:
        """Add the use of runs that have ended to the sums of their owners. Blocks."""
        self._ledger.add_up(self.table.open_runs(), today)

    async def delivered(self, entry: TaskEntry, end: TaskView) -> None:
        """Record durably that the callback's host knows of `end`."""
        async with entry.turning:
            entry.undelivered = tuple(view for view in entry.undelivered if view is not end)
            stored_otherwise = entry.deleted or entry.erased or (entry.cancelled and not entry.view.state.terminal)
            if not stored_otherwise:
                stored = StoredTask(entry.view, entry.retry, undelivered=entry.undelivered)
                await self._until_kept(lambda: self._store.save_task(stored))

    async def begin_cancel(self, entry: TaskEntry) -> bool:
        """Record durably that the task is cancelled. False if it has ended or is deleted."""
        async with entry.turning:
            if entry.view.state.terminal or entry.deleted:
                return False
            view = ended(entry.view, TaskResult(cancelled=True), _now(), self._kept_for)
            await asyncio.to_thread(self._put_use, entry, TaskResult())  # its end may never come: after a crash
            await asyncio.to_thread(self._store.save_task, StoredTask(view, undelivered=_undelivered(entry, view)))
            entry.cancelled = True
            return True

    async def begin_retry(self, entry: TaskEntry, pages: Sequence[int] | None) -> bool:
        """Record durably that failed pages are read again. False if there is nothing to read again."""
        async with entry.turning:
            order = retry_of(entry.view, pages, f"{entry.view.record.task_id}-{token_hex(3)}")
            if order is None or entry.deleted or entry.erased or entry.aside:
                return False
            rows = await asyncio.to_thread(self._store.pages, entry.view.record.task_id)
            notes = kept_pages(rows, order)
            view = replace(retrying(entry.view, notes), rev=next_rev(entry.view.rev, self.generation))
            await asyncio.to_thread(self._store.save_task, StoredTask(view, order, undelivered=entry.undelivered))
            entry.retry, entry.notes, entry.cancelled = order, notes, False
            entry.events = entry.events or list(new_events({}, map(outcome_of, rows), entry.view.rev))
            self.table.publish(entry, view)
            return not entry.deleted

    async def begin_delete(self, entry: TaskEntry) -> bool:
        """Mark the task as deleted, durably. False if it was gone already. From here on it is invisible."""
        async with entry.turning:
            if entry.deleted:
                return False
            await asyncio.to_thread(self._put_use, entry, TaskResult())
            await asyncio.to_thread(self._store.save_task, being_deleted(StoredTask(entry.view)))
            self.table.remove(entry)
            return True

    async def delete(self, entry: TaskEntry) -> None:
        """Remove all files of a task that nobody works on."""
        record = entry.view.record
        async with entry.turning:
            await asyncio.to_thread(self._store.delete, record.task_id)

    async def expire(self, entry: TaskEntry, now: datetime) -> None:
        """Remove the files of an expired task, and later its tombstone."""
        expires_at = entry.view.expires_at
        if expires_at is None or expires_at > now:
            return
        if expires_at + self._kept_for <= now:
            self.table.remove(entry)
            await asyncio.to_thread(self._store.delete, entry.view.record.task_id)
        elif not entry.erased:
            async with entry.turning:
                if entry.view.expires_at is None or entry.deleted:
                    return  # a retry came first
                kept = await asyncio.to_thread(self._store.expire, StoredTask(entry.view))
                entry.erased, entry.events, entry.view = True, None, kept.view

    async def events_after(self, entry: TaskEntry, rev: int) -> tuple[PageEvent, ...]:
        """The pages that ended after `rev`. Those of an earlier task manager have the present rev."""
        if entry.events is None:
            view = entry.view
            rows = await asyncio.to_thread(self._store.pages, view.record.task_id)
            events = list(new_events({}, [outcome_of(row) for row in rows], entry.view.rev))
            if entry.view is not view or not view.state.terminal:
                return tuple(event for event in events if event.rev > rev)
            entry.events = events
        return tuple(event for event in entry.events if event.rev > rev)

    def _recalled(self, stored: StoredTask) -> TaskEntry:
        """The entry of a stored task; an unfinished one gets the pages in its journal."""
        entry = TaskEntry(stored.view, stored.retry, stored.erased, events=None, undelivered=stored.undelivered)
        if not stored.aside and not stored.view.state.terminal:
            try:
                self._recall(entry)
            except StorageError:
                raise
            except (OneOcrError, ValueError) as error:
                log.warning("task %s is set aside: %s", stored.view.record.task_id, error)
                stored = as_set_aside(stored)
        if stored.aside:
            view = replace(stored.view, rev=next_rev(stored.view.rev, self.generation))
            entry = TaskEntry(view, aside=True)
        return entry

    def _recall(self, entry: TaskEntry) -> None:
        """Restore the progress of an unfinished task from its journal."""
        rows = self._store.pages(entry.view.record.task_id)
        entry.notes = (
            kept_pages(rows, entry.retry) if entry.retry else {row.page_number: outcome_of(row) for row in rows}
        )
        # Rows of a retry in the dataset have the usage of the pages that they replace, those in its journal have not.
        entry.note_use(map(outcome_of, (*self._store.journaled(entry.view.record.task_id), *rows)))
        rev = next_rev(entry.view.rev, self.generation)
        view = with_pages(entry.view, entry.notes)
        if rows:
            view = started(view, min(row.started_at for row in rows))
        entry.view = replace(view, rev=rev)
        entry.events = list(new_events({}, entry.notes.values(), rev))

    def _publish(
        self, entry: TaskEntry, view: TaskView, pages: Iterable[PageOutcome], total: int | None, running: int
    ) -> None:
        pages = tuple(pages)
        rev = next_rev(view.rev, self.generation)
        events = new_events(entry.notes, pages, rev)
        entry.notes.update((note.page_number, note) for note in pages)
        view = with_pages(view, entry.notes, total=total, running=running)
        if view != entry.view or events:
            self.table.publish(entry, replace(view, rev=rev), events)

    async def _until_kept(self, keep: Callable[[], None]) -> None:
        """A task that has ended is told as ended only when the store knows. While it refuses, it is asked again."""
        wait_s, at_most_s = TRY_AGAIN_S
        while True:
            try:
                return await asyncio.to_thread(keep)
            except StorageError as error:
                log.warning("the end of a task cannot be kept yet: %s", error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, at_most_s)


def _undelivered(entry: TaskEntry, end: TaskView) -> tuple[TaskView, ...]:
    """The ends to tell once the task has ended with `end`."""
    if end.record.options.callback_url is None:
        return ()
    undelivered = (*entry.undelivered, end)
    if len(undelivered) > UNDELIVERED_ENDS:
        log.warning(
            "task %s has ended %d times and no callback was delivered; the oldest is left out",
            end.record.task_id,
            len(undelivered),
        )
    return undelivered[-UNDELIVERED_ENDS:]


def _now() -> datetime:
    return datetime.now(UTC)

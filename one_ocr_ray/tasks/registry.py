"""The tasks in memory: views, page events, and who waits for a change. No Ray, no store."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from one_ocr_ray.policy.tasks.task import TaskPage, TaskState, cursor_of, parse_cursor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.policy.tasks.task import PageEvent, RetryOrder, TaskView
    from one_ocr_ray.policy.tasks.transitions import PageOutcome

_Key = tuple[datetime, str]  # orders tasks by age
_List = tuple[str, str, TaskState | None]  # owner, batch, state; empty and None: of any
_NO_BATCH = "-"  # of a task that was set aside


@dataclass(eq=False, slots=True)
class TaskEntry:
    """One task. When `events` is None they must be read from the store."""

    view: TaskView
    retry: RetryOrder | None = None
    erased: bool = False
    notes: dict[int, PageOutcome] = field(default_factory=dict)
    used: dict[int, PageOutcome] = field(default_factory=dict)  # pages of this run, without the usage of earlier ones
    events: list[PageEvent] | None = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    turning: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while what is stored changes
    work: asyncio.Task[None] | None = None  # from being handed out until its end is stored
    is_ending: bool = False  # its work keeps the result and must not be cancelled
    cancelled: bool = False
    aside: bool = False  # its files cannot be understood: it stays as it is, unless it is deleted
    deleted: bool = False
    undelivered: tuple[TaskView, ...] = ()  # ends that the callback's host does not know of yet

    @property
    def key(self) -> _Key:
        return self.view.record.created_at, self.view.record.task_id

    @property
    def run_id(self) -> str:
        """The run that rows of its pages name now."""
        return self.retry.run_id if self.retry else self.view.record.task_id

    def note_use(self, pages: Iterable[PageOutcome]) -> None:
        """Keep what pages of the present run have used, as it is told first."""
        for page in pages:
            if page.run_id == self.run_id:
                self.used.setdefault(page.page_number, page)

    async def news_within(self, wait_s: float) -> None:
        """Wait until the view changes, at the latest for `wait_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), wait_s)


class TaskRegistry:
    """For the coroutines of one event loop. Frequent calls cost time by open tasks, not by all."""

    def __init__(self) -> None:
        self._entries: dict[str, TaskEntry] = {}
        self._open: dict[str, TaskEntry] = {}
        self._states = Counter[TaskState]()
        self._orders: dict[_List, list[_Key]] = defaultdict(list)  # oldest first

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._entries

    def entries(self) -> list[TaskEntry]:
        """All of them."""
        return list(self._entries.values())

    def ids(self) -> set[str]:
        """The ids of all tasks."""
        return set(self._entries)

    def get(self, owner: str, task_id: str) -> TaskEntry | None:
        """The task, if it is the owner's."""
        entry = self._entries.get(task_id)
        return entry if entry is not None and entry.view.record.owner == owner else None

    def open_runs(self) -> set[str]:
        """The runs of all unfinished tasks."""
        return {entry.run_id for entry in list(self._open.values())}

    def add(self, entry: TaskEntry) -> None:
        """Add a task."""
        self._entries[entry.view.record.task_id] = entry
        for order in _lists(entry.view):
            insort(self._orders[order], entry.key)
        self._count(entry.view, 1)

    def publish(self, entry: TaskEntry, view: TaskView, events: tuple[PageEvent, ...] = ()) -> None:
        """Make `view` the task's view and wake those who wait for it."""
        before, entry.view = entry.view, view
        if before.state is not view.state and view.record.task_id in self._entries:
            self._take_out(entry, _of_state(before))
            insort(self._orders[_of_state(view)], entry.key)
            self._count(before, -1)
            self._count(view, 1)
        if entry.events is not None:
            entry.events.extend(events)
        self._wake(entry)

    def remove(self, entry: TaskEntry) -> None:
        """Remove the task and wake those who wait for it."""
        if self._entries.pop(entry.view.record.task_id, None) is not None:
            for order in _lists(entry.view):
                self._take_out(entry, order)
            self._count(entry.view, -1)
            self._open.pop(entry.view.record.task_id, None)
        entry.deleted = True
        self._wake(entry)

    def page(
        self, owner: str, cursor: str, *, state: TaskState | None, batch_id: str | None, limit: int, now: datetime
    ) -> TaskPage:
        """Tasks, newest first, without expired ones. Raises ValueError for a foreign cursor."""
        order = self._orders.get((owner, batch_id or "", None if batch_id else state), [])
        position = bisect_left(order, parse_cursor(cursor)) if cursor else len(order)
        found: list[TaskView] = []
        for number in range(position - 1, -1, -1):
            view = self._entries[order[number][1]].view
            expired = view.expires_at is not None and view.expires_at <= now
            if expired or (state and view.state is not state):
                continue
            if len(found) == limit:
                last = found[-1].record
                return TaskPage(tuple(found), cursor_of(last.created_at, last.task_id))
            found.append(view)
        return TaskPage(tuple(found))

    def load(self) -> tuple[int, int]:
        """The numbers of unfinished tasks and pages. A task that is not opened yet counts as one page."""
        views = [each.view for each in self._open.values()]
        return len(views), sum(1 if view.pages_total is None else view.pages_total - view.pages_done for view in views)

    def by_state(self) -> Counter[str]:
        """The number of tasks in each state."""
        return Counter({state.value: self._states[state] for state in TaskState})

    def _count(self, view: TaskView, change: int) -> None:
        self._states[view.state] += change
        if change > 0 and not view.state.terminal:
            self._open[view.record.task_id] = self._entries[view.record.task_id]
        elif change > 0:
            self._open.pop(view.record.task_id, None)

    def _take_out(self, entry: TaskEntry, of: _List) -> None:
        order = self._orders[of]
        del order[bisect_left(order, entry.key)]
        if not order:
            del self._orders[of]

    def _wake(self, entry: TaskEntry) -> None:
        entry.changed.set()
        entry.changed = asyncio.Event()


def _of_state(view: TaskView) -> _List:
    return view.record.owner, "", view.state


def _lists(view: TaskView) -> tuple[_List, ...]:
    """The lists that hold a task: its owner's, its batch's, its state's."""
    owner = view.record.owner
    return (owner, "", None), (owner, view.record.batch_id or _NO_BATCH, None), _of_state(view)

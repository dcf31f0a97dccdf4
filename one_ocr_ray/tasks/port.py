"""The seam between the HTTP application and who works: on a cluster the `TaskManager` actor.

`owner` is the fingerprint of the caller's API key; a task of another owner is as if it were not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskPage, TaskRecord, TaskState, TaskView


class TaskManagerUnavailableError(Exception):
    """The task manager cannot be reached now, as while it restarts. The caller answers 503 with Retry-After."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the service is."""

    open_tasks: int
    open_pages: int


class TaskManager(Protocol):
    """Every call raises TaskManagerUnavailableError when the task manager cannot be reached."""

    async def accept(self, records: Sequence[TaskRecord]) -> None:
        """Take up tasks whose upload and record are durable in the store. Safe to repeat."""

    async def task(self, owner: str, task_id: str) -> TaskView | None:
        """The task now; None when it is not there, not theirs, expired or deleted."""

    async def changed(self, owner: str, task_id: str, rev: int, wait_s: float) -> TaskView | None:
        """The task as soon as its rev is above `rev`, at the latest after `wait_s`."""

    async def events(self, owner: str, task_id: str, rev: int, wait_s: float) -> tuple[TaskView, tuple[PageEvent, ...]]:
        """The task, and the pages that ended after `rev`, oldest first. Waits for news for at most `wait_s`.

        Raises KeyError when the task is not there (any more).
        """

    async def tasks(
        self, owner: str, state: TaskState | None, batch_id: str | None, limit: int, cursor: str
    ) -> TaskPage:
        """Tasks newest first, from the newest for an empty `cursor`. Raises ValueError for a cursor it did not give."""

    async def retry(self, owner: str, task_id: str, pages: Sequence[int] | None) -> TaskView | None:
        """Read failed pages again (None: all that failed). None when there is nothing to retry or it is running."""

    async def cancel(self, owner: str, task_id: str) -> TaskView | None:
        """End the task's work; finished pages stay. A task that has ended stays as it is. None when not there."""

    async def delete(self, owner: str, task_id: str) -> bool:
        """End the task's work and remove every byte of it from the store. False when it is not there."""

    async def load(self) -> Load:
        """What is open now."""

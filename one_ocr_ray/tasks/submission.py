"""`submit`: uploads become tasks. A task that anyone knows of is whole in the store."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from one_ocr_ray.policy.tasks.task import TaskRecord
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.port import TaskManager

RETRY_AFTER_S = (0.5, 1.0, 2.0, 4.0)  # while the manager restarts; accepting a task twice is safe


@dataclass(frozen=True, slots=True)
class Submission:
    """What becomes a task: its record, and the file of its upload."""

    record: TaskRecord
    file: Path


async def submit(submissions: Sequence[Submission], store: TaskStore, manager: TaskManager) -> None:
    """Store the uploads, then the records, then hand the tasks over; a 202 may follow.

    Raises StorageError or TaskManagerUnavailableError; then nothing of the tasks is left in the store.
    """
    await asyncio.to_thread(_store_all, submissions, store)
    for wait_s in (*RETRY_AFTER_S, None):
        try:
            await manager.accept([each.record for each in submissions])
        except TaskManagerUnavailableError:
            if wait_s is None:
                await asyncio.to_thread(_remove_all, submissions, store)
                raise
            await asyncio.sleep(wait_s)
        else:
            return


def _store_all(submissions: Sequence[Submission], store: TaskStore) -> None:
    try:
        for each in submissions:
            store.save_upload(each.record.task_id, each.file)
        for each in submissions:
            store.save_record(each.record)
    except StorageError:
        with contextlib.suppress(StorageError):
            _remove_all(submissions, store)
        raise


def _remove_all(submissions: Sequence[Submission], store: TaskStore) -> None:
    for each in submissions:
        store.delete(each.record.task_id)

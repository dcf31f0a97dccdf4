"""The service's store in a folder or bucket: tasks' files, and idempotency keys.

tasks/<id>/upload.pdf       the uploaded bytes
tasks/<id>/record.json      what was accepted, written once
tasks/<id>/state.json       the task at its last durable change of state
tasks/<id>/output/          its dataset, with one shard
idempotency/<owner>/<sha256 of key>.json
book/<number>.json          the task manager that owns the store, see `manager_lease.py`
book/clock                  the time of the last sweep

Every call blocks. Task ids come from outside: an invalid id counts as missing.
"""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from one_ocr_ray.errors import StorageError
from one_ocr_ray.policy.dataset.journal import best_pages
from one_ocr_ray.policy.tasks.codec import (
    StoredTask,
    being_deleted,
    decode_record,
    decode_task,
    encode_record,
    encode_task,
    not_begun,
    set_aside,
    tombstone,
)
from one_ocr_ray.policy.tasks.idempotency import (
    Claim,
    ClaimStatus,
    check_claim,
    claim_id,
    encode_claim,
    fingerprint_in,
    is_void,
)
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskRecord

log = logging.getLogger(__name__)

TASKS = "tasks"
IDEMPOTENCY = "idempotency"
MANAGER = "book"  # the folder keeps the name that earlier releases gave it
CLOCK = f"{MANAGER}/clock"
# A task's dataset has one shard of one document; number 0, so that a run on it may add more.
SHARD_ID = "000000"

_TASK_ID = re.compile(r"t_[A-Za-z0-9_-]{22}")
_NO_KEYS = "open"  # the owner's folder where the service has no keys
_LOADS_AT_ONCE = 32


class TaskStore:
    """The durable state of the service. Safe to use from several threads and processes."""

    def __init__(self, root: str) -> None:
        """Raise UsageError for a root that cannot be opened. Every method raises StorageError if the store refuses."""
        self.root = root_of(root)
        self._objects = Objects(self.root)

    def __reduce__(self) -> tuple[type[TaskStore], tuple[str]]:
        return TaskStore, (self.root,)

    def save_upload(self, task_id: str, file: Path) -> None:
        """Store the bytes of `file` as the task's upload; `file` itself stays."""
        self._objects.put(_upload(task_id), file)

    def save_record(self, record: TaskRecord) -> None:
        """Store the record, once; call it after `save_upload`."""
        self._objects.put_new(_path(record.task_id, "record.json"), encode_record(record))

    def upload_uri(self, task_id: str) -> str:
        """The upload's absolute path, or its URI in an object store."""
        return f"{self.root}/{_upload(task_id)}"

    def fetch_upload(self, task_id: str, folder: Path) -> Path:
        """The upload as a local file, copied into `folder` from a remote store. Raise FileNotFoundError if missing."""
        if not _is_id(task_id):
            raise FileNotFoundError(task_id)
        stored, copy = Path(self.upload_uri(task_id)), folder / f"{task_id}.pdf"
        found = self._objects.get_file(_upload(task_id), copy) if is_remote(self.root) else stored.is_file()
        if not found:
            raise FileNotFoundError(task_id)
        return copy if is_remote(self.root) else stored

    def output_uri(self, task_id: str) -> str:
        """The task's dataset, as `--output` would name it."""
        return f"{self.root}/{TASKS}/{task_id}/output"

    def pages(self, task_id: str) -> list[PageResult]:
        """The task's finished pages in order: committed rows, and journaled ones not yet committed."""
        if not _is_id(task_id) or self._objects.head(_path(task_id, "record.json")) is None:
            return []
        # Journal before dataset: a commit in between moves the rows from the journal to the dataset.
        journaled = self.journaled(task_id)
        committed = Dataset(Objects(self.output_uri(task_id)), {}).pages(SHARD_ID)
        return sorted(best_pages([*committed, *journaled]).values(), key=lambda page: page.page_number)

    def journaled(self, task_id: str) -> list[PageResult]:
        """The task's rows in the journal, as they were read."""
        output = Objects(self.output_uri(task_id))
        fingerprint = RunDirectory(output).fingerprint()
        return [] if fingerprint is None else Journal(output, SHARD_ID, fingerprint.config_id).read()

    def files(self, task_id: str, kind: Literal["pages", "documents"]) -> bytes | None:
        """The task's committed Parquet file; None until there is one."""
        return self._objects.get(_path(task_id, f"output/{kind}/{SHARD_ID}.parquet")) if _is_id(task_id) else None

    def save_task(self, task: StoredTask) -> None:
        """Store the current state of a task."""
        self._objects.put(_path(task.view.record.task_id, "state.json"), encode_task(task))

    def task(self, task_id: str) -> StoredTask | None:
        """The last stored state of a task; None if there is no such task.

        A task whose state cannot be read is set aside and not started again: it may have ended and be paid.
        """
        if not _is_id(task_id):
            return None
        state = self._objects.get(_path(task_id, "state.json"))
        record = self._objects.get(_path(task_id, "record.json")) if state is None else None
        try:
            if state is not None:
                return decode_task(state)
            return not_begun(decode_record(record)) if record is not None else None
        except ValueError:
            log.warning("the files of task %s are damaged or of a newer release; it is set aside", task_id)
            record = record or self._objects.get(_path(task_id, "record.json"))
            return set_aside(task_id, [state, record])

    def check(self) -> None:
        """Raise StorageError if the whole store cannot be reached."""
        self._objects.get(f"{MANAGER}/nothing")

    def clock(self) -> datetime | None:
        """The last stored time; None if there is none or it cannot be read."""
        data = self._objects.get(CLOCK)
        try:
            return datetime.fromisoformat(data.decode()) if data else None
        except ValueError:
            return None

    def keep_clock(self, now: datetime) -> None:
        """Store the time."""
        self._objects.put(CLOCK, now.isoformat().encode(), lasting=False)

    def task_ids(self) -> set[str]:
        """The ids of all tasks with any file."""
        return {name for name in self._objects.folders(TASKS) if _is_id(name)}

    def load(self, task_ids: set[str]) -> Iterator[tuple[str, StoredTask | StorageError | None]]:
        """`task` of many ids, read in parallel. The error in place of a task that the store refuses."""

        def task(task_id: str) -> StoredTask | StorageError | None:
            try:
                return self.task(task_id)
            except StorageError as error:
                return error

        with ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="task-store") as threads:
            yield from zip(task_ids, threads.map(task, task_ids), strict=True)

    def delete(self, task_id: str) -> None:
        """Delete every byte of a task. The state marks an interrupted deletion, which may be repeated."""
        if not _is_id(task_id):
            return
        if task := self.task(task_id):
            self.save_task(being_deleted(task))
            if (claim := task.view.record.claim) is not None:  # its response has the file's name
                path = _claim_path(task.view.record.owner, claim)
                data = self._objects.get(path)
                if data is not None and task_id.encode() in data:  # otherwise the key was claimed again in the meantime
                    self._objects.delete(path)
        self._erase(task_id)
        self._objects.delete(_path(task_id, "state.json"))

    def expire(self, task: StoredTask) -> StoredTask:
        """Delete an expired task except its tombstone, which is returned."""
        self._erase(task.view.record.task_id)
        kept = tombstone(task)
        self.save_task(kept)
        return kept

    def claim(self, owner: str, key: str, fingerprint: str) -> Claim:
        """Claim an idempotency key for a request of `fingerprint`, or tell its earlier claim's status."""
        path, now = _claim_path(owner, claim_id(key)), datetime.now(UTC)
        mine = encode_claim(fingerprint, now)
        while not self._objects.put_new(path, mine):
            data = self._objects.get(path)
            claim = check_claim(data, fingerprint, now) if data is not None else None
            if claim is not None:
                return claim
            self._objects.delete(path)
        return Claim(ClaimStatus.NEW)

    def settle(self, owner: str, key: str, response: Any) -> None:
        """Store the `response` (JSON) for later requests of this key. None frees the key after a failed request."""
        path = _claim_path(owner, claim_id(key))
        data = self._objects.get(path)
        if data is None or response is None:
            self._objects.delete(path)
        else:
            self._objects.put(path, encode_claim(fingerprint_in(data), datetime.now(UTC), response))

    def sweep_claims(self, now: datetime) -> None:
        """Delete expired claims."""
        for info in list(self._objects.list(IDEMPOTENCY)):
            data = self._objects.get(info.path)
            if data is not None and is_void(data, now):
                self._objects.delete(info.path)

    def _erase(self, task_id: str) -> None:
        self._objects.delete_all(f"{TASKS}/{task_id}", but=_path(task_id, "state.json"))


def _is_id(task_id: str) -> bool:
    return _TASK_ID.fullmatch(task_id) is not None


def _path(task_id: str, name: str) -> str:
    return f"{TASKS}/{task_id}/{name}"


def _upload(task_id: str) -> str:
    return _path(task_id, "upload.pdf")


def _claim_path(owner: str, claim: str) -> str:
    return f"{IDEMPOTENCY}/{owner or _NO_KEYS}/{claim}.json"

"""The service's store in an S3: the same promises as in a folder."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import StoreInUseError
from one_ocr_ray.policy.lease import deployment
from one_ocr_ray.policy.tasks.codec import StoredTask, not_begun
from one_ocr_ray.policy.tasks.idempotency import ClaimStatus
from one_ocr_ray.policy.tasks.task import TaskRecord, TaskState, TaskView
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.manager_lease import ManagerLease, refuse_held_store
from one_ocr_ray.storage.tasks.task_store import TaskStore
from tests.faults.s3 import BUCKET, environment, s3_server
from tests.values import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TASK = "t_" + "A" * 22
RECORD = TaskRecord(TASK, "b_1", "owner", "a.pdf", 4, "", NOON)


@pytest.fixture(scope="module")
def store() -> Iterator[TaskStore]:
    """A store under a prefix of an empty bucket."""
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(port).items():
            patch.setenv(name, value)
        yield TaskStore(f"s3://{BUCKET}/service")


def test_a_task_from_upload_to_deletion(store: TaskStore, tmp_path: Path) -> None:
    """It comes back as it was kept, the upload as a local copy; deletion leaves no object."""
    spool = tmp_path / "spool"
    spool.write_bytes(b"%PDF")
    store.save_upload(TASK, spool)
    store.save_record(RECORD)
    assert (store.task_ids(), store.task(TASK)) == ({TASK}, not_begun(RECORD))
    assert store.fetch_upload(TASK, tmp_path).read_bytes() == b"%PDF"
    ended = StoredTask(TaskView(RECORD, TaskState.SUCCESS, rev=3, expires_at=NOON))
    store.save_task(ended)
    assert dict(store.load({TASK})) == {TASK: ended}
    Objects(store.output_uri(TASK)).put("_work/000000/a/000000.json", b"canary")
    store.delete(TASK)
    assert list(Objects(store.root).list("tasks")) == []
    assert store.task(TASK) is None
    with pytest.raises(FileNotFoundError):
        store.fetch_upload(TASK, tmp_path)


def test_names_are_taken_once(store: TaskStore) -> None:
    """Idempotency keys, by put-if-absent."""
    assert store.claim("owner", "key", "f").status is ClaimStatus.NEW
    assert store.claim("owner", "key", "f").status is ClaimStatus.IN_PROGRESS
    store.settle("owner", "key", {"task_ids": [TASK]})
    assert store.claim("owner", "key", "f").response == {"task_ids": [TASK]}
    assert store.claim("owner", "key", "g").status is ClaimStatus.REUSED


def test_of_books_that_start_together_one_goes_on(store: TaskStore) -> None:
    """Each has a generation of its own, though all may write the same; the second service is told of the first."""
    chance, later = threading.Barrier(5), list[ManagerLease]()
    leases = [ManagerLease(store.root, deployment(1_700_000_000.0, "same")) for _ in range(5)]

    def take(lease: ManagerLease) -> None:
        chance.wait()
        with suppress(StoreInUseError):
            lease.take(lease.release)
            later.append(lease)

    threads = [threading.Thread(target=take, args=(each,)) for each in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = max(later, key=lambda each: each.generation)
    assert len({each.generation for each in later}) == len(later)
    with pytest.raises(StoreInUseError, match="at work on the store s3://"):
        refuse_held_store(store.root, lambda _: None)
    last.release()
    refuse_held_store(store.root, lambda _: None)

"""The service's store on a real folder: what is kept, what comes back, what deletion leaves."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.policy.tasks.codec import SET_ASIDE, StoredTask, encode_record, encode_task, not_begun
from one_ocr_ray.policy.tasks.idempotency import ANSWERED_WITHIN, ClaimStatus, claim_id, encode_claim
from one_ocr_ray.policy.tasks.task import (
    PageFailure,
    RetryOrder,
    TaskOptions,
    TaskOutcome,
    TaskRecord,
    TaskState,
    TaskView,
)
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.manager_lease import ManagerLease
from one_ocr_ray.storage.tasks.task_store import SHARD_ID, TaskStore
from tests.values import NOON, TIMED_OUT, document, page

TASK = "t_" + "A" * 22
CONFIG = Fingerprint("local", "m", None, None, 1600, "all")
RECORD = TaskRecord(
    TASK, "b_1", "owner", "发票.pdf", 3, "sha256:" + "0" * 64, NOON, TaskOptions(engine="openai", pages="1-3")
)


@pytest.fixture
def store(tmp_path: Path) -> TaskStore:
    """A store in a folder that does not exist yet."""
    return TaskStore(str(tmp_path / "the store"))


@pytest.fixture
def accepted(store: TaskStore, tmp_path: Path) -> TaskStore:
    """The store with one accepted task."""
    spool = tmp_path / "spool"
    spool.write_bytes(b"%PDF")
    store.save_upload(TASK, spool)
    store.save_record(RECORD)
    return store


def test_an_accepted_task_comes_back_as_it_was(accepted: TaskStore, tmp_path: Path) -> None:
    """Record and upload; it waits for its turn."""
    assert accepted.fetch_upload(TASK, tmp_path).read_bytes() == b"%PDF"
    assert accepted.task(TASK) == StoredTask(TaskView(RECORD, TaskState.PENDING, rev=0))
    assert accepted.task_ids() == {TASK}
    assert dict(accepted.load({TASK, "t_" + "B" * 22})) == {TASK: not_begun(RECORD), "t_" + "B" * 22: None}


def test_a_record_is_written_once(accepted: TaskStore) -> None:
    """A repeated acceptance changes nothing."""
    accepted.save_record(replace(RECORD, filename="another.pdf"))
    assert accepted.task(TASK) == not_begun(RECORD)


def test_a_state_comes_back_as_it_was(accepted: TaskStore) -> None:
    """Every field of it, a retry under way too."""
    failure = PageFailure(2, ErrorCode.PROVIDER_TIMEOUT, "too long", True, 3)
    view = TaskView(
        RECORD,
        TaskState.RETRY,
        rev=17,
        outcome=TaskOutcome.PARTIAL,
        started_at=NOON,
        expires_at=NOON,
        pages_total=3,
        failures=(failure,),
        cost_usd=0.5,
        error=Failure(ErrorCode.BUDGET, "spent"),
    )
    for task in (StoredTask(view, RetryOrder("r1", (2,))), StoredTask(replace(view, error=None), RetryOrder("r2"))):
        accepted.save_task(task)
        assert accepted.task(TASK) == task


def as_json(task: bytes, **changes: object) -> bytes:
    """A file of a task with other fields, as a later release may write it."""
    return orjson.dumps({**orjson.loads(task), **changes})


DONE = StoredTask(
    TaskView(
        RECORD,
        TaskState.SUCCESS,
        rev=9,
        outcome=TaskOutcome.COMPLETE,
        pages_total=3,
        pages_done=3,
        readers={"local": ReaderUse(3, 0.0, 0.5, "m")},
    )
)
VIEW = orjson.loads(encode_task(DONE))["view"]
BAD_STATES = {
    "empty": b"",
    "torn": encode_task(DONE)[:-20],
    "foreign": b"[1]",
    "another format": as_json(encode_task(DONE), format="one-ocr-ray task 2"),
    "an option": as_json(encode_task(DONE), view=VIEW | {"record": VIEW["record"] | {"tenant": "t"}}),
    "an order": as_json(encode_task(DONE), retry={"run_id": "r", "pages": None, "engine": "gemini"}),
    "a state": as_json(encode_task(DONE), view=VIEW | {"state": "BATCHED"}),
    "a code": as_json(encode_task(DONE), view=VIEW | {"error": {"code": "script_not_read", "message": ""}}),
}
BAD_RECORDS = {
    "empty": b"",
    "torn": encode_record(RECORD)[:-20],
    "foreign": b"null",
    "a field": as_json(encode_record(RECORD), tenant="t"),
    "an option": as_json(encode_record(RECORD), options={**asdict(RECORD.options), "tenant": "t"}),
}


@pytest.mark.parametrize("data", BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_cannot_be_read_sets_the_task_aside(accepted: TaskStore, data: bytes) -> None:
    """It may have ended: begun again it would be paid again. The file stays, for the release that wrote it."""
    path = f"tasks/{TASK}/state.json"
    Objects(accepted.root).put(path, data)
    task = accepted.task(TASK)
    assert task is not None
    assert (task.aside, task.view.state, task.view.error, task.view.expires_at) == (
        True, TaskState.FAILURE, SET_ASIDE, None,
    )  # fmt: skip
    assert (task.view.record.owner, task.view.record.filename) == (RECORD.owner, RECORD.filename)
    assert Objects(accepted.root).get(path) == data


@pytest.mark.parametrize("data", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_record_that_cannot_be_read_sets_the_task_aside(accepted: TaskStore, data: bytes) -> None:
    """Whose it is is told where the file tells it; else it is nobody's. A state that stands is enough without it."""
    Objects(accepted.root).put(f"tasks/{TASK}/record.json", data)
    task = accepted.task(TASK)
    assert task is not None
    assert (task.aside, task.view.state, task.view.error) == (True, TaskState.FAILURE, SET_ASIDE)
    assert task.view.record.owner in ("", RECORD.owner)
    accepted.save_task(DONE)
    assert accepted.task(TASK) == DONE
    accepted.delete(TASK)
    assert accepted.task_ids() == set()


def test_what_a_later_release_adds_and_leaves_empty_changes_nothing(accepted: TaskStore) -> None:
    """A rollback goes on with such tasks; what a state tells beside is not missed."""
    options = {**asdict(RECORD.options), "route": None, "languages": []}
    Objects(accepted.root).put(
        f"tasks/{TASK}/record.json", as_json(encode_record(RECORD), tenant=None, options=options)
    )
    assert accepted.task(TASK) == not_begun(RECORD)
    state = as_json(encode_task(DONE), view=VIEW | {"parcels": 2})
    Objects(accepted.root).put(f"tasks/{TASK}/state.json", state)
    assert accepted.task(TASK) == DONE


def test_ends_that_an_earlier_release_has_not_delivered_are_still_to_be_delivered(accepted: TaskStore) -> None:
    """Its files name them otherwise."""
    state = orjson.loads(encode_task(replace(DONE, undelivered=(DONE.view,))))
    state["untold"] = state.pop("undelivered")
    Objects(accepted.root).put(f"tasks/{TASK}/state.json", orjson.dumps(state))
    assert accepted.task(TASK) == replace(DONE, undelivered=(DONE.view,))


def test_foreign_files_in_the_store_are_passed_over(accepted: TaskStore) -> None:
    """What a file system or a desktop leaves behind; a claim that is torn binds nobody."""
    objects = Objects(accepted.root)
    for path in ("book/.nfs000000000001", "book/.DS_Store", "book/²", "tasks/.DS_Store", "tasks/x/record.json"):
        objects.put(path, b"")
    lease = ManagerLease(accepted.root, "now")
    assert lease.take(lambda: None) == 1
    lease.release()
    assert accepted.task_ids() == {TASK}
    accepted.claim("a", "k", "f1")
    (path,) = [info.path for info in objects.list("idempotency")]
    for torn in (b"", b"[]", b'{"claimed_at": "noon"}', b"{}"):
        objects.put(path, torn)
        assert accepted.claim("a", "k", "f2").status is ClaimStatus.NEW
        objects.put(path, torn)
        accepted.settle("a", "k", {"task_ids": []})
        objects.put(path, torn)
        accepted.sweep_claims(datetime.now(UTC))
        assert list(objects.list("idempotency")) == []


def test_pages_are_those_committed_and_those_journaled(accepted: TaskStore) -> None:
    """While a task runs, its finished pages can be read already; a success stands before a failure."""
    output = Objects(accepted.output_uri(TASK))
    RunDirectory(output).claim(CONFIG)
    pdf = document(1)
    pages = [page(pdf, 1), page(pdf, 2, failure=TIMED_OUT)]
    assert accepted.pages(TASK) == []
    Journal(output, SHARD_ID, CONFIG.config_id).write([replace(each, config_id=CONFIG.config_id) for each in pages])
    assert [each.page_number for each in accepted.pages(TASK)] == [1, 2]
    assert accepted.files(TASK, "pages") is None
    dataset = Dataset(output, asdict(CONFIG))
    dataset.commit_pages(SHARD_ID, [page(pdf, 1), page(pdf, 2)])
    dataset.commit_documents(SHARD_ID, [document_result(pdf, pages, RunIdentity("r", CONFIG.config_id), NOON)])
    assert [each.markdown for each in accepted.pages(TASK)] == ["text of page 1", "text of page 2"]
    assert (accepted.files(TASK, "pages") or b"")[:4] == b"PAR1"
    assert [row.pages_failed for row in dataset.documents(SHARD_ID)] == [1]


def test_deletion_leaves_no_byte(accepted: TaskStore, tmp_path: Path) -> None:
    """Neither file nor folder; to delete again is no error, and one that was cut short is known."""
    Objects(accepted.output_uri(TASK)).put("_work/000000/a/000000.json", b"canary")
    accepted.save_task(not_begun(RECORD))
    accepted.delete(TASK)
    assert [name for _, _, names in os.walk(accepted.root) for name in names] == []
    assert accepted.task_ids() == set()
    accepted.delete(TASK)


def test_an_expired_task_is_only_remembered(accepted: TaskStore) -> None:
    """Its name and its bytes are gone; that it was there is known for a while."""
    view = TaskView(RECORD, TaskState.SUCCESS, rev=9, expires_at=NOON)
    accepted.save_task(StoredTask(view))
    kept = accepted.expire(StoredTask(view))
    assert accepted.task(TASK) == kept
    assert (kept.erased, kept.view.rev, kept.view.expires_at, kept.view.record.owner) == (True, 9, NOON, "owner")
    left = [path for path in Path(accepted.root).rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["state.json"]
    assert RECORD.filename not in left[0].read_text()


def test_ids_that_are_none_touch_nothing(store: TaskStore, tmp_path: Path) -> None:
    """A path in the place of an id is an unknown task."""
    for bad in ("", "../../etc", "t_../../../../../../../a", "t_" + "A" * 23):
        assert store.task(bad) is store.files(bad, "pages") is None
        assert store.pages(bad) == []
        store.delete(bad)
        with pytest.raises(FileNotFoundError):
            store.fetch_upload(bad, tmp_path)


def test_a_key_is_claimed_once(store: TaskStore) -> None:
    """In progress until settled, then answered; another request with it is told; owners do not meet."""
    assert store.claim("a", "k", "f1").status is ClaimStatus.NEW
    assert store.claim("a", "k", "f1").status is ClaimStatus.IN_PROGRESS
    assert store.claim("b", "k", "f1").status is ClaimStatus.NEW
    store.settle("a", "k", {"task_ids": [TASK]})
    again = store.claim("a", "k", "f1")
    assert (again.status, again.response) == (ClaimStatus.ANSWERED, {"task_ids": [TASK]})
    assert store.claim("a", "k", "f2").status is ClaimStatus.REUSED
    store.save_record(replace(RECORD, owner="a", claim=claim_id("k")))
    store.delete(TASK)
    assert store.claim("a", "k", "f2").status is ClaimStatus.NEW
    store.settle("a", "k", None)
    assert store.claim("a", "k", "f3").status is ClaimStatus.NEW


def test_a_key_that_was_claimed_again_outlives_the_task_of_the_first_claim(store: TaskStore) -> None:
    """After a day, say; a deletion looks at one claim only, however many the owner has."""
    store.save_record(replace(RECORD, owner="a", claim=claim_id("k")))
    store.claim("a", "k", "f1")
    store.settle("a", "k", {"task_ids": ["t_" + "B" * 22]})
    store.delete(TASK)
    assert store.claim("a", "k", "f1").status is ClaimStatus.ANSWERED


def test_a_clock_is_kept(store: TaskStore) -> None:
    """The next task manager reads it; a torn one counts as missing."""
    assert store.clock() is None
    store.keep_clock(NOON)
    assert store.clock() == NOON
    Objects(store.root).put("book/clock", b"soon")
    assert store.clock() is None


def test_a_claim_that_was_never_answered_ends(store: TaskStore) -> None:
    """Its process died: the key becomes free, and the sweep removes what binds nobody."""
    before = datetime.now(UTC) - ANSWERED_WITHIN - timedelta(seconds=1)
    store.claim("a", "k", "f1")
    (path,) = [info.path for info in Objects(store.root).list("idempotency")]
    Objects(store.root).put(path, encode_claim("f1", before))
    store.sweep_claims(datetime.now(UTC))
    assert list(Objects(store.root).list("idempotency")) == []
    Objects(store.root).put(path, encode_claim("f1", before))
    assert store.claim("a", "k", "f2").status is ClaimStatus.NEW

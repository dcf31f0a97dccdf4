"""What a task manager loads at its start from a store with torn, foreign or refused files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import StorageError
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.tasks.codec import SET_ASIDE, StoredTask
from one_ocr_ray.policy.tasks.task import TaskOutcome, TaskRecord, TaskState, TaskView
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID, TaskStore
from one_ocr_ray.tasks.lifecycle import TaskLifecycle
from tests.values import NOON

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWNER = "owner"


def refused(folder: Path) -> None:
    """A file that the disk does not give: here a link that leads to itself."""
    (folder / "record.json").unlink()
    (folder / "record.json").symlink_to("record.json")


def bytes_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(path: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: Objects(str(folder)).put(path, data)


ASIDE = {  # what becomes of a task's folder
    "an empty record": write("record.json", b""),
    "a torn record": write("record.json", b'{"task_id": "t_'),
    "an empty state": write("state.json", b""),
    "a state of a later release": write("state.json", b'{"format": "one-ocr-ray task 9"}'),
    "an empty configuration": write("output/_run/config.json", b""),
    "a configuration of a later release": write("output/_run/config.json", b'{"language": "de"}'),
    "torn rows": write(f"output/pages/{SHARD_ID}.parquet", b"PAR1"),
}


def record(letter: str) -> TaskRecord:
    return TaskRecord(f"t_{letter * 22}", "b_1", OWNER, f"{letter}.pdf", 4, "sha256:0", NOON)


@pytest.fixture
def keeper(tmp_path: Path) -> TaskLifecycle:
    """Over a store with a good task (g), one that has ended (e), one that is refused (r), and all that is bad."""
    store = TaskStore(str(tmp_path))
    for letter in ("g", "e", "r", *"ABCDEFGHIJ"[: len(ASIDE)]):
        store.save_record(record(letter))
        RunDirectory(Objects(store.output_uri(record(letter).task_id))).claim(
            Fingerprint("local", "m", None, None, 1600, "all")
        )
    store.save_task(StoredTask(TaskView(record("e"), TaskState.SUCCESS, rev=9, outcome=TaskOutcome.COMPLETE)))
    for letter, spoil in zip("ABCDEFGHIJ", ASIDE.values(), strict=False):
        spoil(tmp_path / "tasks" / record(letter).task_id)
    refused(tmp_path / "tasks" / record("r").task_id)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / ".nfs00000001").touch()
    return TaskLifecycle(store, timedelta(days=14))


def test_one_bad_file_costs_one_task(keeper: TaskLifecycle) -> None:
    """The good one is read, the ended one stays ended, bad ones have failed with a sentence."""
    assert [entry.view.record for entry in keeper.recover(1)] == [record("g")]
    states = {entry.view.record.task_id[2]: entry.view for entry in keeper.table.entries()}
    assert states["e"].state is TaskState.SUCCESS
    assert states.keys() == {"g", "e", *"ABCDEFGHIJ"[: len(ASIDE)]}
    for letter in "ABCDEFGHIJ"[: len(ASIDE)]:
        assert (states[letter].state, states[letter].error) == (TaskState.FAILURE, SET_ASIDE)
        assert states[letter].rev > states["e"].rev


async def test_a_task_that_is_set_aside_is_only_deleted(keeper: TaskLifecycle, tmp_path: Path) -> None:
    """Nothing of it is read again or expires; its owner may delete it."""
    keeper.recover(1)
    entry = keeper.table.get(OWNER, record("E").task_id)
    assert entry is not None
    folder = tmp_path / "tasks" / record("E").task_id
    before = bytes_below(folder)
    assert not await keeper.begin_retry(entry, None)
    assert not await keeper.begin_cancel(entry)
    assert await keeper.events_after(entry, 0) == ()
    await keeper.expire(entry, NOON + timedelta(days=10_000))
    assert bytes_below(folder) == before
    assert await keeper.begin_delete(entry)
    await keeper.delete(entry)
    assert bytes_below(folder) == {}


def test_what_was_refused_is_taken_up_later(keeper: TaskLifecycle, tmp_path: Path) -> None:
    """By the next sweep, as it stands then."""
    keeper.recover(1)
    folder = tmp_path / "tasks" / record("r").task_id
    assert keeper.look_up({record("r").task_id}) == ([], set())
    (folder / "record.json").unlink()
    TaskStore(str(tmp_path)).save_record(record("r"))
    entries, _ = keeper.look_up({record("r").task_id})
    assert [entry.view.record for entry in keeper.take_up(entries)] == [record("r")]
    assert keeper.take_up(entries) == []


def test_a_store_that_is_away_is_no_tasks_fault(keeper: TaskLifecycle, tmp_path: Path) -> None:
    """The task manager looks again; it does not begin without its tasks."""
    (tmp_path / "tasks").rename(tmp_path / "away")
    (tmp_path / "book").rename(tmp_path / "elsewhere")
    (tmp_path / "book").write_text("")
    with pytest.raises(StorageError):
        keeper.recover(1)

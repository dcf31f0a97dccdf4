"""Objects, run directory and dataset on a real folder."""

from __future__ import annotations

import pickle
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
import pytest

from one_ocr_ray.errors import DamagedError, OneOcrError, StorageError, UsageError
from one_ocr_ray.model import ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import CONFIG as CONFIG_PATH
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.values import NOON, document, page

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = Fingerprint("local", "m", None, None, 1600, "all")


@pytest.fixture
def output(tmp_path: Path) -> Objects:
    """An output folder that does not exist yet, with a name that needs care."""
    return Objects(str(tmp_path / "out put #1 %41"))


def test_put_new_creates_once(output: Objects) -> None:
    """The second writer is told so, and what stands is the first one's."""
    assert output.put_new("a/b", b"first") is True
    assert output.put_new("a/b", b"second") is False
    assert output.get("a/b") == b"first"


def test_one_of_many_writers_wins(output: Objects) -> None:
    """Put-if-absent holds between threads that start together."""
    start = threading.Barrier(8)
    wins: list[int] = []

    def write(number: int) -> None:
        start.wait()
        if output.put_new("x", bytes([number]) * 100_000):
            wins.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert output.get("x") == bytes(wins) * 100_000


def test_listing_getting_and_deleting(output: Objects) -> None:
    """What is not there is None or no error; paths come relative to the root."""
    output.put("p/1", b"abc")
    output.put("p/q/2", b"")
    assert sorted((info.path, info.size_bytes) for info in output.list("p")) == [("p/1", 3), ("p/q/2", 0)]
    assert output.get("nope") is None
    assert output.head("nope") is None
    output.delete("p/1")
    output.delete("p/1")
    assert output.head("p/1") is None


def test_version_changes_with_the_bytes(output: Objects) -> None:
    """A rerun tells a changed object by it."""
    output.put("v", b"one")
    before = output.head("v")
    output.put("v", b"other")
    after = output.head("v")
    assert before is not None
    assert after is not None
    assert before.version != after.version


def test_objects_travel_to_other_processes(output: Objects) -> None:
    """A worker opens the same root again."""
    output.put("t", b"1")
    assert pickle.loads(pickle.dumps(output)).get("t") == b"1"


def test_an_output_that_cannot_be_a_folder_is_the_users_mistake(tmp_path: Path) -> None:
    """A file stands in the way: one sentence, no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises((UsageError, StorageError)):
        Objects(str(tmp_path / "file" / "out")).put("a", b"")


def test_a_second_run_with_another_configuration_is_refused(output: Objects) -> None:
    """The message names what differs, so that the user can choose."""
    RunDirectory(output).claim(CONFIG)
    RunDirectory(output).add_to_plan(0, [Shard("000000-a", (document(1),))])
    output.put("_work/000000-a/0/000000.json", b"")
    RunDirectory(output).claim(CONFIG)
    with pytest.raises(UsageError, match=r"--engine local before, gemini now; --pages all before, 1-3 now"):
        RunDirectory(output).claim(Fingerprint("gemini", "m", None, None, 1600, "1-3"))


def test_an_output_in_which_nothing_was_read_changes_its_configuration(output: Objects) -> None:
    """The run before ended at a wrong key, model or address: the same output is there for the mended command."""
    mended = Fingerprint("gemini", "m", None, None, 1600, "1-3")
    RunDirectory(output).claim(CONFIG)
    RunDirectory(output).add_to_plan(0, [Shard("000000-a", (document(1),))])
    RunDirectory(output).claim(mended)
    assert RunDirectory(output).fingerprint() == mended


def test_an_output_of_dataset_version_1_is_refused(output: Objects) -> None:
    """One output has one schema: the message says what to do."""
    before = {name: value for name, value in asdict(CONFIG).items() if name != "schema_version"}
    output.put(CONFIG_PATH, orjson.dumps(before))
    output.put("pages/000000-a.parquet", b"")
    with pytest.raises(UsageError, match=r"dataset version 1, and .* writes version 2\. Give another --output"):
        RunDirectory(output).claim(CONFIG)


def test_the_plan_comes_back_in_order(output: Objects) -> None:
    """Shards with documents that failed to open, and copies, included."""
    run_dir = RunDirectory(output)
    broken = document(2, page_count=None, version=None, failure=Failure(ErrorCode.PDF_NOT_FOUND, "gone"))
    batches = [(Shard("000000-a", (document(1), broken)),), (Shard("000001-b", (document(3),), copies=True),)]
    for number, batch in enumerate(batches):
        run_dir.add_to_plan(number, batch)
    assert list(run_dir.plan()) == batches
    with pytest.raises(OneOcrError, match="changed by another run"):
        run_dir.add_to_plan(1, batches[1])


@pytest.mark.parametrize("data", [None, b"", b"[{", b"{}", b"[1]", b'[{"shard_id": "000001-b"}]', b"\xff\xfe"])
def test_a_plan_that_lost_its_bytes_is_refused(output: Objects, data: bytes | None) -> None:
    """Taken for an empty one it would be paid and stored twice. The sentence names the file and says what to do."""
    run_dir = RunDirectory(output)
    for number in range(3):
        run_dir.add_to_plan(number, (Shard(f"{number:06d}-a", (document(number),)),))
    output.delete("_run/plan/000001.json")
    if data is not None:
        output.put("_run/plan/000001.json", data)
    for read in (lambda: list(run_dir.plan()), lambda: run_dir.batch(1), lambda: PlanIndex.load(run_dir)):
        with pytest.raises(DamagedError, match=r"The file _run/plan/000001\.json .* Put it back from a copy"):
            read()


def test_files_of_others_among_the_plan_are_not_the_plan(output: Objects) -> None:
    """What a file system or a desktop leaves in a folder."""
    run_dir, batch = RunDirectory(output), (Shard("000000-a", (document(1),)),)
    run_dir.add_to_plan(0, batch)
    for name in (".DS_Store", ".nfs000000000001", "000001.json.bak", "._000001.json"):
        output.put(f"_run/plan/{name}", b"foreign")
    assert list(run_dir.plan()) == [batch]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"of_a_later_release": 1}'])
def test_a_damaged_configuration_is_refused(output: Objects, data: bytes) -> None:
    """So is that of a later release."""
    RunDirectory(output).claim(CONFIG)
    output.put("_run/config.json", data)
    with pytest.raises(DamagedError, match=r"The file _run/config\.json "):
        RunDirectory(output).fingerprint()


def test_the_first_commit_of_a_shard_stands(output: Objects) -> None:
    """A second worker with the same shard throws its copy away and goes on with what stands."""
    dataset = Dataset(output, {})
    paper = document(page_count=1)
    first, second = [page(paper, 1, markdown="first")], [page(paper, 1, markdown="second")]
    assert dataset.commit_pages("s", first) == first
    assert dataset.commit_pages("s", second) == first
    assert dataset.committed() == set()  # not finished before its documents stand
    row = document_result(paper, first, RunIdentity("r", "c"), NOON)
    assert dataset.commit_documents("s", [row]) is True
    assert dataset.commit_documents("s", [row]) is False
    assert dataset.committed() == {"s"}
    assert dataset.documents("s") == [row]
    told = list(dataset.counts(["s", "not there"], ["outcome", "pages_ok"]))
    assert told == [("s", [{"outcome": "complete", "pages_ok": 1}]), ("not there", [])]
    assert dataset.page_rows(["s", "not there"]) == 1

"""Files of a local folder: in which order they get to the disk, and that nothing relied on is left in memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.model import Shard
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.tasks.codec import not_begun
from one_ocr_ray.policy.tasks.task import TaskRecord
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.folder import delete_files
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.manager_lease import ManagerLease
from one_ocr_ray.storage.tasks.task_store import TaskStore
from tests.values import NOON, document, page

if TYPE_CHECKING:
    from collections.abc import Callable

Steps = list[tuple[str, str]]


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What is done to the disk below `tmp_path`, in order: what, and which file or folder."""
    found: Steps = []

    def told(path: Path | str) -> str:
        name = Path(path).relative_to(tmp_path).as_posix()
        return name.partition("#")[0] + ("#" if "#" in name else "")

    def watch(name: str, path_of: Callable[..., Path | str]) -> None:
        original = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            found.append((name, told(path_of(*arguments))))
            return original(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    watch("fsync", lambda descriptor: Path(f"/proc/self/fd/{descriptor}").readlink())
    watch("link", lambda _, target: target)
    watch("replace", lambda _, target: target)
    return found


@pytest.mark.parametrize(("put", "step"), [("put_new", "link"), ("put", "replace")])
def test_bytes_then_name_then_folder(put: str, step: str, tmp_path: Path, steps: Steps) -> None:
    """Each new folder in the one above it, too: what is not in its folder on the disk is nowhere after a power cut."""
    (tmp_path / "out").mkdir()
    getattr(Objects(str(tmp_path / "out")), put)("a/b/c.json", b"bytes")
    assert steps == [
        ("fsync", "out"),
        ("fsync", "out/a"),
        ("fsync", "out/a/b/c.json#"),
        (step, "out/a/b/c.json"),
        ("fsync", "out/a/b"),
    ]


def test_bytes_that_are_staged_get_to_the_disk_before_they_appear(tmp_path: Path, steps: Steps) -> None:
    """The journal goes after this."""
    Objects(str(tmp_path)).put_new("pages/s.parquet", b"bytes", staged="_work/s/staged-1")
    assert steps[-3:] == [("fsync", "."), ("link", "pages/s.parquet"), ("fsync", "pages")]
    assert steps.index(("fsync", "_work/s/staged-1")) < steps.index(("link", "pages/s.parquet"))


def test_what_is_worth_nothing_later_costs_no_sync(tmp_path: Path, steps: Steps) -> None:
    """A lease beats every two seconds, and after a loss of power nobody holds it."""
    (tmp_path / "_run").mkdir()
    Objects(str(tmp_path)).put("_run/1.json", b"bytes", lasting=False)
    assert steps == [("replace", "_run/1.json")]


def test_whatever_a_promise_rests_on_is_synced(tmp_path: Path, steps: Steps) -> None:
    """Configuration, plan, journal, upload, record, state, generation, claim: the file, and then its folder."""
    output = Objects(str(tmp_path))
    run_dir = RunDirectory(output)
    run_dir.claim(Fingerprint("local", "m", None, None, 1600, "all"))
    run_dir.add_to_plan(0, [Shard("000000-a", (document(1),))])
    Journal(output, "000000-a", "c").write([page(document(1), 1)])
    store, spool = TaskStore(str(tmp_path / "store")), tmp_path / "spool"
    spool.write_bytes(b"%PDF")
    record = TaskRecord("t_" + "A" * 22, "b_1", "owner", "a.pdf", 4, "sha256:0", NOON)
    store.save_upload(record.task_id, spool)
    store.save_record(record)
    store.save_task(not_begun(record))
    lease = ManagerLease(store.root, "now")
    lease.take(lambda: None)
    store.claim("owner", "key", "fingerprint")
    placed = [path for step, path in steps if step in ("link", "replace")]
    assert len(placed) == 8
    for path in placed:
        after = steps[
            next(number for number, step in enumerate(steps) if step in (("link", path), ("replace", path))) :
        ]
        assert ("fsync", f"{path}#") in steps
        assert after[1] == ("fsync", str(Path(path).parent))
    lease.release()


def test_a_killed_writer_leaves_nothing_that_is_listed(tmp_path: Path) -> None:
    """And nothing that a deletion leaves behind."""
    objects = Objects(str(tmp_path))
    objects.put("t/state.json", b"")
    objects.put("t/output/a.json", b"")
    (tmp_path / "t" / "upload.pdf#000000000000007").write_bytes(b"half of a docum")
    assert {info.path for info in objects.list("t")} == {"t/state.json", "t/output/a.json"}
    objects.delete_all("t", but="t/state.json")
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["state.json"]
    delete_files(tmp_path / "not there", but=tmp_path)


def test_a_file_is_as_open_as_the_umask_has_it(tmp_path: Path) -> None:
    """Others of a group may read the dataset: the temporary file becomes the file."""
    Objects(str(tmp_path)).put("a", b"")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask

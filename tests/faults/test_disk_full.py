"""A disk that takes no more of any file: one sentence, nothing half-written, and a rerun that finishes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import stat
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import OneOcrError, StorageError, UsageError
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.invariants import assert_finished, visible_rows
from tests.faults.small_run import SmallRun
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path

PAPERS = [document(1), document(2, page_count=4)]
FINAL = {(each.document_id, number): "ok" for each in PAPERS for number in range(1, (each.page_count or 0) + 1)}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["pytest", "tests.faults.test_disk_full"])


def run_with_room_for(size_bytes: int, root: Path) -> None:
    """Ends with the exit code of what it raised; what it said is in `root`/../said."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    try:
        SmallRun(root, PAPERS, "cramped").run()
    except OneOcrError as error:
        (root.parent / "said").write_text(str(error)[:size_bytes])
        os._exit(error.exit_code)


# Too small for the configuration, the plan, a segment of the journal, a file of pages.
@pytest.mark.parametrize("size_bytes", [200, 600, 1500, 5000])
def test_a_full_disk_stops_the_run_and_a_rerun_finishes(size_bytes: int, tmp_path: Path) -> None:
    """Whatever it is that no longer fits."""
    root = tmp_path / "out"
    process = context.Process(target=run_with_room_for, args=(size_bytes, root))
    process.start()
    process.join(120)
    assert process.exitcode == StorageError.exit_code
    assert "cannot be written to" in (tmp_path / "said").read_text()
    assert set(visible_rows(root)) <= FINAL.keys()
    SmallRun(root, PAPERS, "next").run()
    assert_finished(root, FINAL)


def test_an_output_that_cannot_be_made_is_the_users_mistake() -> None:
    """There is no folder to be made under /proc, for anyone."""
    with pytest.raises(UsageError, match="cannot be created"):
        Objects("/proc/one-ocr/out")


def test_an_output_that_must_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A folder without write permission; for root, to whom permissions are nothing, a folder that is a file's."""
    root = tmp_path / "out"
    root.mkdir()
    if os.geteuid() == 0:
        (root / "_run").write_text("in the way")
    else:
        root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StorageError, match="cannot be written to"):
        SmallRun(root, PAPERS, "refused").run()
    assert visible_rows(root) == {}

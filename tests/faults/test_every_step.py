"""A process that is killed at every change it makes on disk, before it or in its midst, and what the next run finds.

The killed process ends by `os._exit` in the place of the change: nothing is cleaned up, as after SIGKILL.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.storage.dataset.row_counts import check_row_counts
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.invariants import assert_finished, visible_rows
from tests.faults.small_run import SmallRun, can_be_torn, dying
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.small_run import Key

PAPERS = [document(1), document(2, page_count=4), document(1, uri="/pdfs/twin.pdf")]
PAGES = {(each.document_id, number) for each in PAPERS for number in range(1, (each.page_count or 0) + 1)}
BAD = {(document(1).document_id, 3), (document(2).document_id, 2)}
FINAL = dict.fromkeys(PAGES, "ok")
WITH_FAILURES = FINAL | dict.fromkeys(BAD, "failed")
KILLED = 9


class CrashError(BaseException):
    """The end of a run, at once."""


def crash() -> None:
    raise CrashError


context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["pytest", "tests.faults.test_every_step"])  # what each process would import anew


def run(root: Path, name: str, step: int = 0, *, torn: bool = False, bad: bool, retry: bool = False) -> None:
    """One run in this process, which ends at `step`; what it calls and what is safe goes to `root`/../log."""
    log = os.open(root.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(word: str, key: Key) -> None:
        os.write(log, f"{word} {key[0]} {key[1]}\n".encode())

    with dying(step, lambda: os._exit(KILLED), torn=torn) as changes:
        SmallRun(
            root, PAPERS, name, is_bad=lambda key: bad and key in BAD,
            call=lambda key: note("call", key), safe=lambda key, good: note("safe" if good else "failed", key),
        ).run(retry_failed=retry)  # fmt: skip
    os.close(log)
    (root.parent / "changes").write_text("\n".join(changes))


def killed(root: Path, step: int, *, torn: bool, bad: bool, retry: bool = False) -> None:
    """A run in a process that is killed at `step`."""
    process = context.Process(
        target=run, args=(root, "killed", step), kwargs={"torn": torn, "bad": bad, "retry": retry}
    )
    process.start()
    process.join(120)
    assert process.exitcode == KILLED


def assert_nothing_paid_twice(root: Path, calls_lost: int) -> None:
    """No page is called after it was safe, and a crash repeats no more than the rows that were under way."""
    calls: Counter[str] = Counter()
    safe: set[str] = set()
    for line in (root.parent / "log").read_text().splitlines():
        word, page = line.split(" ", 1)
        if word == "call":
            assert page not in safe, f"{page} was safe and is paid again"
            calls[page] += 1
        elif word == "safe":
            safe.add(page)
    failed_before = {f"{document_id} {number}" for document_id, number in BAD}
    assert sum(calls[page] - 1 for page in calls if page not in failed_before) <= calls_lost


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with failed pages, and how many changes its run made."""
    root = tmp_path_factory.mktemp("finished") / "out"
    run(root, "first", bad=True)
    assert_finished(root, WITH_FAILURES)
    return root


def steps_of(root: Path, *, torn: bool) -> list[int]:
    """The changes of a run by number; if `torn`, those of which a half can be done."""
    changes = (root.parent / "changes").read_text().splitlines()
    return [step for step, name in enumerate(changes, start=1) if not torn or can_be_torn(name)]


@pytest.mark.parametrize("torn", [False, True])
def test_a_first_run_killed_at_every_step(torn: bool, finished: Path, tmp_path: Path) -> None:
    """Whatever stands is whole, and the next run ends with every page once; what was safe is not called again."""
    for step in steps_of(finished, torn=torn):
        root = tmp_path / str(step) / "out"
        root.parent.mkdir()
        killed(root, step, torn=torn, bad=True)
        visible_rows(root)
        run(root, "next", bad=True)
        assert_finished(root, WITH_FAILURES)
        assert_nothing_paid_twice(root, calls_lost=2)


@pytest.mark.parametrize("torn", [False, True])
def test_a_retry_killed_at_every_step(torn: bool, finished: Path, tmp_path: Path) -> None:
    """Good rows stay; what the retry has paid for is kept, by a plain run after it and by another retry alike."""
    whole = tmp_path / "whole" / "out"
    shutil.copytree(finished.parent, whole.parent)
    run(whole, "retry", bad=False, retry=True)
    assert_finished(whole, FINAL)
    for step in steps_of(whole, torn=torn):
        root, twin = (tmp_path / f"{step}{name}" / "out" for name in ("", " twin"))
        shutil.copytree(finished.parent, root.parent)
        killed(root, step, torn=torn, bad=False, retry=True)
        assert set(visible_rows(root)) == PAGES
        shutil.copytree(root.parent, twin.parent)
        run(root, "next", bad=False)
        run(root, "last", bad=False, retry=True)
        run(twin, "next", bad=False, retry=True)
        for each in (root, twin):
            assert_finished(each, FINAL)
            assert_nothing_paid_twice(each, calls_lost=2)


GONE = document(5, failure=Failure(ErrorCode.PDF_NOT_FOUND, "gone"), page_count=None, version=None)
FOUND = document(5, uri=GONE.uri, page_count=5)


@pytest.mark.parametrize("torn", [False, True])
def test_a_retry_that_finds_a_file_killed_at_every_step(torn: bool, tmp_path: Path) -> None:
    """A plain run after it leaves no page of the found file out, whether it stands as failed still or as read."""
    finished = tmp_path / "finished" / "out"
    SmallRun(finished, [*PAPERS, GONE], "first", is_bad=BAD.__contains__).run()
    pages = FINAL | {(FOUND.document_id, number): "ok" for number in range(1, 6)}

    def retry(root: Path, step: int = 0) -> list[str]:
        with suppress(CrashError), dying(step, crash, torn=torn) as changes:
            SmallRun(root, [*PAPERS, GONE], "retry", mended={GONE.uri: FOUND}).run(retry_failed=True)
        return changes

    whole = tmp_path / "whole" / "out"
    shutil.copytree(finished, whole)
    for step, name in enumerate(retry(whole), start=1):
        if torn and not can_be_torn(name):
            continue
        root = tmp_path / str(step) / "out"
        shutil.copytree(finished, root)
        retry(root, step)
        SmallRun(root, [*PAPERS, GONE], "next").run()
        assert list(verify(str(root))) == []
        output = Objects(str(root))
        assert check_row_counts(Dataset(output, {}), PlanIndex.load(RunDirectory(output)), "out")[1] is None, step
        retry(root)
        assert_finished(root, pages)
    assert_finished(whole, pages)

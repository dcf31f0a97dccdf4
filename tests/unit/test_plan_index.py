"""The index of a plan: what is planned, where, and as what, over any number of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.row_counts import RowCounts
from one_ocr_ray.policy.dataset.selection import PageSelection
from one_ocr_ray.storage.inputs import InputFile
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.values import document

PAGES = document(1).page_count or 0

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef

GONE = Failure(ErrorCode.PDF_NOT_FOUND, "gone")


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDirectory:
    return RunDirectory(Objects(str(tmp_path)))


def as_file(of: DocumentRef) -> InputFile:
    """The file that `of` was made from."""
    return InputFile(of.uri, of.size_bytes, of.version)


def test_a_plan_is_known_at_once_and_after_a_restart(run_dir: RunDirectory) -> None:
    """Shards in order, documents at home, files covered while they are as they were."""
    known = PlanIndex.load(run_dir)
    first, copies = Shard("000000-a", (document(1), document(2))), Shard("000001-b", (document(1, uri="/twin"),), True)
    known.plan([first])
    known.plan([copies])
    for each in (known, PlanIndex.load(run_dir)):
        assert list(each.shard_ids()) == ["000000-a", "000001-b"]
        assert list(each.shard_ids(copies=True)) == ["000001-b"]
        assert each.shard("000001-b") == copies
        assert each.shard_of(document(1).document_id) == "000000-a"
        assert each.shard_of("sha256:unheard-of") is None
        assert each.next_number == 2
        assert each.has_unchanged(as_file(document(2)))
        assert each.is_planned(document(2))
        assert not each.has_unchanged(replace(as_file(document(2)), version="2"))
        assert not each.has_unchanged(as_file(document(3)))
        with pytest.raises(KeyError):
            each.shard("000009-z")


def test_the_same_bytes_are_new_once(run_dir: RunDirectory) -> None:
    """Also before their shard is planned, and not after a restart when it was."""
    known = PlanIndex.load(run_dir)
    assert known.mark_seen(document(1).document_id)
    assert not known.mark_seen(document(1).document_id)
    assert known.shard_of(document(1).document_id) is None
    known.plan([Shard("000000-a", (document(1),))])
    assert not PlanIndex.load(run_dir).mark_seen(document(1).document_id)


def test_a_mended_shard_keeps_its_place(run_dir: RunDirectory) -> None:
    """The last plan of a shard holds; of a file in two shards the later shard holds, whatever was planned last."""
    known = PlanIndex.load(run_dir)
    changed = document(9, uri=document(1).uri, version="2")
    broken = document(2, failure=GONE, version=None, page_count=None)
    known.plan([Shard("000000-a", (document(1), broken))])
    known.plan([Shard("000001-b", (changed,))])
    assert known.has_unchanged(as_file(document(2)))  # until --retry-failed
    known.plan([Shard("000000-a", (document(1), document(2)))])
    for each in (known, PlanIndex.load(run_dir)):
        assert list(each.shard_ids()) == ["000000-a", "000001-b"]
        assert each.shard("000000-a").documents == (document(1), document(2))
        assert each.has_unchanged(as_file(document(2)))
        assert not each.has_unchanged(replace(as_file(document(2)), version="3"))
        assert each.has_unchanged(as_file(changed))
        assert each.planned() == RowCounts(3, 3 * PAGES)
    assert PlanIndex.load(run_dir, PageSelection(((2, 2),))).planned() == RowCounts(3, 3)
    known.plan([Shard("000002-c", (document(1, uri="/copy.pdf"),), copies=True)])
    assert (
        known.planned() == PlanIndex.load(run_dir).planned() == RowCounts(4, 3 * PAGES)
    )  # a copy has no pages of its own


def test_touched_files_are_known_under_their_new_version(run_dir: RunDirectory) -> None:
    """Each in the shard that has it, copies too; all else of the shards stays, and so does their order."""
    known = PlanIndex.load(run_dir)
    broken, twin = document(2, failure=GONE, page_count=None), document(1, uri="/twin")
    known.plan([Shard("000000-a", (document(1), broken))])
    known.plan([Shard("000001-b", (document(3), document(4))), Shard("000002-c", (twin,), copies=True)])
    touched = [replace(each, version="2", size_bytes=7, page_count=99) for each in (document(1), document(4), twin)]
    known.renew([*touched, document(5, version="2")])
    known.renew([])
    for each in (known, PlanIndex.load(run_dir)):
        assert list(each.shard_ids()) == ["000000-a", "000001-b", "000002-c"]
        assert each.shard("000000-a").documents == (replace(document(1), version="2", size_bytes=7), broken)
        assert each.shard("000001-b").documents == (document(3), replace(document(4), version="2", size_bytes=7))
        assert each.shard("000002-c") == Shard("000002-c", (replace(twin, version="2", size_bytes=7),), copies=True)
        assert all(each.has_unchanged(as_file(new)) for new in touched)
        assert not each.has_unchanged(as_file(document(1)))
        assert not each.has_unchanged(as_file(document(5, version="2")))

"""A run without Ray and without PDFs: the real plan, journal, commit and resume, around pages that answer by script.

Every change on disk goes through `os`, `obstore` or `shutil`, so that a test can end the run at any of them; see
`dying`.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from one_ocr_ray.policy.dataset.documents import RunIdentity, same_bytes_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.plan import ShardPacker, render_slices
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.pending_work import find_pending_work
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.store.objects import Objects
from tests.values import TIMED_OUT, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from one_ocr_ray.model import DocumentRef, PageResult, Shard

FINGERPRINT = Fingerprint("local", "m", None, None, 1600, "all")
SEGMENT_ROWS = 2
SHARD_PAGES = 6

Key = tuple[str, int]  # document id, page number


@dataclass
class SmallRun:
    """One run on the output at `root`. `is_bad`: pages that fail now; `call` and `safe` hear of each page."""

    root: Path | str
    documents: Sequence[DocumentRef]
    run_id: str
    is_bad: Callable[[Key], bool] = lambda _: False
    call: Callable[[Key], None] = lambda _: None
    safe: Callable[[Key, bool], None] = lambda _key, _good: None
    mended: Mapping[str, DocumentRef] = field(default_factory=dict)  # what a retry finds at a URI that had failed

    def run(self, *, retry_failed: bool = False) -> None:
        """To the end, as `cluster/batch/run.py` does it."""
        self._output = Objects(str(self.root))
        run_dir = RunDirectory(self._output)
        run_dir.claim(FINGERPRINT)
        self._identity = RunIdentity(self.run_id, FINGERPRINT.config_id)
        self._dataset = Dataset(self._output, asdict(FINGERPRINT))
        known = PlanIndex.load(run_dir)
        todo = find_pending_work(known, self._dataset, self._output, retry_failed=retry_failed)
        copies = list(todo.stale_copies)
        for shard_id in todo.open_shards:
            shard = known.shard(shard_id)
            if shard.copies:
                copies.append(shard_id)
            else:
                self._read(shard, retry_failed=False)
        for shard_id in todo.failed_shards:
            self._read(self._with_mended_files(known.shard(shard_id), known), retry_failed=True)
        for shard in self._new_shards(known):
            if shard.copies:
                copies.append(shard.shard_id)
            else:
                self._read(shard, retry_failed=False)
        for shard_id in copies:
            self._copy(known.shard(shard_id), known)

    def _new_shards(self, known: PlanIndex) -> Iterator[Shard]:
        packer = ShardPacker(
            ALL_PAGES, shard_pages=SHARD_PAGES, workers=1, next_number=known.next_number, is_new=known.mark_seen
        )
        new = [document for document in self.documents if not known.is_planned(document)]
        shards = [shard for document in new for shard in packer.add(document)]
        for shard in [*shards, *packer.flush(), *packer.copies()]:
            known.plan([shard])
            yield shard

    def _with_mended_files(self, shard: Shard, known: PlanIndex) -> Shard:
        documents = tuple(self.mended.get(each.uri, each) if each.failure else each for each in shard.documents)
        if documents != shard.documents:
            Journal(self._output, shard.shard_id, FINGERPRINT.config_id).mark_replacing()
            shard = replace(shard, documents=documents)
            known.plan([shard])
        return shard

    def _read(self, shard: Shard, *, retry_failed: bool) -> None:
        work = ShardCommit.open(self._output, self._dataset, shard, self._identity, retry_failed=retry_failed)
        if work.pages_committed:
            work.recover()
            return
        results = dict(work.kept)
        waiting: list[PageResult] = []
        for item in (
            item for slice_ in render_slices(shard.documents, ALL_PAGES, frozenset(results)) for item in slice_
        ):
            for number in item.pages:
                waiting.append(self._answer(item.document, number))
                if len(waiting) == SEGMENT_ROWS:
                    self._keep(waiting, work.journal, results)
                    waiting = []
        self._keep(waiting, work.journal, results)
        place = {document.document_id: at for at, document in enumerate(shard.documents)}
        work.commit(sorted(results.values(), key=lambda row: (place[row.document_id], row.page_number)))

    def _answer(self, document: DocumentRef, number: int) -> PageResult:
        key = document.document_id, number
        self.call(key)
        failure = TIMED_OUT if self.is_bad(key) else None
        now = datetime.now(UTC)
        return page(
            document, number, failure=failure, run_id=self.run_id, config_id=FINGERPRINT.config_id,
            started_at=now, finished_at=now,
        )  # fmt: skip

    def _keep(self, rows: list[PageResult], journal: Journal, results: dict[Key, PageResult]) -> None:
        if rows:
            journal.write(rows)
        for row in rows:
            key = row.document_id, row.page_number
            results[key] = row
            self.safe(key, row.failure is None)

    def _copy(self, shard: Shard, known: PlanIndex) -> None:
        homes = {known.shard_of(document.document_id) for document in shard.documents}
        found = {row.document_id: row for home in homes if home for row in self._dataset.documents(home)}
        rows = [same_bytes_result(found[each.document_id], each) for each in shard.documents]
        self._dataset.commit_pages(shard.shard_id, [])
        self._dataset.replace_documents(shard.shard_id, rows)
        Journal(self._output, shard.shard_id, FINGERPRINT.config_id).delete()


@contextmanager
def dying(step: int, die: Callable[[], None], *, torn: bool = False) -> Iterator[list[str]]:
    """Calls `die` in the place of change number `step` on disk, counted from 1; gives the list of changes so far.

    `torn`: half of that change is done first, as by a process that is killed in the midst of it.
    """
    changes: list[str] = []
    originals: dict[tuple[Any, str], Callable[..., Any]] = {}

    def watched(
        module: Any, name: str, tear: Callable[..., None], counts: Callable[..., bool] = lambda *_, **_options: True
    ) -> None:
        original = originals[module, name] = getattr(module, name)

        def change(*arguments: Any, **options: Any) -> Any:
            if not counts(*arguments, **options):
                return original(*arguments, **options)
            changes.append(f"{name} {arguments[1] if len(arguments) > 1 else arguments[0]}")
            if len(changes) == step:
                if torn:
                    tear(*arguments, **options)
                die()
            return original(*arguments, **options)

        setattr(module, name, change)

    watched(os, "fsync", _tear_file, _is_file)
    watched(os, "link", _tear_link)
    watched(os, "replace", lambda *_: None)
    watched(obstore, "delete", lambda *_: None)
    watched(shutil, "rmtree", _tear_rmtree)
    try:
        yield changes
    finally:
        for (module, name), original in originals.items():
            setattr(module, name, original)


def can_be_torn(change: str) -> bool:
    """False for a change of `dying` that happens whole or not at all."""
    return not change.startswith(("replace ", "delete "))


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _tear_file(descriptor: int) -> None:
    """Half of the bytes, still beside the place."""
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)


def _tear_link(source: Path, target: Path) -> None:
    """The new name is there, the old one still too."""
    if not target.exists():
        source.rename(target)
        shutil.copy(target, source)


def _tear_rmtree(path: Path, **_options: Any) -> None:
    files = sorted(each for each in Path(path).rglob("*") if each.is_file())
    for each in files[: len(files) // 2]:
        each.unlink()

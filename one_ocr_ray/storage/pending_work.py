"""What earlier runs have left to do on an output: the difference between its plan and what is committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Outcome
from one_ocr_ray.storage.journal import Journal, shards_at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.storage.dataset import Dataset
    from one_ocr_ray.storage.plan_index import PlanIndex
    from one_ocr_ray.storage.store.objects import Objects


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Shards by id, in planning order."""

    open_shards: Sequence[str]  # not committed, or a crash has left traces of its work
    failed_shards: Sequence[str] = ()  # committed or begun, to be read again where they failed
    stale_copies: Sequence[str] = ()  # of documents in shards that will change

    def __bool__(self) -> bool:
        return bool(self.open_shards or self.failed_shards)


def find_pending_work(known: PlanIndex, dataset: Dataset, output: Objects, *, retry_failed: bool) -> PendingWork:
    """What is left of what was planned; with `retry_failed` also what failed."""
    committed, at_work = dataset.committed(), shards_at_work(output)
    failed = []
    if retry_failed:
        originals = list(known.shard_ids(copies=False))
        bad = {
            shard_id
            for shard_id, rows in dataset.counts([each for each in originals if each in committed], ["outcome"])
            if any(row["outcome"] != Outcome.COMPLETE for row in rows)
        }
        failed = [shard_id for shard_id in originals if shard_id in bad or shard_id in at_work]
    again = set(failed)
    open_shards = [
        shard_id
        for shard_id in known.shard_ids()
        if shard_id not in again and (shard_id not in committed or shard_id in at_work)
    ]
    return PendingWork(open_shards, failed, _stale_copies(known, committed, again, set(open_shards), output))


def _stale_copies(
    known: PlanIndex, committed: set[str], again: set[str], open_shards: set[str], output: Objects
) -> list[str]:
    """Copies of what will change. They are marked: should this run end before they are made anew, the next one does."""
    changing = again | (open_shards & committed)
    if not changing:
        return []
    stale = [
        shard_id
        for shard_id in known.shard_ids(copies=True)
        if shard_id in committed - open_shards
        if any(known.shard_of(each.document_id) in changing for each in known.shard(shard_id).documents)
    ]
    for shard_id in stale:
        Journal(output, shard_id, config_id="").mark_replacing()
    return stale

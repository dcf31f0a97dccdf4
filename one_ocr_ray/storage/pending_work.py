"""Work that earlier runs have left on an output: its plan minus what is committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Outcome
from one_ocr_ray.storage.journal import Journal, shards_at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.plan_index import PlanIndex
    from one_ocr_ray.storage.store.objects import Objects


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Shards by id, in planning order."""

    open_shards: Sequence[str]  # not committed, or with files that a crash has left
    failed_shards: Sequence[str] = ()  # committed or started; their failed pages are read again
    stale_copies: Sequence[str] = ()  # of documents in shards that will change

    def __bool__(self) -> bool:
        return bool(self.open_shards or self.failed_shards)


def find_pending_work(plan: PlanIndex, dataset: Dataset, output: Objects, *, retry_failed: bool) -> PendingWork:
    """The planned work that is not done; with `retry_failed` also what failed."""
    committed, at_work = dataset.committed(), shards_at_work(output)
    failed = []
    if retry_failed:
        originals = list(plan.shard_ids(copies=False))
        bad = {
            shard_id
            for shard_id, rows in dataset.counts([each for each in originals if each in committed], ["outcome"])
            if any(row["outcome"] != Outcome.COMPLETE for row in rows)
        }
        failed = [shard_id for shard_id in originals if shard_id in bad or shard_id in at_work]
    retried = set(failed)
    open_shards = [
        shard_id
        for shard_id in plan.shard_ids()
        if shard_id not in retried and (shard_id not in committed or shard_id in at_work)
    ]
    changing = retried | (committed & set(open_shards))
    settled = committed - set(open_shards)
    stale_copies = [
        shard_id
        for shard_id in (plan.shard_ids(copies=True) if changing else ())
        if shard_id in settled
        if any(plan.shard_of(each.document_id) in changing for each in plan.shard(shard_id).documents)
    ]
    for shard_id in stale_copies:  # the next run renews them if this one does not
        Journal(output, shard_id, config_id="").mark_replacing()
    return PendingWork(open_shards, failed, stale_copies)

"""What stands in an output, counted from its files, and whether that is what its plan says. Memory does not grow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from one_ocr_ray.policy.dataset.row_counts import RowCounts, difference
from one_ocr_ray.policy.dataset.summary import COUNTED_COLUMNS, OutputCounts

if TYPE_CHECKING:
    from one_ocr_ray.storage.dataset import Dataset
    from one_ocr_ray.storage.plan_index import PlanIndex

# A folder on NFS may hide for half a minute what another node has written there.
LOOKS_AFTER_S = (0.0, 1.0, 4.0, 10.0, 16.0)


def count_rows(dataset: Dataset, known: PlanIndex) -> OutputCounts:
    """The documents and pages of all planned shards, as their rows in `documents` say."""
    counts = OutputCounts(planned=known.planned())
    for copies in (False, True):
        for shard_id, rows in dataset.counts(known.shard_ids(copies=copies), COUNTED_COLUMNS):
            counts.add(shard_id, rows, copies=copies)
    return counts


def check_row_counts(dataset: Dataset, known: PlanIndex, output: str) -> tuple[OutputCounts, str | None]:
    """The counts of a finished output, and a sentence where rows are missing that the plan has."""
    for pause_s in LOOKS_AFTER_S:
        time.sleep(pause_s)
        counts = count_rows(dataset, known)
        found = RowCounts(sum(counts.documents.values()), dataset.page_rows(known.shard_ids(copies=False)))
        if (fault := difference(counts.planned, found, output)) is None:
            break
    return counts, fault

"""Counts the rows of an output from its files, and compares them with its plan. Memory does not grow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from one_ocr_ray.policy.dataset.row_counts import RowCounts, missing_rows
from one_ocr_ray.policy.dataset.summary import COUNTED_COLUMNS, OutputCounts

if TYPE_CHECKING:
    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.plan_index import PlanIndex

# A folder on NFS may hide for half a minute what another node has written.
PAUSES_S = (0.0, 1.0, 4.0, 10.0, 16.0)


def count_rows(dataset: Dataset, plan: PlanIndex) -> OutputCounts:
    """Count documents and pages of all planned shards by their rows in `documents`."""
    counts = OutputCounts(planned=plan.planned())
    for copies in (False, True):
        for shard_id, rows in dataset.counts(plan.shard_ids(copies=copies), COUNTED_COLUMNS):
            counts.add(shard_id, rows, copies=copies)
    return counts


def check_row_counts(dataset: Dataset, plan: PlanIndex, output: str) -> tuple[OutputCounts, str | None]:
    """Count a finished output, and name in a sentence planned rows that are missing."""
    for pause_s in PAUSES_S:
        time.sleep(pause_s)
        counts = count_rows(dataset, plan)
        found = RowCounts(sum(counts.documents.values()), dataset.page_rows(plan.shard_ids(copies=False)))
        if (fault := missing_rows(counts.planned, found, output)) is None:
            break
    return counts, fault

"""What batches have cost or may cost that no row tells yet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.journal import Journal

if TYPE_CHECKING:
    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.store.objects import Objects


def batch_spending(output: Objects, dataset: Dataset, config_id: str) -> Spending:
    """What uncollected batches may cost, and answers of pages without rows."""
    state, total = BatchState(output), Spending()
    open_usd: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for parcel in state.parcels():
        if parcel.stage.is_reserved and parcel.file is not None:
            total += Spending(unknown_usd=parcel.file.most_usd)
        elif Stage.COLLECTED in parcel.marks:
            for page, usd in state.marked(parcel, Stage.COLLECTED).get("open_usd", {}).items():
                open_usd[parcel.shard_id][page] += usd
    for shard_id, pages in open_usd.items():
        rows = [*Journal(output, shard_id, config_id).read(), *dataset.pages(shard_id)]
        read = {f"{row.document_id} {row.page_number}" for row in rows}
        total += Spending(known_usd=sum(usd for page, usd in pages.items() if page not in read))
    return total

"""What `one-ocr batch status` shows: parcels and pages by state, from the output alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.storage.batches import BatchState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.llm.batch.client import BatchCodec
    from one_ocr_ray.storage.batches import Account
    from one_ocr_ray.storage.store.objects import Objects


def status_of(output: Objects, account: Account, codecs: Mapping[str, BatchCodec]) -> dict[str, Any]:
    """Counts of parcels that are not cleaned, and when the provider deletes the first results."""
    options = EngineOptions(name=account.engine, model=account.model, base_url=account.base_url)
    kept_s = codecs[account.engine].limits(options).result_kept_s
    counts: dict[str, dict[str, int]] = {}
    times = []
    for parcel in BatchState(output).parcels():
        if parcel.stage is Stage.CLEANED:
            continue
        found = counts.setdefault(parcel.stage.value, {"parcels": 0, "pages": 0})
        found["parcels"] += 1
        found["pages"] += parcel.file.pages if parcel.file is not None else 0
        receipt = parcel.tries[-1].receipt if parcel.tries else None
        if parcel.stage in {Stage.LIVE, Stage.ENDED} and receipt is not None:
            times.append(receipt.created_s + kept_s)
        elif parcel.stage is Stage.UNSURE:
            times.append(parcel.tries[-1].asked_s + kept_s)
    deadline = datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds") if times else None
    return {"engine": account.engine, "model": account.model, "parcels": counts, "deadline": deadline}

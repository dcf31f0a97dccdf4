"""What `one-ocr batch status` shows: parcels and pages by state, from the output alone."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from one_ocr_ray.clock import SystemClock
from one_ocr_ray.engines.llm.batch.client import BATCH_CODECS
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.reading.batch.known_parcels import KnownParcels
from one_ocr_ray.storage.batches import BatchState

if TYPE_CHECKING:
    from one_ocr_ray.storage.batches import Account
    from one_ocr_ray.storage.store.objects import Objects


def status_of(output: Objects, account: Account) -> dict[str, Any]:
    """Counts of parcels that are not cleaned, and when the provider deletes the first results."""
    options = EngineOptions(name=account.engine, model=account.model, base_url=account.base_url)
    known = KnownParcels(BatchState(output), BATCH_CODECS[account.engine].limits(options), SystemClock(), creates=False)
    asyncio.run(known.take_in())
    counts = {stage.value: asdict(each) for stage, each in known.counts().items() if stage is not Stage.CLEANED}
    end_s = known.deadline_s
    deadline = None if end_s is None else datetime.fromtimestamp(end_s, UTC).isoformat(timespec="seconds")
    return {"engine": account.engine, "model": account.model, "parcels": counts, "deadline": deadline}

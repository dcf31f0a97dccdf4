"""`KnownParcels`: what is known of all parcels of one output, without asking anybody."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.batch.parcel import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.policy.batch.remote import ParcelLimits
    from one_ocr_ray.storage.batches import BatchState

UPLOADED_AHEAD = 4  # parcels that wait for their batch; more would only fill the provider's store


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How many parcels stand in a stage, with their pages."""

    parcels: int = 0
    pages: int = 0


class KnownParcels:
    """The parcels of an output, tombstones left out."""

    def __init__(self, state: BatchState, limits: ParcelLimits, clock: Clock, *, creates: bool) -> None:
        """With `creates` new batches may be made."""
        self._state = state
        self._limits = limits
        self._clock = clock
        self._creates = creates
        self._is_proved = False
        self._parcels: dict[str, dict[int, Parcel]] = defaultdict(dict)  # by shard

    async def take_in(self, shard_id: str | None = None) -> None:
        """Read what stands of one shard, or of all."""
        found = await asyncio.to_thread(lambda: list(self._state.parcels(shard_id)))
        if shard_id is None:
            self._parcels.clear()
        else:
            self._parcels.pop(shard_id, None)
        for parcel in found:
            if parcel.stage is not Stage.CLEANED or parcel.file is not None:
                self._parcels[parcel.shard_id][parcel.number] = parcel

    def all(self) -> Iterable[Parcel]:
        """All parcels that are not tombstones."""
        return (parcel for shard in self._parcels.values() for parcel in shard.values())

    def in_stage(self, *stages: Stage) -> list[Parcel]:
        """Those in some stages, in order."""
        return sorted((each for each in self.all() if each.stage in stages), key=lambda each: each.name)

    @property
    def lying(self) -> list[Parcel]:
        """Parcels whose pages nobody else may ask for."""
        return [parcel for parcel in self.all() if parcel.stage.holds_pages]

    @property
    def waiting_shards(self) -> set[str]:
        """Shards with such parcels: there is nothing to do for them now but to wait."""
        return {parcel.shard_id for parcel in self.lying}

    @property
    def shards(self) -> set[str]:
        """All shards that have parcels."""
        return {shard_id for shard_id, parcels in self._parcels.items() if parcels}

    @property
    def has_room(self) -> bool:
        """True unless so much is uploaded already that more need not or must not be."""
        stored_bytes = sum(each.file.size_bytes for each in self.all() if each.file and each.stage.is_owed)
        fits = stored_bytes < self._limits.most_stored_bytes
        return fits and len(self.in_stage(Stage.UPLOADED)) < UPLOADED_AHEAD

    def takes(self, shard_id: str) -> bool:
        """True if a worker may read a shard now: it has batches, or room."""
        return not self._creates or self.has_room or shard_id in self.shards

    @property
    def is_proved(self) -> bool:
        """True once pages of this output were answered well."""
        self._is_proved = self._is_proved or self._state.is_proved()
        return self._is_proved

    def prove(self) -> None:
        """Let any number of pages lie in batches: some were answered well."""
        if not self.is_proved:
            self._state.prove()

    def counts(self) -> dict[Stage, BatchCounts]:
        """Parcels and pages by stage."""
        found: dict[Stage, BatchCounts] = {}
        for parcel in self.all():
            before, pages = found.get(parcel.stage, BatchCounts()), parcel.file.pages if parcel.file else 0
            found[parcel.stage] = BatchCounts(before.parcels + 1, before.pages + pages)
        return found

    @property
    def oldest_s(self) -> float:
        """The age of the oldest batch that has not ended."""
        receipts = (parcel.tries[-1].receipt for parcel in self.in_stage(Stage.LIVE))
        ages = (self._now_s() - receipt.created_s for receipt in receipts if receipt is not None)
        return max((0.0, *ages))  # the provider's clock may be ahead of ours

    @property
    def stored_bytes(self) -> int:
        """The size of our files at the provider."""
        return sum(parcel.file.size_bytes for parcel in self.all() if parcel.file and parcel.stage is not Stage.CLEANED)

    @property
    def deadline_s(self) -> float | None:
        """When the first results are deleted by the provider, unless they are fetched. None when none wait."""
        kept_s = self._limits.result_kept_s
        times = [
            parcel.tries[-1].receipt.created_s + kept_s
            for parcel in self.in_stage(Stage.LIVE, Stage.ENDED)
            if parcel.tries[-1].receipt is not None
        ]
        times += [parcel.tries[-1].asked_s + kept_s for parcel in self.in_stage(Stage.UNSURE)]
        return min(times, default=None)

    async def _renew(self, parcel: Parcel) -> Parcel:
        """Read one parcel again."""
        found = await asyncio.to_thread(self._state.parcel, parcel.shard_id, parcel.number)
        self._parcels[parcel.shard_id][parcel.number] = found
        return found

    def _now_s(self) -> float:
        return self._clock.utc().timestamp()

"""Looking for a batch whose creation was never answered. What a list lacks may be there all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import Failure
from one_ocr_ray.policy.batch.flow import LIST_S, LOOK_AGAIN_S
from one_ocr_ray.policy.batch.parcel import NOT_FOUND, Receipt

if TYPE_CHECKING:
    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.policy.batch.remote import RemoteBatch
    from one_ocr_ray.storage.batches import BatchState


@dataclass(slots=True)
class _Search:
    next_s: float
    fenced_s: float | None = None  # since then no batch that comes late could read its file


class Lookup:
    """Looks for batches by our tag, for as long as a list may lag; then takes their file away and looks once more."""

    def __init__(self, state: BatchState, client: BatchClient, clock: Clock) -> None:
        self._state = state
        self._client = client
        self._clock = clock
        self._searches: dict[str, _Search] = {}

    async def look(self, parcel: Parcel, now_s: float) -> Receipt | None:
        """What became of the last intent of `parcel`; None as long as that is not known."""
        search, last = self._searches.setdefault(parcel.name, _Search(now_s)), parcel.tries[-1]
        if now_s < search.next_s:
            return None
        search.next_s = now_s + LOOK_AGAIN_S
        found = await self._find(last.tag)
        if isinstance(found, Failure):
            return None
        if found:
            first, *others = sorted(found, key=lambda batch: batch.created_s or 0.0)
            for each in others:
                if not each.state.is_over:
                    await self._client.cancel(each.batch_id)
            return Receipt(first.batch_id, first.created_s or now_s, "found")
        if search.fenced_s is None and now_s - last.asked_s >= LIST_S and parcel.file is not None:
            if await self._client.delete_file(parcel.file.file_id) is None:
                search.fenced_s = now_s
        elif search.fenced_s is not None and now_s - search.fenced_s >= LIST_S:
            return Receipt(None, now_s, "refused", NOT_FOUND)
        return None

    async def _find(self, tag: str) -> list[RemoteBatch] | Failure:
        """All batches with our `tag`; a Failure if the list broke off before one was seen."""
        found: list[RemoteBatch] = []
        async for batch in self._client.batches():
            if isinstance(batch, Failure):
                return found or batch
            if batch.tag == tag:
                found.append(batch)
        return found

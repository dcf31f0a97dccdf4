"""Looking for a batch whose creation was never answered. What a list lacks may be there all the same."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.batch.flow import LIST_S, LOOK_AGAIN_S, LOST_EVERY_S
from one_ocr_ray.policy.batch.parcel import NOT_FOUND, LostTry, Receipt
from one_ocr_ray.policy.batch.remote import RemoteBatch, RemoteState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.policy.batch.remote import ParcelLimits
    from one_ocr_ray.storage.batches import BatchState

LOOKING = (
    "Nobody knows if a batch of {pages:,} pages was created at {asked:%H:%M} UTC: looking for it in the provider's "
    "list, until 20 minutes after that."
)
GIVEN_UP = (
    "No list has shown the batch of {pages:,} pages that was asked for at {asked:%H:%M} UTC. Its file is deleted, and "
    "its pages are asked for again."
)
LATE = "A batch of {pages:,} pages has come to light after its pages were asked for again: it is cancelled, and {cost}."
UNKNOWN = (
    "The provider does not know batch {batch_id} of this output. Where the key's project or the address has changed, "
    "change it back; where the batch is lost, `one-ocr batch cancel OUTPUT --give-up` lets its pages be asked for "
    "again{later}."
)
BY_ITSELF = "; from {day:%Y-%m-%d %H:%M} UTC on a run does so by itself"


def forgotten(parcel: Parcel, limits: ParcelLimits, now_s: float, *, gives_up: bool) -> RemoteBatch:
    """The end of a batch that the provider does not know. Raises StoppedError while it may live, unless the user
    `gives_up`: its pages would be paid twice.
    """
    batch_id, lost_s = parcel.batch_id or "", parcel.tries[-1].asked_s + limits.lost_after_s
    if gives_up or now_s >= lost_s:
        return RemoteBatch(batch_id, RemoteState.LOST)
    later = BY_ITSELF.format(day=datetime.fromtimestamp(lost_s, UTC)) if lost_s < inf else ""
    raise StoppedError(UNKNOWN.format(batch_id=batch_id, later=later), ErrorCode.AUTH)


@dataclass(slots=True)
class _Search:
    next_s: float
    fenced_s: float | None = None  # since then no batch that comes late could read its file


class Lookup:
    """Looks for batches by our tag, for as long as a list may lag. Then takes their file away and looks once more."""

    def __init__(self, state: BatchState, client: BatchClient, say: Callable[[str], None], *, strict: bool) -> None:
        """`strict`: a batch that is not found is never given up."""
        self._state = state
        self._client = client
        self._say = say
        self._strict = strict
        self._searches: dict[str, _Search] = {}
        self.quarantined: set[str] = set()  # parcels that would be given up, were it not for `strict`

    async def look(self, parcel: Parcel, now_s: float) -> Receipt | None:
        """What became of the last intent of `parcel`. None as long as that is not known."""
        last, pages = parcel.tries[-1], parcel.file.pages if parcel.file is not None else 0
        asked = datetime.fromtimestamp(last.asked_s, UTC)
        search = self._searches.get(parcel.name)
        if search is None:
            search = self._searches[parcel.name] = _Search(now_s, last.fenced_s)
            self._say(LOOKING.format(pages=pages, asked=asked))
        if now_s < search.next_s:
            return None
        search.next_s = now_s + LOOK_AGAIN_S
        found = await self._find(last.tag)
        if isinstance(found, Failure):
            return None
        lost = LostTry(last.tag, last.asked_s, pages, parcel.file.most_usd if parcel.file is not None else 0.0)
        if found:
            return await self._take(found, lost, now_s)
        if search.fenced_s is None and now_s - last.asked_s >= LIST_S and parcel.file is not None:
            if await self._client.delete_file(parcel.file.file_id) is None:
                await asyncio.to_thread(self._state.put_fence, parcel, now_s)
                search.fenced_s = now_s
        elif search.fenced_s is not None and now_s - search.fenced_s >= LIST_S:
            if self._strict:
                self.quarantined.add(parcel.name)
                return None
            await asyncio.to_thread(self._state.put_lost, lost)
            self._say(GIVEN_UP.format(pages=pages, asked=asked))
            return Receipt(None, now_s, "refused", NOT_FOUND)
        return None

    async def _take(self, found: list[RemoteBatch], lost: LostTry, now_s: float) -> Receipt:
        """The oldest batch is ours. Another one of the same request is ended, and counted as dear as it can be."""
        first, *others = sorted(found, key=lambda batch: batch.created_s or 0.0)
        for each in others:
            if not each.state.is_over:
                await self._client.cancel(each.batch_id)
        if others:
            await asyncio.to_thread(self._state.count_lost, lost)
        await asyncio.to_thread(self._state.forget_lost, lost)
        return Receipt(first.batch_id, first.created_s or now_s, "found")

    async def _find(self, tag: str) -> list[RemoteBatch] | Failure:
        """All batches with our `tag`. A Failure if the list broke off before one was seen."""
        found: list[RemoteBatch] = []
        async for batch in self._client.batches():
            if isinstance(batch, Failure):
                return found or batch
            if batch.tag == tag:
                found.append(batch)
        return found


class LostBatches:
    """Ends batches that come to light too late, and counts what they can have cost."""

    def __init__(self, state: BatchState, client: BatchClient, say: Callable[[str], None]) -> None:
        self._state = state
        self._client = client
        self._say = say
        self._next_s = float("-inf")

    async def look(self, now_s: float, but: Collection[str]) -> None:
        """Look for all of them now and then, but for tags that others look for."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOST_EVERY_S
        lost = {each.tag: each for each in await asyncio.to_thread(self._state.lost) if each.tag not in but}
        if not lost:
            return
        async for batch in self._client.batches():
            if isinstance(batch, Failure):
                return
            if batch.tag in lost:
                await self._end(batch.batch_id, lost.pop(batch.tag))
        for each in lost.values():
            if now_s - each.asked_s > self._client.limits.result_kept_s:
                await asyncio.to_thread(self._state.forget_lost, each)

    async def _end(self, batch_id: str, lost: LostTry) -> None:
        batch = await self._client.batch(batch_id)
        if isinstance(batch, Failure):
            return
        if batch.state is not RemoteState.FAILED and await asyncio.to_thread(self._state.count_lost, lost):
            known = f"up to {lost.most_usd:.4f} USD are counted as spent" if lost.most_usd is not None else None
            self._say(LATE.format(pages=lost.pages, cost=known or "what it has cost is unknown"))
        if not batch.state.is_over:
            await self._client.cancel(batch_id)
            self._next_s = float("-inf")  # see it end
            return
        gone = [await self._client.delete_file(file_id) for file_id in batch.outputs]
        if self._client.options.name == "gemini" or not any(gone):  # Gemini's results cannot be deleted
            await asyncio.to_thread(self._state.forget_lost, lost)

"""`BatchedShard`: the batches of one shard while a worker reads it, from fetching to uploading.

A page is read from the start each time, by the same `read_page` as online: what batches have answered is recalled in
order, and where nothing is left to recall, the next request goes into a batch or online. So the retry policy, the judge
and the sums are those of online requests, and nothing of a page's state has to be stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode, PageImage, PageStatus
from one_ocr_ray.policy.batch.parcel import LinePage, Stage
from one_ocr_ray.policy.cost.spending import may_be_billed
from one_ocr_ray.reading.batch.cleaning import clean, clear, sweep_upload
from one_ocr_ray.reading.batch.history import BatchWork, ShardHistory, fetch, read_history
from one_ocr_ray.reading.batch.spool import ParcelSpool
from one_ocr_ray.reading.page.loop import read_page
from one_ocr_ray.reading.page.recalling import cost_usd_of
from one_ocr_ray.reading.route.reader import PageDeferred, PlacesDeferred
from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.scratch import ScratchFolder
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.job import BatchJob, Job
    from one_ocr_ray.model import Answer, DocumentRef, PageRequest, PageResult, Shard
    from one_ocr_ray.policy.batch.parcel import PageKey, Parcel
    from one_ocr_ray.policy.cost.metering import ProviderMetering
    from one_ocr_ray.policy.dataset.plan import RenderSlice
    from one_ocr_ray.reading.batch.history import PageHistory
    from one_ocr_ray.reading.page.loop import ReadContext
    from one_ocr_ray.reading.route.reader import Metering, Reader
    from one_ocr_ray.reading.shard_reader import PageKeys, Rows
    from one_ocr_ray.routing import RouteReason

FEW_PAGES = 20  # so few are not worth another batch
LAST_ROUND = 3


@dataclass(frozen=True, slots=True)
class BatchTools:
    """What all shards of a worker share. `metering` has the price of batches, `reader` is the one that they ask."""

    job: Job
    batch: BatchJob
    client: BatchClient
    metering: ProviderMetering
    reader: Reader
    spool: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the shard that has a file of requests


class BatchedShard:
    """The batches of one reading of a shard. End it with `dispose`."""

    def __init__(self, tools: BatchTools, shard_id: str, *, canary: int = 0) -> None:
        """`canary`: how many pages are asked for online at first, unless none ever are."""
        self.elsewhere: PageKeys = frozenset()
        self.work = BatchWork(tools.reader.called, tools.reader.engine.model)
        self.metering = tools.metering
        self._tools = tools
        self._canary = canary if tools.batch.rest != "batch" else 0
        self._shard_id = shard_id
        self._context: ReadContext | None = None
        self._output = Objects(tools.job.output)
        self._state = BatchState(self._output)
        self._scratch = ScratchFolder("one-ocr-batch-")
        self._parcels: list[Parcel] = []
        self._history = ShardHistory()
        self._is_collected = False
        self._open_pages: set[PageKey] = set()
        self._left = 0  # pages that were in a batch and are to be asked again
        self._spool: ParcelSpool | None = None
        self._has_turn = False

    def dispose(self) -> None:
        """Leave nothing on the local disk."""
        self._give_turn()
        self._scratch.remove()

    async def rows(self, shard: Shard, kept: Rows, context: ReadContext) -> AsyncGenerator[PageResult]:
        """Fetch what has ended, and give the rows that follow from it without an image."""
        tools, state, self._context = self._tools, self._state, context
        self._parcels = await asyncio.to_thread(lambda: list(state.parcels(self._shard_id)))
        for parcel in self._parcels:
            if parcel.stage is Stage.ENDED:
                gone = await fetch(
                    parcel, state, tools.client, self._output, folder=self._scratch.path, clock=context.clock
                )
                self.work.gone_pages += gone
            elif parcel.stage is Stage.ABANDONED:
                await sweep_upload(parcel, state, tools.client, tools.batch.account)
        self._parcels = await asyncio.to_thread(lambda: list(state.parcels(self._shard_id)))
        self._history = await asyncio.to_thread(read_history, self._parcels, state, tools.client)
        self.elsewhere = frozenset(self._history.elsewhere)
        number = max((parcel.number for parcel in self._parcels), default=-1) + 1
        self._spool = ParcelSpool(
            state, tools.client, tools.batch, self._shard_id, number, folder=self._scratch.path, clock=context.clock
        )
        documents = {document.document_id: document for document in shard.documents}
        stopped: StoppedError | None = None
        for key, history in self._history.pages.items():
            if key in kept or key in self.elsewhere or key[0] not in documents:
                continue
            own = replace(context, readers=(self._recalling(key),))
            try:
                row = await read_page(documents[key[0]], history.page.image, own)
            except PageDeferred as deferred:
                self._open_pages.add(key)
                self._left += not isinstance(deferred, PlacesDeferred)
                continue
            except StoppedError as error:
                stopped = stopped or error
                self._open_pages.add(key)
                continue
            # An earlier reader of the route may have an answer that stands before this failure: it is asked again.
            may_have_failed_over = len(self._tools.job.route.names) > 1 and row.status is PageStatus.FAILED
            if may_have_failed_over:
                self._open_pages.add(key)
                self._left += 1
                continue
            attempts = row.attempts + history.page.attempts
            yield replace(row, route_reason=history.page.reason, attempts=attempts)
        self._is_collected = True
        if stopped is not None:
            raise stopped

    def context_of(self, document: DocumentRef, page_number: int, context: ReadContext) -> ReadContext:
        """`context` for one page, whose model recalls its batches."""
        own = self._recalling((document.document_id, page_number))
        readers = tuple(
            own if reader.is_request and reader.judge is own.judge else reader for reader in context.readers
        )
        return replace(context, readers=readers)

    def _recalling(self, key: PageKey) -> Reader:
        return replace(self._tools.reader, batch=PageInBatches(self, key))

    def history_of(self, key: PageKey) -> PageHistory | None:
        """What batches have answered to a page."""
        return self._history.pages.get(key)

    async def turn(self, slices: Sequence[RenderSlice]) -> None:
        """Wait until no other shard of the worker has a file of requests. Those that fill none do not wait."""
        keys = ((item.document.document_id, at) for each in slices for item in each for at in item.pages)
        if any(not self._asks_online(self.history_of(key)) for key in keys):
            await self._tools.spool.acquire()
            self._has_turn = True

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._tools.spool.release()

    def goes_online(self, history: PageHistory | None) -> bool:
        """True if the next request for a page is to be sent online."""
        if history is None and self._canary:
            self._canary -= 1
            return True
        return self._asks_online(history)

    def _asks_online(self, history: PageHistory | None) -> bool:
        batch = self._tools.batch
        if not batch.submits:
            return True
        if history is None or batch.rest == "batch":
            return False
        last = history.answers[-1][1].failure if history.answers else None
        recited = last is not None and last.code is ErrorCode.RECITATION
        return batch.rest == "online" or self._left < FEW_PAGES or history.rounds >= LAST_ROUND or recited

    async def put_into_batch(
        self, key: PageKey, image: PageImage, request: PageRequest, before: tuple[RouteReason | None, int]
    ) -> None:
        """Spool the request for a page."""
        if self._spool is None or self._context is None:
            raise ValueError("rows() comes first")
        tools = self._tools
        options = tools.client.options
        body = await asyncio.to_thread(CODECS[options.name].build_body, options, image, request)
        tokens, most_usd = tools.metering.input_tokens(image, request), tools.metering.most_usd(image, request)
        page = LinePage("", key[0], replace(image, data=b""), *before)
        await self._spool.add(page, body, tokens, most_usd, self._context.ending)

    async def close(self) -> None:
        """Upload what is waiting, and note what is collected. The rows of the shard are safe."""
        if not self._is_collected or self._spool is None or self._context is None:
            return
        if self._context.ending.reason is None:
            await self._spool.close(self._context.ending)
        self._give_turn()
        self.work.uploaded_bytes = self._spool.uploaded_bytes
        for parcel in self._parcels:
            if parcel.stage is Stage.FETCHED:
                lines = self._history.results[parcel.number]
                open_usd = {  # what answers have cost whose pages have no row yet
                    f"{key[0]} {key[1]}": self._cost_usd(answer)
                    for key in self._open_pages
                    for number, answer in self._history.pages[key].answers
                    if number == parcel.number
                }
                values = {"lines": dict(lines), "open_usd": open_usd}
                await asyncio.to_thread(self._state.mark, parcel, Stage.COLLECTED, values)
                self.work.lines += lines
                for answer in self._history.answers_of(parcel):
                    self.work.add(answer, cost_usd_of(answer, self._tools.metering))
            if parcel.stage in {Stage.FETCHED, Stage.COLLECTED}:
                await clean(parcel, self._state, self._tools.client)

    def _cost_usd(self, answer: Answer) -> float:
        cost_usd = self._tools.metering.cost_usd(answer.usage)
        if cost_usd is not None or (answer.failure is not None and not may_be_billed(answer.failure)):
            return cost_usd or 0.0
        image = PageImage(1, self._tools.job.pdf.longest_side_px, self._tools.job.pdf.longest_side_px, b"", "", 0, 0)
        return self._tools.metering.most_usd(image, self._tools.reader.request) or 0.0

    async def forget(self) -> None:
        """Leave nothing of batches, but for a retry's that are not collected. The shard is committed."""
        for parcel in await asyncio.to_thread(lambda: list(self._state.parcels(self._shard_id))):
            if not parcel.stage.is_owed:
                await clear(parcel, self._state, self._tools.client)


class PageInBatches:
    """One page in batches: recalls its answers, spools its next request or goes online."""

    def __init__(self, shard: BatchedShard, key: PageKey) -> None:
        self.metering: Metering = shard.metering
        self._shard = shard
        self._key = key
        self._history = shard.history_of(key)
        answers = self._history.answers if self._history is not None else ()
        self._answers = deque(answer for _, answer in answers)
        self._is_online = False

    def next_answer(self) -> Answer | None:
        """The next answer that batches have given, in the order of asking. None when none is left."""
        return self._answers.popleft() if self._answers else None

    async def submit(self, image: PageImage, request: PageRequest, before: tuple[RouteReason | None, int]) -> None:
        """Spool the request and raise PageDeferred; return if it is to be sent online.

        `before`: why earlier readers of the route have sent the page on, and their attempts.
        """
        if not image.data:
            raise PageDeferred
        self._is_online = self._is_online or self._shard.goes_online(self._history)
        if not self._is_online:
            await self._shard.put_into_batch(self._key, image, request, before)
            raise PageDeferred

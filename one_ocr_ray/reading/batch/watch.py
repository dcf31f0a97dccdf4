"""`BatchWatch`: creates the batches of uploaded parcels and looks at them until they have ended. One per output.

It runs where the lease of the output is held, and no worker is needed for it. It moves parcels by what their stage
asks for; a parcel whose process was killed is found in its stage and goes on.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.batch.flow import CREATE_EVERY_S, FETCH_WITHIN, HOLD_S, UNPROVED_PAGES, poll_after_s
from one_ocr_ray.policy.batch.parcel import TOKEN_LIMIT, Receipt, Stage
from one_ocr_ray.policy.batch.remote import BatchRefusal, RemoteState
from one_ocr_ray.reading.batch.known_parcels import KnownParcels
from one_ocr_ray.reading.batch.lookup import Lookup, LostBatches, forgotten
from one_ocr_ray.reading.batch.room import Room
from one_ocr_ray.reading.limits.budget import SPENT
from one_ocr_ray.storage.batches import batch_tag

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.flow import TokenMeter
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.policy.batch.remote import RemoteBatch
    from one_ocr_ray.reading.limits.budget import BudgetSource
    from one_ocr_ray.storage.batches import Account, BatchState

MANY = 4  # batches; beyond it creations keep a distance
GETS_AT_ONCE = 8
NEW_FILE_S = 60.0  # so long the provider may not know yet what was uploaded
STEP_S = 1.0
LAST_STEP_S = 20.0
REFUSED = "The provider refuses a file of requests as a whole ({code}); nothing of it was run or costs anything."
NOT_CREATED = "A batch could not be created. {message}"
CUT_SHORT = (
    "A batch of {pages:,} pages has ended before all of it was run ({state}); its answers are kept, and the other "
    "pages are asked for again."
)
TAKEN = "Another run has taken this output over."


@dataclass(slots=True)
class _Look:
    """When to look at a batch again."""

    due_s: float
    looks: int = 0


class BatchWatch(KnownParcels):
    """One event loop at a time may use it."""

    def __init__(
        self,
        state: BatchState,
        client: BatchClient,
        account: Account,
        meter: TokenMeter,
        *,
        clock: Clock,
        creates: bool,
        strict: bool = False,
        gives_up: bool = False,
        unproved_pages: int = UNPROVED_PAGES,
        say: Callable[[str], None] = lambda _: None,
        on_create: Callable[[str], None] = lambda _: None,
        on_look: Callable[[BatchWatch], None] = lambda _: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """With `creates` new batches may be made. `strict`: what nobody has seen is never asked for again.

        `gives_up`: what the provider does not know has ended.
        """
        super().__init__(state, client.limits, clock, creates=creates)
        self._client = client
        self._account = account
        self.room = Room(meter, say)
        self._budget: BudgetSource | None = None
        self._is_broke = False  # a batch did not fit into the ceiling beside those that are not collected
        self._say = say
        self._on_create = on_create
        self._on_look = on_look
        self._jitter = jitter
        self._looks: dict[str, _Look] = {}
        self._unproved_pages = unproved_pages
        self._lookup = Lookup(state, client, say, strict=strict)
        self._gives_up = gives_up
        self._lost = LostBatches(state, client, say)
        self._no_create_until_s = float("-inf")
        self._creating: set[str] = set()
        self.answered_pages = 0  # in batches that have ended since this was made

    def draw_on(self, budget: BudgetSource | None) -> None:
        """Take the money for batches from `budget`; None: there is no ceiling."""
        self._budget, self._is_broke = budget, False

    # --- moving on

    async def keep_moving(self) -> None:
        """Do what is due again and again, until cancelled. Raises StoppedError."""
        try:
            while True:
                step = asyncio.create_task(self.step())
                try:
                    await asyncio.shield(step)
                except asyncio.CancelledError:  # a creation that is cut off would have to be looked for
                    await asyncio.wait([step], timeout=LAST_STEP_S)
                    raise
                await self._clock.sleep(STEP_S)
        finally:
            await self._client.close()  # its connections belong to this event loop

    async def step(self) -> None:
        """Do what is due now: look up, look at, create. Raises StoppedError."""
        now_s = self._now_s()
        for parcel in self.in_stage(Stage.UNSURE):
            if parcel.name not in self._creating and (receipt := await self._lookup.look(parcel, now_s)) is not None:
                await self._receive(parcel, receipt)
        live = self.in_stage(Stage.LIVE)
        due = [each for each in live if self._looks.setdefault(each.name, _Look(now_s)).due_s <= now_s]
        for start in range(0, len(due), GETS_AT_ONCE):
            await asyncio.gather(*(self._look_at(parcel) for parcel in due[start : start + GETS_AT_ONCE]))
        while self._creates and (following := self._next_to_create()) is not None:
            await self._create(following)
        await self.end_lost()
        self._on_look(self)

    async def end_lost(self) -> None:
        """End batches that have come to light after their pages were asked for again."""
        looked_for = {parcel.tries[-1].tag for parcel in self.in_stage(Stage.UNSURE)}
        await self._lost.look(self._now_s(), looked_for)

    @property
    def quarantined(self) -> list[Parcel]:
        """Parcels that may have a batch unseen, where there is nothing else to wait for."""
        lying = self.lying
        return lying if all(parcel.name in self._lookup.quarantined for parcel in lying) else []

    async def _look_at(self, parcel: Parcel) -> None:
        """Ask for one batch by its name; nothing else says that it is over."""
        look, batch_id = self._looks[parcel.name], parcel.batch_id or ""
        look.looks += 1
        look.due_s = self._now_s() + poll_after_s(look.looks, self._limits.least_poll_s, self._jitter())
        batch = await self._client.batch(batch_id)
        if isinstance(batch, Failure):
            if batch.http_status == 404:
                return await self._end(parcel, forgotten(parcel, self._limits, self._now_s(), gives_up=self._gives_up))
            if batch.action is Action.STOP:
                raise StoppedError(batch.message, batch.code)
            return None  # a fault of the look, which says nothing about the batch
        if batch.is_accepted:
            self.room.meter.accepted(batch_id)
        return await self._end(parcel, batch) if batch.state.is_over else None

    async def _end(self, parcel: Parcel, batch: RemoteBatch) -> None:
        await asyncio.to_thread(self._state.put_ended, parcel, batch)
        await self._renew(parcel)
        self._looks.pop(parcel.name, None)
        if batch.state in {RemoteState.EXPIRED, RemoteState.CANCELLED} and self._creates and parcel.file is not None:
            self._say(CUT_SHORT.format(pages=parcel.file.pages, state=batch.state.value))
        if batch.state is not RemoteState.FAILED:
            self.answered_pages += parcel.file.pages if parcel.file is not None else 0
            self.room.meter.ended()
            return
        await self._refund(parcel)
        if batch.code == TOKEN_LIMIT:
            for each in self.room.refuse(batch.message, self.in_stage(Stage.UPLOADED), self._now_s()):
                await self._abandon(each)
        elif self._creates:
            raise StoppedError(REFUSED.format(code=batch.shown_code), ErrorCode.PROVIDER_REJECTED)
        else:  # no other file will be refused like it
            self._say(REFUSED.format(code=batch.shown_code))

    @property
    def wanted_shards(self) -> set[str]:
        """Shards whose results are wanted now: files wait for them, or they expire soon."""
        late_s = self._now_s() - self._limits.result_kept_s * FETCH_WITHIN
        is_stuck = (self._is_broke or self.wants_proof) and not self.in_stage(Stage.UNSURE, Stage.LIVE)
        answered = self.in_stage(Stage.ENDED, Stage.FETCHED)
        return {parcel.shard_id for parcel in answered if is_stuck or parcel.tries[-1].asked_s < late_s}

    @property
    def waiting_shards(self) -> set[str]:
        return super().waiting_shards - self.wanted_shards

    @property
    def creates_soon(self) -> bool:
        """True if a batch may be created as soon as creations have their distance."""
        return self._creates and self._next_to_create(ahead_s=CREATE_EVERY_S) is not None

    def _next_to_create(self, ahead_s: float = 0.0) -> Parcel | None:
        """The next parcel whose batch may be created now, or so much later."""
        now_s, live = self._now_s() + ahead_s, self.in_stage(Stage.UNSURE, Stage.LIVE)
        waiting = self.in_stage(Stage.UPLOADED)
        if not waiting or self._is_broke or now_s < self._no_create_until_s or len(live) >= self._limits.live_at_once:
            return None
        parcel, tokens = waiting[0], sum(each.file.tokens for each in live if each.file)
        if self._would_risk_much(parcel):
            return None
        if parcel.file is None or not self.room.meter.may_enqueue(parcel.file.tokens, tokens, len(live), now_s):
            return None
        return parcel

    def _would_risk_much(self, parcel: Parcel) -> bool:
        """True if a wrong setting could spoil too many pages. Nobody has seen an answer to this configuration."""
        risked = self.in_stage(Stage.UNSURE, Stage.LIVE, Stage.ENDED, Stage.FETCHED)
        pages = sum(each.file.pages for each in (parcel, *risked) if each.file is not None)
        return bool(risked) and pages > self._unproved_pages and not self.is_proved

    @property
    def wants_proof(self) -> bool:
        """True if files wait for a first answer, so that some pages go online."""
        return self._creates and any(self._would_risk_much(each) for each in self.in_stage(Stage.UPLOADED)[:1])

    async def _reserve(self, most_usd: float | None) -> bool:
        """Set aside the most that a batch can cost. False while others, once collected, may give some of it back."""
        if self._budget is None:
            return True
        got_usd = 0.0 if most_usd is None else await self._budget.allocate(most_usd)
        if most_usd is not None and got_usd:
            await self._budget.refund(got_usd - most_usd)
            return True
        if not self.in_stage(Stage.UNSURE, Stage.LIVE, Stage.ENDED, Stage.FETCHED):
            raise StoppedError(SPENT.format(most_usd=most_usd or 0.0), ErrorCode.BUDGET)
        self._is_broke = True
        return False

    async def _abandon(self, parcel: Parcel) -> None:
        await asyncio.to_thread(self._state.mark, parcel, Stage.ABANDONED)
        await self._renew(parcel)

    async def _refund(self, parcel: Parcel) -> None:
        """Give back what was set aside for a batch of which nothing was run."""
        if self._budget is not None and parcel.file is not None:
            await self._budget.refund(parcel.file.most_usd or 0.0)
            self._is_broke = False

    async def _create(self, parcel: Parcel) -> None:
        """Create the batch of a parcel: the intent is written before, the receipt after."""
        file = parcel.file
        if file is None:
            return
        if self._now_s() - file.uploaded_s > self._limits.input_kept_s * 5 / 6:
            await self._abandon(parcel)  # it could vanish while it is read
            return
        if not await self._reserve(file.most_usd):
            return
        tag = batch_tag(self._account, parcel)
        if not await asyncio.to_thread(self._state.put_intent, parcel, tag, self._now_s()):
            raise StoppedError(TAKEN)
        parcel = await self._renew(parcel)
        self._creating.add(parcel.name)
        try:
            made = await self._client.create(file.file_id, parcel.tries[-1].tag)
        finally:
            self._creating.discard(parcel.name)
        if not isinstance(made, BatchRefusal):
            self._on_create("answered")
            await self._receive(parcel, Receipt(made.batch_id, made.created_s or self._now_s(), "answered"))
            wait_s = CREATE_EVERY_S if len(self.in_stage(Stage.LIVE)) > MANY else 0.0
            self._no_create_until_s = max(self._no_create_until_s, self._now_s() + wait_s)
        elif made.is_sure:
            self._on_create("refused")
            await self._refund(parcel)
            await self._receive(parcel, Receipt(None, self._now_s(), "refused", made.failure.code.value))
            self._after_refusal(made.failure, self._now_s() - file.uploaded_s)
        else:
            self._on_create("ambiguous")

    def _after_refusal(self, failure: Failure, file_age_s: float) -> None:
        if failure.action is Action.STOP and failure.code is not ErrorCode.MODEL_NOT_FOUND:
            raise StoppedError(NOT_CREATED.format(message=failure.message), failure.code)
        if failure.action in {Action.THROTTLED, Action.RETRY}:
            wait_s = failure.retry_after_s or (60.0 if failure.action is Action.RETRY else HOLD_S)
        elif file_age_s < NEW_FILE_S:
            wait_s = 5.0
        else:
            raise StoppedError(NOT_CREATED.format(message=failure.message), failure.code)
        self._no_create_until_s = self._now_s() + wait_s

    async def _receive(self, parcel: Parcel, receipt: Receipt) -> None:
        if receipt.how == "found":
            self._on_create("found")
        await asyncio.to_thread(self._state.put_receipt, parcel, receipt)
        await self._renew(parcel)

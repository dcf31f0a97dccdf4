"""`RunBatches`: a run's batches between its readings. It says what is due, waits, and tells the user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from one_ocr_ray.clock import SystemClock
from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.job import BatchJob
from one_ocr_ray.model import Action, Failure
from one_ocr_ray.policy.batch.flow import TokenMeter
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.policy.dataset.summary import BatchUse
from one_ocr_ray.reading.batch.cleaning import clear, sweep_upload
from one_ocr_ray.reading.batch.watch import STEP_S, BatchWatch
from one_ocr_ray.storage.batches import BatchState, key_digest
from one_ocr_ray.storage.journal import shards_at_work
from one_ocr_ray.storage.pending_work import PendingWork

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.reading.limits.budget import BudgetSource
    from one_ocr_ray.storage.store.objects import Objects

NO_BATCHES = (
    "--batch: the server at {base_url} has no batches (GET /batches is not answered with a list). "
    "Leave --batch out, or use the provider's own address."
)
LEFT_BY_ONLINE = "Add --batch to collect what lies in batches, or end them with `one-ocr batch cancel OUTPUT`. {lying}"
QUARANTINED = (
    "--batch-strict: nobody knows if a batch was created for {names}. Look for it on the provider's pages; "
    "without --batch-strict the same command asks for its pages again."
)
THERE = (Stage.LIVE, Stage.UNSURE, Stage.ENDED)  # with the provider: running, or with results to be fetched
SAY_EVERY_S = 60.0
LINGER_S = 20.0  # so long others may end, too, before workers are started for those that have ended


@dataclass(frozen=True, slots=True)
class BatchWishes:
    """What the user wants of batches. Without `submits` those of earlier runs are collected, and no more are made."""

    submits: bool
    rest: str = "auto"
    wait_s: float | None = None  # None: as long as it takes
    tokens: int | None = None
    strict: bool = False  # a batch that nobody has seen is never given up


class RunBatches:
    """For one run on an output whose lease is held."""

    def __init__(
        self,
        output: Objects,
        options: EngineOptions,
        wishes: BatchWishes,
        *,
        say: Callable[[str], None],
        on_create: Callable[[str], None] = lambda _: None,
        on_look: Callable[[BatchWatch], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        """`options` have the key of this machine. Raise UsageError when batches lie in another account."""
        self.state = BatchState(output)
        self._output = output
        self._wishes = wishes
        self._say = say
        self._clock = clock or SystemClock()
        self._client = BatchClient(options)
        digest = key_digest(options.base_url, options.api_key)
        self.account = self.state.claim(options.name, options.model, options.base_url, digest)
        self.watch = BatchWatch(
            self.state,
            self._client,
            self.account,
            TokenMeter(wishes.tokens),
            clock=self._clock,
            creates=wishes.submits,
            strict=wishes.strict,
            say=say,
            on_create=on_create,
            on_look=on_look,
        )
        self._give_up_s: float | None = None  # when the wait is over
        self._began_s = 0.0  # the wait
        self._said_s = float("-inf")

    def job(self, left_usd: float | None) -> BatchJob:
        """What workers must know of batches."""
        most_usd = None if left_usd is None else left_usd / 4
        return BatchJob(self.account, self._wishes.submits, self._wishes.rest, self.watch.room.parcel_tokens, most_usd)

    @classmethod
    async def open(
        cls, output: Objects, options: EngineOptions, wishes: BatchWishes, committed: Collection[str], **hooks: Any
    ) -> Self:
        """Find out what stands, and clear away what earlier runs have left. `hooks` are arguments of the constructor.

        Raises UsageError where there are no batches, or those of the output lie in another account.
        """
        if wishes.submits:
            await _check(options)
        batches = cls(output, options, wishes, **hooks)
        try:
            await batches._clear_away(committed)
        finally:
            await batches._client.close()
        return batches

    async def _clear_away(self, committed: Collection[str]) -> None:
        await self.watch.take_in()
        if committed and self._wishes.submits:
            self.watch.prove()
        retried = {parcel.shard_id for parcel in self.watch.all() if parcel.stage.is_owed}
        over = set(committed) - retried - shards_at_work(self._output)
        for parcel in list(self.watch.all()):
            if parcel.stage is Stage.UPLOADED and not self._wishes.submits:
                self.state.mark(parcel, Stage.ABANDONED)
            if parcel.shard_id not in over:
                continue
            if parcel.stage is Stage.ABANDONED:
                await sweep_upload(parcel, self.state, self._client, self.account)
            else:
                await clear(parcel, self.state, self._client)
        await self.watch.take_in()
        await self.watch.end_lost()

    def due(self, pending: PendingWork, committed: Collection[str]) -> PendingWork:
        """The part of `pending` that can be worked on now, and retries with ended batches."""
        watch, owed = self.watch, (parcel.shard_id for parcel in self.watch.all() if parcel.stage.is_owed)
        retried = set(committed).intersection(owed)  # of earlier runs: to be gone on with, however they have ended
        ended = {parcel.shard_id for parcel in watch.in_stage(Stage.ENDED, Stage.FETCHED, Stage.ABANDONED)}
        failed = list(dict.fromkeys([*pending.failed_shards, *sorted(ended.intersection(committed))]))
        waiting = watch.waiting_shards if self._wishes.submits else set()
        return PendingWork(
            [shard for shard in pending.open_shards if shard not in waiting | retried],
            [shard for shard in failed if shard not in waiting],
            pending.stale_copies,
        )

    @property
    def is_waiting(self) -> bool:
        """True if pages lie in batches, or in files that wait for theirs."""
        return bool(self.watch.lying)

    async def wait(
        self,
        ends: Callable[[], AbstractContextManager[None]],
        budget: BudgetSource | None,
        *,
        more_to_render: bool,
        written: int = 0,
    ) -> None:
        """Until there is something for a worker. Raises StoppedError when the user's time is over.

        The block `ends()` is where an interruption ends the wait; `written` pages have their rows.
        """
        self.watch.draw_on(budget)
        now_s = self._clock.monotonic_s()
        if self._give_up_s is None:
            self._began_s = now_s
            self._give_up_s = float("inf") if self._wishes.wait_s is None else now_s + self._wishes.wait_s
        before, due_since_s = self.watch.waiting_shards, None
        with ends():
            try:
                while True:
                    now_s = self._clock.monotonic_s()
                    due = self.watch.wanted_shards | (before - self.watch.waiting_shards)
                    is_worth_a_worker = bool(due) or (more_to_render and self.watch.has_room)
                    if is_worth_a_worker:
                        due_since_s = now_s if due_since_s is None else due_since_s
                        if not self.watch.in_stage(Stage.LIVE) or now_s - due_since_s >= LINGER_S:
                            return
                    elif not self._wishes.submits:
                        raise StoppedError(LEFT_BY_ONLINE.format(lying=self.what_lies))
                    await self.watch.step()
                    if quarantined := self.watch.quarantined:
                        raise StoppedError(QUARANTINED.format(names=", ".join(each.name for each in quarantined)))
                    self._say_where(written)
                    is_over = self._clock.monotonic_s() >= self._give_up_s and not self.watch.creates_soon
                    if due_since_s is None and is_over:
                        raise StoppedError("The time to wait for batches (--batch-wait) is over.")
                    await self._clock.sleep(STEP_S)
            finally:
                await self._client.close()

    def with_deadline(self, stopped: StoppedError) -> StoppedError:
        """`stopped` with a sentence on what lies at the provider, unless it has that."""
        sentence, what_lies = str(stopped), self.what_lies
        return stopped if what_lies in sentence else StoppedError(f"{sentence} {what_lies}", stopped.code)

    def _say_where(self, written: int) -> None:
        """Say now and then where the pages are, and how long it may take."""
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s < SAY_EVERY_S:
            return
        self._said_s, waited_s, counts = now_s, now_s - self._began_s, self.watch.counts()
        places = (
            ("uploaded", (Stage.UPLOADED,)),
            ("looked for", (Stage.UNSURE,)),
            ("with the provider", (Stage.LIVE,)),
            ("answered", (Stage.ENDED, Stage.FETCHED)),
        )
        pages = {name: sum(counts[each].pages for each in stages if each in counts) for name, stages in places}
        by_place = " · ".join(f"{number:,} {name}" for name, number in {**pages, "written": written}.items() if number)
        age = f"; oldest batch {self.watch.oldest_s / 3600:.1f} h" if self.watch.oldest_s else ""
        waiting, answered = sum(pages.values()) - pages["answered"], self.watch.answered_pages
        left = f"ETA {waiting * waited_s / answered / 3600:.1f} h" if answered else "within 24 h"
        self._say(f"pages in batches: {by_place}{age}; {left}")

    @property
    def what_lies(self) -> str:
        """One sentence on what lies at the provider, with the deadline as its end."""
        counts, deadline = self.watch.counts(), self._deadline
        there = [counts[each] for each in THERE if each in counts]
        parcels, pages = sum(each.parcels for each in there), sum(each.pages for each in there)
        waiting = counts[Stage.UPLOADED].parcels if Stage.UPLOADED in counts else 0
        named = "1 uploaded file waits" if waiting == 1 else f"{waiting:,} uploaded files wait"
        files = f"{named} for a batch; " if waiting else ""
        by = f" before {deadline:%Y-%m-%d %H:%M} UTC" if deadline is not None else ""
        batches = f"{parcels:,} batch{'es' * (parcels != 1)} ({pages:,} page{'s' * (pages != 1)})"
        verb = "is" if parcels == 1 else "are"
        batches = f"{batches} {verb} with the provider; " if parcels else ""
        return f"{batches}{files}run the same command again{by}."

    @property
    def _deadline(self) -> datetime | None:
        deadline_s = self.watch.deadline_s
        return datetime.fromtimestamp(deadline_s, UTC) if deadline_s is not None else None

    def use(self) -> BatchUse:
        """The figures of the summary."""
        parcels, live, pages_live, size_bytes = 0, 0, 0, 0
        for parcel in self.state.parcels():
            parcels += 1
            if parcel.stage is Stage.CLEANED:
                size_bytes += self.state.marked(parcel, Stage.CLEANED).get("size_bytes", 0)
            elif parcel.file is not None:
                size_bytes += parcel.file.size_bytes
                if parcel.stage in THERE:
                    live, pages_live = live + 1, pages_live + parcel.file.pages
        deadline = self._deadline if live else None
        by = deadline.isoformat(timespec="seconds") if deadline is not None else None
        return BatchUse(parcels, live, pages_live, size_bytes, by)


async def _check(options: EngineOptions) -> None:
    """Raise UsageError for a server without batches, StoppedError for one that cannot be asked now."""
    client = BatchClient(options)
    try:
        async for entry in client.batches():
            if isinstance(entry, Failure):
                if entry.action is Action.STOP or entry.http_status is None or entry.http_status >= 429:
                    raise StoppedError(entry.message, entry.code)
                raise UsageError(NO_BATCHES.format(base_url=options.base_url))
            break
    finally:
        await client.close()

"""A run with batches without Ray and without PDFs: the real plan, parcels, journal and commit against a real provider.

Whatever a run does outside its memory goes through one place here, so that a test can end it before or after any of it:
each object that is written, and each request to the provider. A run that has ended so does nothing more.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.options import EngineOptions, llm_engine
from one_ocr_ray.job import BatchJob, Job
from one_ocr_ray.model import PageImage, PageRequest
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.batch.flow import TokenMeter
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.plan import ShardPacker
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.batch.shard import BatchedShard, BatchTools
from one_ocr_ray.reading.batch.watch import BatchWatch
from one_ocr_ray.reading.limits.budget import OwnBudget
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.loop import ReadContext
from one_ocr_ray.reading.route.reader import Reader
from one_ocr_ray.reading.shard_reader import ShardObserver, ShardReader, page_slots
from one_ocr_ray.routing import Route
from one_ocr_ray.setup.metering import metering_of
from one_ocr_ray.storage.batches import BatchState, key_digest
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal, shards_at_work
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.spending.batches import batch_spending
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.manual_clock import ManualClock
from tests.provider import DEFAULT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from one_ocr_ray.model import DocumentRef, PageResult, Shard
    from one_ocr_ray.policy.batch.parcel import Stage
    from tests.provider.control import Control

MODEL = "m"
PRICES = {MODEL: Price(1.0, 10.0)}
FINGERPRINT = Fingerprint("openai", MODEL, None, None, 1600, "all")
ASK = PageRequest(prompt="Read.")
TURN_S = 60.0
MOST_TURNS = 4000
OBJECTS = ("/_run/", "/_work/", ".parquet")


class CrashError(BaseException):
    """The end of a run, at once."""


class Death:
    """Ends the run at its operation number `at`, counted from 1, and at every later one; 0 lets it live."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.names: list[str] = []

    def pass_by(self, name: str) -> None:
        """One operation is about to happen, or has just happened."""
        self.names.append(name)
        if self.at and len(self.names) >= self.at:
            raise CrashError

    @contextmanager
    def watching_files(self) -> Iterator[None]:
        """In the block each object that is written or deleted is an operation."""
        originals = {name: getattr(os, name) for name in ("link", "replace", "unlink")}

        def watched(name: str) -> Callable[..., None]:
            def change(*paths: Any, **more: Any) -> None:
                path = str(paths[-1])
                if (folder := more.get("dir_fd")) is not None:  # a whole folder is deleted
                    path = f"{Path(f'/proc/self/fd/{folder}').readlink()}/{path}"
                is_object = any(part in path for part in OBJECTS)
                if is_object and not ("#" in path or "staged-" in path):  # names of what is not whole yet
                    self.pass_by(f"{'delete' if name == 'unlink' else 'write'} {path.rpartition('/')[2]}")
                originals[name](*paths, **more)

            return change

        for name in originals:
            setattr(os, name, watched(name))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(os, name, original)


class MortalClient(BatchClient):
    """The client, whose every request is an operation before it is sent and another when it is answered."""

    def __init__(self, options: EngineOptions, death: Death) -> None:
        super().__init__(options)
        for name in ("upload", "create", "batch", "download", "delete_file", "cancel", "file"):
            setattr(self, name, self._mortal(name, getattr(self, name), death))

    @staticmethod
    def _mortal(name: str, call: Callable[..., Any], death: Death) -> Callable[..., Any]:
        @wraps(call)
        async def mortal(*arguments: Any) -> Any:
            death.pass_by(f"{name} not sent")
            answer = await call(*arguments)
            death.pass_by(f"{name} not noted")
            return answer

        return mortal


@dataclass
class BatchRun:
    """One run on the output at `root`. `route_reason` is that of every page."""

    root: Path
    provider: Control
    documents: Sequence[DocumentRef]
    run_id: str = "run"
    engine: str = "openai"
    submits: bool = True
    rest: str = "auto"
    parcel_tokens: int = 1_000_000
    cap: int | None = None
    max_usd: float | None = None
    death: Death = field(default_factory=Death)
    clock: ManualClock = field(default_factory=ManualClock)
    again: bool = False
    finishes: bool = False  # what a crash has left of committed shards, and retries nothing
    shard_pages: int = 4
    strict: bool = False
    unproved_pages: int = 1000
    canary: int = 0
    said: list[str] = field(default_factory=list)
    rendered: int = 0

    def run(self, *, most_turns: int = MOST_TURNS) -> None:
        """To the end, or for some turns of a minute each of the wait for batches."""
        self.turns = most_turns
        with self.death.watching_files():
            asyncio.run(self._run())

    async def _run(self) -> None:
        base_url = self._base_url()
        options = EngineOptions(name=self._codec, model=MODEL, base_url=base_url)
        with_key = replace(options, api_key=SecretStr(DEFAULT_KEY))
        output = Objects(str(self.root))
        self.dataset = Dataset(output, asdict(FINGERPRINT))
        run_dir = RunDirectory(output)
        run_dir.claim(FINGERPRINT)
        plan = PlanIndex.load(run_dir)
        state = BatchState(output)
        account = state.claim(self._codec, MODEL, base_url, key_digest(base_url, SecretStr(DEFAULT_KEY)))
        client = MortalClient(with_key, self.death)
        engine = llm_engine(options, SecretStr(DEFAULT_KEY))
        job = self._job(BatchJob(account, self.submits, self.rest, self.parcel_tokens, None))
        reader = Reader(engine, NoLimit(), ASK, None, metering_of(options, PRICES, ASK), judge)
        metering = metering_of(replace(options, service_tier="batch"), PRICES, ASK)
        tools = BatchTools(job, account_job(job), client, metering, reader)
        self.watch = watch = BatchWatch(
            state, client, account, TokenMeter(self.cap), clock=self.clock, creates=self.submits,
            strict=self.strict, unproved_pages=self.unproved_pages, say=self.said.append, jitter=lambda: 0.5,
        )  # fmt: skip
        context = ReadContext((reader,), job.identity, clock=self.clock)
        shards = ShardReader(job, page_slots(8), self._render)
        try:
            for _shard in self._planned(plan):
                pass
            todo = list(plan.shard_ids(copies=False))
            await watch.take_in()
            while True:
                committed = self.dataset.committed()
                for shard_id in todo:
                    if shard_id in committed and not self.again and shard_id not in watch.shards:
                        continue
                    await self._visit(plan.shard(shard_id), shards, context, tools, shard_id in committed)
                    await watch.take_in(shard_id)
                self.again = False
                if not watch.lying:
                    return
                self._draw(watch, output)
                todo = await self._wait(watch)
                if not todo:
                    return
        finally:
            await client.close()
            await engine.close()

    @property
    def _codec(self) -> str:
        return "gemini" if self.engine == "gemini" else "openai"

    def _base_url(self) -> str:
        """`engine` is gemini, openai, or one of Azure's two APIs."""
        places = {
            "gemini": self.provider.gemini_url,
            "openai": self.provider.openai_url,
            "azure": f"{self.provider.url}?api-version=2026-01-01",
            "azure v1": f"{self.provider.url}/openai/v1?api-version=preview",
        }
        return places[self.engine]

    def _draw(self, watch: BatchWatch, output: Objects) -> None:
        """Give the watch what is left of the ceiling, as a run does it."""
        if self.max_usd is None:
            return
        shards = self.dataset.committed()
        rows = [row for shard_id in shards for row in self.dataset.pages(shard_id)]
        for shard_id in shards_at_work(output) - shards:
            rows += Journal(output, shard_id, FINGERPRINT.config_id).read()
        lying = batch_spending(output, self.dataset, FINGERPRINT.config_id) + recorded_spending(output, None)
        assert lying.most_usd is not None
        watch.draw_on(OwnBudget(self.max_usd - sum(row.cost_usd or 0.0 for row in rows) - lying.most_usd))

    async def _wait(self, watch: BatchWatch) -> list[str]:
        """The shards whose batches have ended, after some turns of the clocks."""
        before = watch.waiting_shards
        while self.turns > 0:
            await watch.step()
            if due := before - watch.waiting_shards:
                return sorted(due)
            self.turns -= 1
            self.clock.advance(TURN_S)
            await asyncio.to_thread(self.provider.turn_clock, TURN_S)
        return []

    async def _visit(
        self, shard: Shard, shards: ShardReader, context: ReadContext, tools: BatchTools, committed: bool
    ) -> None:
        job = replace(tools.batch, parcel_tokens=min(self.parcel_tokens, self.watch.room.parcel_tokens))
        batches = BatchedShard(replace(tools, batch=job), shard.shard_id, canary=self.canary)
        try:
            retries = committed and not self.finishes
            await shards.read(shard, context, ShardObserver(), retry_failed=retries, batches=batches)
        finally:
            batches.dispose()

    def _planned(self, plan: PlanIndex) -> Iterator[Shard]:
        packer = ShardPacker(
            ALL_PAGES, shard_pages=self.shard_pages, workers=1, next_number=plan.next_number, is_new=plan.mark_seen
        )
        new = [document for document in self.documents if not plan.is_planned(document)]
        for shard in [*(shard for document in new for shard in packer.add(document)), *packer.flush()]:
            plan.plan([shard])
            yield shard

    async def _render(self, slices: Any) -> Any:
        for item in (item for each in slices for item in each):
            for number in item.pages:
                self.rendered += 1
                yield item.document, image_of(item.document, number)

    def _job(self, batch: BatchJob) -> Job:
        return Job(
            output=str(self.root), config=asdict(FINGERPRINT), identity=RunIdentity(self.run_id, FINGERPRINT.config_id),
            selection=ALL_PAGES, pdf=PdfOptions(1600, 5000, 1 << 30, None), request=ASK, engines={}, budget=None,
            pages_at_once=8, render_tasks=1, stop_wait_s=0.0, route=Route((self._codec,)), batch=batch,
        )  # fmt: skip

    def rows(self) -> list[PageResult]:
        """The rows of the output."""
        dataset = Dataset(Objects(str(self.root)), {})
        return [row for shard_id in sorted(dataset.committed()) for row in dataset.pages(shard_id)]

    def stages(self) -> set[Stage]:
        """Where the parcels of the output stand."""
        return {parcel.stage for parcel in BatchState(Objects(str(self.root))).parcels()}


def account_job(job: Job) -> BatchJob:
    assert job.batch is not None
    return job.batch


def image_of(document: DocumentRef, number: int) -> PageImage:
    """An image that differs from page to page, which the provider tells by its digest."""
    data = b"\xff\xd8\xff\xe0" + f"{document.document_id} {number} ".encode() * 4
    return PageImage(number, 1000, 1400, data, f"{document.name}-{number}", 500, 3)

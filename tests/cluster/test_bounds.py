"""What a worker has a bounded number of is whole again after whatever happened: stops, cancels, ends at any moment."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.cluster.rendering import RenderPlace, start_inspection
from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.job import Job
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest, Shard, TokenUsage
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.cost.budget import Budget
from one_ocr_ray.policy.cost.image_tokens import openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.loop import ReadContext
from one_ocr_ray.reading.route.reader import Reader
from one_ocr_ray.reading.shard_reader import ShardObserver, ShardReader
from one_ocr_ray.storage.inputs import stat_input
from tests.provider import identity_pdf
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef, PageImage

OPTIONS = PdfOptions(longest_side_px=160, max_pages=1000, max_file_bytes=1 << 30, password=None)
PRICES = {"odd": Price(1.0, 10.0)}
NO_CREDIT = Answer(failure=Failure(ErrorCode.BILLING, "Pay.", Action.STOP, 429))
PAGES_AT_ONCE, LANE, RENDER_SLOTS = 4, 2, 3
IMAGE_BYTES = 20_000
PAGES = 40


@dataclass
class OddEngine:
    """Answers after a random moment; with `stops` a page finds, now and then, that the account is empty."""

    chance: random.Random
    stops: float = 0.0
    name: str = "openai"
    model: str = "odd"

    async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.001, 0.02)))
        if self.chance.random() < self.stops:
            return NO_CREDIT
        return Answer(text="good", usage=TokenUsage(100, 10), finish_reason="stop")

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass
class Bounds:
    """What the readings of one worker share."""

    folder: Path
    slots: FairSemaphore = field(default_factory=lambda: FairSemaphore(PAGES_AT_ONCE, bytes_at_once=IMAGE_BYTES))
    lane: FairSemaphore = field(default_factory=lambda: FairSemaphore(LANE))
    render_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RENDER_SLOTS))

    def reader(self, name: str) -> ShardReader:
        job = Job(
            output=str(self.folder / name),
            config={},
            identity=RunIdentity(name, "config"),
            selection=ALL_PAGES,
            pdf=OPTIONS,
            request=PageRequest(prompt="Read."),
            engines={},
            budget=None,
            pages_at_once=PAGES_AT_ONCE,
            render_tasks=1,
            stop_wait_s=0.1,
        )
        place = RenderPlace(working_nodes()[0].here, cpus=0.0, slots=self.render_slots)
        render = partial(rendered_pages, options=OPTIONS, tasks=1, place=place)
        return ShardReader(job, self.slots, render, lane=self.lane)

    async def check(self) -> None:
        """Every bound has its full size."""
        assert (self.slots.free, self.lane.free) == (PAGES_AT_ONCE, LANE)
        async with asyncio.timeout(PATIENCE_S):
            await self.slots.take("", IMAGE_BYTES)
            self.slots.give_back("", IMAGE_BYTES)
            for _ in range(RENDER_SLOTS):
                await self.render_slots.acquire()
        assert self.render_slots.locked(), "more than there were"
        for _ in range(RENDER_SLOTS):
            self.render_slots.release()


def context(engine: OddEngine, share: BudgetShare | None = None) -> ReadContext:
    metering = ProviderMetering(openai_image_tokens, "odd", image_detail="high", prices=PRICES, output_cap=100)
    reader = Reader(
        engine=engine,
        permits=NoLimit(),
        request=PageRequest(prompt="Read.", output_tokens_cap=100),
        prompt_sha256=None,
        metering=metering,
        judge=judge,
        budgets=(share or BudgetShare(free_usd=1000.0),),
    )
    return ReadContext((reader,), RunIdentity("run", "config"))


async def opened(folder: Path) -> DocumentRef:
    (folder / "many.pdf").write_bytes(identity_pdf(1, PAGES, lines=1))
    (document,) = await start_inspection([stat_input(str(folder / "many.pdf"))], OPTIONS, cpus=0.0)
    return document


@pytest.mark.usefixtures("ray_cluster")
async def test_a_stopped_task_leaves_its_places_to_the_others(tmp_path: Path) -> None:
    """A page that finds the account empty ends its task; pages that had a place by then had not all begun."""
    bounds, document = Bounds(tmp_path), await opened(tmp_path)
    for number in range(5):
        with pytest.raises(OneOcrError):
            await bounds.reader(f"stopped-{number}").read(
                Shard("000000", (document,)), context(OddEngine(random.Random(number), stops=1.0)), ShardObserver()
            )
        await bounds.check()


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("seed", range(4))
async def test_every_bound_is_whole_after_stops_and_cancels_at_random_moments(tmp_path: Path, seed: int) -> None:
    """Readings side by side: some find the account empty, some are cancelled, some stopped; then one reads it all."""
    chance = random.Random(seed)
    bounds, document = Bounds(tmp_path), await opened(tmp_path)
    shard = Shard("000000", (document,))
    for round_ in range(4):
        readers = [bounds.reader(f"{round_}-{number}") for number in range(4)]
        at_work = [
            asyncio.create_task(
                reader.read(shard, context(OddEngine(chance, stops=chance.choice((0, 0.1)))), ShardObserver())
            )
            for reader in readers
        ]
        for reader, work in zip(readers, at_work, strict=True):
            await asyncio.sleep(chance.random() / 4)
            if chance.random() < 0.5:
                work.cancel()
            else:
                reader.end(chance.choice((0.0, 0.05)))
        await asyncio.gather(*at_work, return_exceptions=True)
        await bounds.check()
    pages = await bounds.reader("whole").read(shard, context(OddEngine(chance)), ShardObserver())
    assert len(pages) == PAGES


class SlowBudget:
    """A budget that is a moment away."""

    def __init__(self, left_usd: float) -> None:
        self._budget = Budget(left_usd)

    async def allocate(self, needed_usd: float) -> float:
        chunk = self._budget.allocate(needed_usd)
        await asyncio.sleep(0.001)
        return chunk

    async def refund(self, usd: float) -> None:
        self._budget.refund(usd)


@pytest.mark.parametrize("seed", range(5))
async def test_no_share_of_the_ceiling_is_lost_with_a_page(seed: int) -> None:
    """Pages that are cancelled while they draw, wait or have reserved: all that was not spent can still be."""
    chance = random.Random(seed)
    share, most_usd = BudgetShare(SlowBudget(1.0)), 0.003

    async def page() -> None:
        await share.reserve(most_usd)
        try:
            await asyncio.sleep(chance.random() / 100)
        finally:
            share.settle(most_usd, 0.0)

    for _ in range(30):
        pages = [asyncio.create_task(page()) for _ in range(30)]
        for each in pages[: chance.randrange(30)]:
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            each.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
    requests = 0
    with suppress(OneOcrError):
        while True:
            await share.reserve(most_usd)
            share.settle(most_usd, most_usd)
            requests += 1
    assert requests == pytest.approx(1.0 / most_usd, abs=1)


@pytest.mark.parametrize("seed", range(5))
async def test_no_turn_is_lost_with_a_task(seed: int) -> None:
    """Tasks that are cancelled before they begin, while they wait, and while they have their turn."""
    chance, turns = random.Random(seed), FairSemaphore(3)

    async def task(owner: str) -> None:
        async with turns.turn(owner):
            await asyncio.sleep(chance.choice((0.0, 0.001)))

    tasks = [asyncio.create_task(task(chance.choice("abc"))) for _ in range(200)]
    for each in chance.sample(tasks, 150):
        if chance.random() < 0.3:
            await asyncio.sleep(0)
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(PATIENCE_S), turns.turn("a"), turns.turn("a"), turns.turn("b"):
        pass

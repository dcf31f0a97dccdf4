"""Runs over one shard without Ray and without PDFs: the real reader of shards around pages that answer by script."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from one_ocr_ray.blocks import Positions
from one_ocr_ray.job import Job
from one_ocr_ray.model import Answer, PageRequest, TokenUsage
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.loop import ReadContext
from one_ocr_ray.reading.route.reader import NoMetering, Reader, accept_as_is
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.reading.shard_reader import ShardReader, page_slots
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.scripted_engine import ScriptedEngine
from tests.unit.wire_samples_reader import page_image

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage, Shard
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.plan import RenderSlice

READ = Answer(text="one two three four", usage=TokenUsage(1000, 100), finish_reason="stop")
COST_USD = (1000 * 1.0 + 100 * 10.0) / 1e6
FINGERPRINT = Fingerprint("openai", "openai", "p" * 64, None, 1600, "all", "none", "local,openai")


class Engine(ScriptedEngine):
    """A scripted engine of that name, which is its model's too."""

    def __init__(self, name: str, answers: Sequence[Answer]) -> None:
        super().__init__(dict.fromkeys((1, 2, 3, 4), answers), model=name)
        self.name = name


class Watch:
    """A `ShardObserver` that adds up what a worker would report."""

    def __init__(self) -> None:
        self.totals = RunTotals()

    def recorded(self, spending: Spending) -> None:
        self.totals.add_spending(spending)

    def safe(self, page: PageResult) -> None:
        self.totals.add_page(page)

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def readers(*, second: Sequence[Answer], prompt_sha256: str = "p" * 64) -> tuple[Reader, Reader]:
    """The embedded engine, which misreads a word, before a model with a price."""
    metering = ProviderMetering(
        lambda *_: 1000, "model", image_detail="high", prices={"model": Price(1.0, 10.0)}, output_cap=1000
    )
    first = Engine("local", [Answer(text="one two 3 four", confidence=0.99)])
    request = PageRequest(prompt="Read.")
    return (
        Reader(first, NoLimit(), request, None, NoMetering(), accept_as_is),
        Reader(Engine("openai", second), NoLimit(), request, prompt_sha256, metering, judge),
    )


async def render(slices: Sequence[RenderSlice]) -> AsyncGenerator[tuple[DocumentRef, RenderedPage]]:
    """A picture for each page; the same number is the same picture."""
    for item in (item for each in slices for item in each):
        for number in item.pages:
            yield item.document, replace(page_image(number=number), sha256=f"{number:064x}")


async def read_shard(
    output: Path,
    route: tuple[Reader, ...],
    shard: Shard,
    run_id: str,
    fingerprint: Fingerprint = FINGERPRINT,
    *,
    pages_at_once: int = 1,
    retry_failed: bool = False,
    **more: Any,
) -> Watch:
    """One run over the shard with those readers; `more` of its `ReadContext`."""
    RunDirectory(Objects(str(output))).claim(fingerprint)
    identity = RunIdentity(run_id, fingerprint.config_id)
    job = Job(
        output=str(output), config=asdict(fingerprint), identity=identity, selection=ALL_PAGES,
        pdf=PdfOptions(longest_side_px=1600, max_pages=10, max_file_bytes=1000, password=None),
        request=PageRequest(positions=Positions.NONE), engines={}, budget=None, pages_at_once=pages_at_once,
        render_tasks=1, stop_wait_s=0.0,
    )  # fmt: skip
    watch = Watch()
    reader = ShardReader(job, page_slots(pages_at_once), render)
    await reader.read(shard, ReadContext(route, identity, **more), watch, retry_failed=retry_failed)
    return watch

"""How many pages one worker can handle when nothing but the framework takes time, and what the driver takes of it.

    python -m benchmarks.workers [--workers 1 2 4] [--pages 10000]

Real workers, journal, dataset and driver; an engine that answers at once, and images of 300 KB that were made before:
they come through Ray as rendered ones do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")  # before Ray is imported

import psutil
import ray

from one_ocr_ray.cluster.batch.ocr_worker import CALLS_AT_ONCE, OcrWorker
from one_ocr_ray.cluster.batch.planner import Planner
from one_ocr_ray.cluster.batch.run_driver import RunDriver
from one_ocr_ray.cluster.metrics import RequestMetrics
from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.cluster.rendering import PAGES_PER_YIELD, Rendered, RenderPlace
from one_ocr_ray.cluster.session import ray_session
from one_ocr_ray.cluster.worker_pool import WorkerPool
from one_ocr_ray.job import Job
from one_ocr_ray.model import Answer, PageImage, PageRequest
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.plan import ShardPacker
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.loop import ReadContext
from one_ocr_ray.reading.route.reader import NoMetering, Reader, accept_as_is
from one_ocr_ray.reading.shard_reader import ShardReader, page_slots
from one_ocr_ray.shutdown import Interruption
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.inputs import find_present_inputs
from one_ocr_ray.storage.pending_work import PendingWork
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests import pdfs
from tests.scripted_engine import ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.policy.dataset.plan import RenderSlice

IMAGE_BYTES = 300_000
PAGES_A_DOCUMENT = 250
IN_FLIGHT = 64
TEXT = "A line of a page as it is read.\n" * 40


def made_before(slice_: RenderSlice, options: PdfOptions) -> Iterator[list[Rendered]]:
    """What `render_slice` yields, without rendering."""
    data = os.urandom(IMAGE_BYTES)
    pages = [
        Rendered(item, PageImage(number, 1131, 1600, data, "", 1000, 0))
        for item, each in enumerate(slice_)
        for number in each.pages
    ]
    for start in range(0, len(pages), PAGES_PER_YIELD):
        yield pages[start : start + PAGES_PER_YIELD]


class InstantWorker(OcrWorker):
    """A worker whose pages are made before, and whose engine answers at once."""

    def __init__(self, job: Job, node: Node) -> None:
        super().__init__(job, 0, (), node)
        place = RenderPlace(node.here, task=ray.remote(made_before), slots=asyncio.Semaphore(job.render_tasks))
        render = partial(rendered_pages, options=job.pdf, tasks=job.render_tasks, place=place)
        self._shards = ShardReader(job, page_slots(job.pages_at_once), render)
        self._make_context = partial(instant_reading, job)


class InstantEngine(ScriptedEngine):
    """Says the same of every page, and remembers none."""

    async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
        return Answer(text=TEXT)


def instant_reading(job: Job) -> ReadContext:
    engine = InstantEngine()
    reader = Reader(
        engine=engine, permits=NoLimit(), request=job.request, prompt_sha256=None,
        metering=NoMetering(), judge=accept_as_is, observers=(RequestMetrics(engine.name, engine.model).observe,),
    )  # fmt: skip
    return ReadContext((reader,), job.identity)


def cpu_s(me: psutil.Process) -> dict[psutil.Process, float]:
    """CPU seconds of this process and of each below it."""
    found = {}
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process] = times.user + times.system
    return found


async def read(folder: Path, output: Path, workers: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds of the driver and of all, for the pages in `folder`."""
    identity, selection = RunIdentity("run", "config"), parse_selection("all")
    options = PdfOptions(longest_side_px=1600, max_pages=5000, max_file_bytes=1 << 30, password=None)
    job = Job(
        output=str(output), config={}, identity=identity, selection=selection, pdf=options, request=PageRequest(),
        engines={}, budget=None,
        pages_at_once=IN_FLIGHT // workers, render_tasks=max(1, (os.cpu_count() or 1) // workers), stop_wait_s=0.0,
    )  # fmt: skip
    node, actor = working_nodes()[0], ray.remote(InstantWorker)
    actors: list[Any] = [
        actor.options(num_cpus=0, max_concurrency=CALLS_AT_ONCE).remote(job, node) for _ in range(workers)
    ]
    await asyncio.gather(*(each.__ray_ready__.remote() for each in actors))
    objects = Objects(str(output))
    known = PlanIndex.load(RunDirectory(objects))
    packer = ShardPacker(selection, shard_pages=500, workers=workers, is_new=known.mark_seen)
    planner = Planner(known, packer, options, objects, inspections=2)
    driver = RunDriver(WorkerPool(actors), planner, known, selection, lambda _: None, interruption=Interruption())
    me = psutil.Process()
    started, before = time.monotonic(), cpu_s(me)
    await driver.run(PendingWork([]), find_present_inputs((str(folder),)))
    took_s, after = time.monotonic() - started, cpu_s(me)
    all_s = sum(after[process] - before.get(process, 0.0) for process in after)
    mine_s = after[me] - before[me]
    for each in actors:
        ray.kill(each)
    return took_s, mine_s, all_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pages", type=int, default=10_000)
    options = parser.parse_args()
    print(f"{options.pages} pages of {IMAGE_BYTES} bytes, {os.cpu_count()} CPUs")
    print(f"{'workers':>8}{'seconds':>9}{'pages/s':>9}{'CPU ms/page':>13}{'driver %':>10}")
    with tempfile.TemporaryDirectory() as scratch, ray_session("local"):
        folder = Path(scratch) / "pdfs"
        folder.mkdir()
        for number in range(options.pages // PAGES_A_DOCUMENT):
            (folder / f"{number:04d}.pdf").write_bytes(pdfs.text_pdf(PAGES_A_DOCUMENT, f"document {number}"))
        for workers in options.workers:
            output = Path(scratch) / f"out-{workers}"
            took_s, driver_s, all_s = asyncio.run(read(folder, output, workers))
            rows = sum(row["pages_ok"] for _, counts in _counts(output) for row in counts)
            if rows != options.pages:
                raise SystemExit(f"{rows} pages instead of {options.pages}")
            print(
                f"{workers:>8}{took_s:>9.2f}{rows / took_s:>9.0f}{1000 * all_s / rows:>13.2f}"
                f"{100 * driver_s / all_s:>10.1f}",
                flush=True,
            )


def _counts(output: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    dataset = Dataset(Objects(str(output)), {})
    return dataset.counts(sorted(dataset.committed()), ["pages_ok"])


if __name__ == "__main__":
    main()

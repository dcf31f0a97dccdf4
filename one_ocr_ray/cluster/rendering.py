"""Ray tasks that touch PDFs: `inspect_files` before planning, `render_slice` for reading.

Each Ray worker process that runs them keeps one long-lived child process, which alone loads pdfium; see `pdf.py`.
A slice's page sequence depends on its arguments only, because Ray tells yields apart by their position.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.model import ErrorCode, Failure, PageUnrendered
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.reading.inspection import Opener, drawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    from ray import ObjectRef, ObjectRefGenerator
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from one_ocr_ray.model import DocumentRef, RenderedPage
    from one_ocr_ray.pdf.reader import PdfOptions
    from one_ocr_ray.policy.dataset.plan import RenderSlice
    from one_ocr_ray.storage.inputs import InputFile

# Rendering is a hundredth of a page's cost, and OCR engines take three quarters of each CPU: a quarter is left for it.
RENDER_CPUS = 0.25
# A yield costs about a millisecond; four pages of 200 KB share it and are still early for a page that waits.
PAGES_PER_YIELD = 4
YIELD_BYTES = 2 << 20
# How many yields may lie ready before the task waits for its reader, and how many bytes of them. At worst, an image of
# noise takes two thirds of a byte for each pixel of a square.
YIELDS_AHEAD = 4
BYTES_AHEAD = 32 << 20


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page of the slice's item with this number. It is an image, or says why there is none."""

    item: int
    page: RenderedPage


@cache
def _opener() -> Opener:
    """The opener of this Ray worker process. Its child process ends with it."""
    return Opener(PdfChild())


def inspect_files(files: list[InputFile], options: PdfOptions) -> list[DocumentRef]:
    """Open each file once: its id, page count, or why it cannot be read."""
    return [_opener().inspect(file, options) for file in files]


def render_slice(slice_: RenderSlice, options: PdfOptions) -> Iterator[list[Rendered]]:
    """The pages of a slice in order, a few at a time. Every page comes once, as an image or as a failure."""
    opener = _opener()
    batch: list[Rendered] = []
    size_bytes = 0
    for number, item in enumerate(slice_):
        failure = opener.open(item.document, options)
        for page_number in item.pages:
            page: RenderedPage
            if failure is not None:
                page = PageUnrendered(page_number, Failure(ErrorCode.RENDER_FAILED, failure.message), render_ms=0)
            else:
                page = drawn(opener.child, page_number, item.document.document_id, options)
            batch.append(Rendered(number, page))
            if not isinstance(page, PageUnrendered):
                layer_bytes = len(page.layer.data) + len(page.layer.ink) if page.layer is not None else 0
                size_bytes += len(page.data) + layer_bytes
            if len(batch) >= PAGES_PER_YIELD or size_bytes >= YIELD_BYTES:
                yield batch
                batch, size_bytes = [], 0
    if batch:
        yield batch


_inspect_task = ray.remote(inspect_files)
_render_task: Any = ray.remote(render_slice)


@dataclass(frozen=True, slots=True)
class RenderPlace:
    """Where a worker's render tasks run, and what they take of a CPU."""

    where: NodeAffinitySchedulingStrategy
    cpus: float = RENDER_CPUS
    task: Any = _render_task  # another has the signature of `render_slice`
    # Held around each task by shards that share them: the next shard renders when the first needs no more.
    slots: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)


def start_inspection(
    files: list[InputFile], options: PdfOptions, *, cpus: float = RENDER_CPUS
) -> ObjectRef[list[DocumentRef]]:
    """Start `inspect_files` as a task. It may run twice: opening a file costs only time."""
    return _inspect_task.options(num_cpus=cpus, name="inspect").remote(files, options)


def start_render(slice_: RenderSlice, options: PdfOptions, place: RenderPlace) -> ObjectRefGenerator:
    """Start `render_slice` as a streaming task at `place`. Ray does not retry it: its yields would mix two attempts."""
    return place.task.options(
        num_cpus=place.cpus,
        name="render",
        max_retries=0,
        scheduling_strategy=place.where,
        _generator_backpressure_num_objects=yields_ahead(options.longest_side_px),
    ).remote(slice_, options)


def yields_ahead(longest_side_px: int) -> int:
    """The number of yields of pages of that size that may lie ready."""
    largest_bytes = max(YIELD_BYTES, longest_side_px**2 * 2 // 3)
    return max(1, min(YIELDS_AHEAD, BYTES_AHEAD // largest_bytes))

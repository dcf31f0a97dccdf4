"""Turns render slices into a stream of page images inside a worker. Several render tasks work at once.

A render task may die with its node. Another one renders the pages that it had not delivered.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.rendering import Rendered, start_render
from one_ocr_ray.model import ErrorCode, Failure, PageUnrendered
from one_ocr_ray.policy.dataset.plan import RenderItem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from one_ocr_ray.cluster.rendering import RenderPlace
    from one_ocr_ray.model import DocumentRef, RenderedPage
    from one_ocr_ray.pdf.reader import PdfOptions
    from one_ocr_ray.policy.dataset.plan import RenderSlice

    PageOfDocument = tuple[DocumentRef, RenderedPage]

# Lost tasks in a row without one new page. Beyond it the fault lies with the page, not with the node.
LOST_TASKS = 3


async def rendered_pages(
    slices: Iterable[RenderSlice], options: PdfOptions, *, tasks: int, place: RenderPlace
) -> AsyncGenerator[PageOfDocument]:
    """Every page of `slices` once, from up to `tasks` render tasks at a time."""
    remaining = iter(slices)
    ready: asyncio.Queue[list[PageOfDocument] | None] = asyncio.Queue(maxsize=tasks)
    pumps = [asyncio.create_task(_pump(remaining, options, place, ready)) for _ in range(tasks)]
    try:
        ended = 0
        while ended < tasks:
            batch = await ready.get()
            if batch is None:
                ended += 1
                continue
            for page in batch:
                yield page
        for pump in pumps:
            await pump  # a fault of a pump is the shard's
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    slices: Iterator[RenderSlice],
    options: PdfOptions,
    place: RenderPlace,
    ready: asyncio.Queue[list[PageOfDocument] | None],
) -> None:
    try:
        async with place.slots:  # to the last slice: a shard that came later renders when this one has no more
            for slice_ in slices:
                async with aclosing(_slice_pages(slice_, options, place)) as batches:
                    async for batch in batches:
                        await ready.put(batch)
    except asyncio.CancelledError:
        raise  # nobody takes from the queue any more, and it may be full
    except BaseException:
        await ready.put(None)
        raise
    await ready.put(None)


async def _slice_pages(
    slice_: RenderSlice, options: PdfOptions, place: RenderPlace
) -> AsyncGenerator[list[PageOfDocument]]:
    lost = 0
    while slice_:
        stream = start_render(slice_, options, place)
        delivered = 0
        try:
            async for ref in stream:
                batch: list[Rendered] = await ref  # a lost task comes as one more reference that raises here
                delivered += len(batch)
                yield [(slice_[each.item].document, each.page) for each in batch]
        except RayError:
            lost = 0 if delivered else lost + 1
        finally:
            ray.cancel(stream)
        slice_ = without_first(slice_, delivered)
        if slice_ and lost >= LOST_TASKS:
            failure = Failure(ErrorCode.RENDER_CRASHED, f"The render task of this page was lost {LOST_TASKS} times.")
            yield [(slice_[0].document, PageUnrendered(slice_[0].pages[0], failure, render_ms=0))]
            slice_ = without_first(slice_, 1)


def without_first(slice_: RenderSlice, delivered: int) -> RenderSlice:
    """What is left of a slice after its first `delivered` pages."""
    rest: list[RenderItem] = []
    for item in slice_:
        skipped = min(delivered, len(item.pages))
        delivered -= skipped
        if skipped < len(item.pages):
            rest.append(RenderItem(item.document, item.pages[skipped:]))
    return tuple(rest)

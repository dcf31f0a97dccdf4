"""The stream of page images between render tasks and the page loop of a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.render_stream import rendered_pages
from one_ocr_ray.cluster.rendering import RenderPlace, start_inspection
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.dataset.plan import SLICE_PAGES, render_slices
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.storage.inputs import stat_input
from tests.provider import identity_pdf
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ray_cluster")

OPTIONS = PdfOptions(longest_side_px=320, max_pages=1000, max_file_bytes=1 << 30, password=None)
RENDER_TASKS = 2


async def test_a_reading_that_is_given_up_ends_all_that_rendered_for_it(tmp_path: Path) -> None:
    """Whoever reads may be ended while nobody takes a page and every queue is full: nothing waits for ever."""
    (tmp_path / "long.pdf").write_bytes(identity_pdf(1, 200, lines=1))
    documents = await start_inspection([stat_input(str(tmp_path / "long.pdf"))], OPTIONS)
    slots = asyncio.Semaphore(RENDER_TASKS)
    place = RenderPlace(working_nodes()[0].here, slots=slots)
    stream = rendered_pages(render_slices(documents, ALL_PAGES), OPTIONS, tasks=RENDER_TASKS, place=place)
    _, first = await anext(stream)
    assert first.page_number in range(1, 200, SLICE_PAGES)  # of whichever task is faster
    await asyncio.sleep(2)  # the render tasks are far ahead by now, as far as they may be
    async with asyncio.timeout(PATIENCE_S):
        await stream.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not slots.locked()

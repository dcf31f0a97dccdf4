"""When finished pages become safe: by time, by number, and at the end of the reading, whatever comes together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.journaling import SEGMENT_ROWS, PageJournal
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.objects import Objects
from tests.values import document, page

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageResult


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Objects(str(tmp_path)), "000000-shard", "config")


async def test_a_full_segment_and_the_end_at_the_same_instant(journal: Journal) -> None:
    """Pages that all finish in one turn of the loop, the last of the shard among them, do not keep the writer alive."""
    safe: list[PageResult] = []
    pages = PageJournal(journal, safe.append)
    writer = asyncio.create_task(pages.keep_writing())
    pages.add(page(document(), 1))
    await asyncio.sleep(0.01)  # the writer waits for more
    for number in range(2, SEGMENT_ROWS + 5):
        pages.add(page(document(), number))
    writer.cancel()
    done, _ = await asyncio.wait([writer], timeout=10)
    await pages.flush()
    assert done
    assert sorted(each.page_number for each in safe) == list(range(1, SEGMENT_ROWS + 5))
    assert len(journal.read()) == len(safe)


async def test_a_lone_page_is_written_without_company(journal: Journal) -> None:
    """A page that no other follows becomes safe by itself."""
    safe = asyncio.Event()
    pages = PageJournal(journal, lambda _: safe.set())
    writer = asyncio.create_task(pages.keep_writing())
    pages.add(page(document(), 1))
    async with asyncio.timeout(30):
        await safe.wait()
    writer.cancel()
    assert [each.page_number for each in journal.read()] == [1]

"""When finished pages become safe: by time, by number, and at the end of the reading, whatever comes together."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import PageResult
from one_ocr_ray.reading.journal_writer import ROWS_AT_RISK, SEGMENT_S, JournalWriter, UnflushedRows
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.store.objects import Objects
from tests.values import document, page
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Objects(str(tmp_path)), "000000-shard", "config")


async def test_a_full_segment_and_the_end_at_the_same_instant(journal: Journal) -> None:
    """Pages that all finish in one turn of the loop, the last of the shard among them, do not keep the writer alive."""
    safe: list[PageResult] = []
    pages = JournalWriter(journal, safe.append, UnflushedRows())
    writer = asyncio.create_task(pages.keep_writing())
    pages.add(page(document(), 1))
    await asyncio.sleep(0.01)  # the writer waits for more
    for number in range(2, ROWS_AT_RISK + 5):
        pages.add(page(document(), number))
    writer.cancel()
    done, _ = await asyncio.wait([writer], timeout=PATIENCE_S)
    await pages.finish()
    assert done
    assert sorted(each.page_number for each in safe) == list(range(1, ROWS_AT_RISK + 5))
    assert len(journal.read()) == len(safe)


async def test_a_lone_page_is_written_without_company(journal: Journal) -> None:
    """A page that no other follows becomes safe by itself."""
    safe = asyncio.Event()
    pages = JournalWriter(journal, lambda _: safe.set(), UnflushedRows())
    writer = asyncio.create_task(pages.keep_writing())
    pages.add(page(document(), 1))
    async with asyncio.timeout(PATIENCE_S):
        await safe.wait()
    writer.cancel()
    assert [each.page_number for each in journal.read()] == [1]


async def test_a_page_becomes_safe_while_every_other_thread_is_busy(journal: Journal) -> None:
    """Shards that are opened and committed take all the threads there are; segments have their own."""
    loop, threads_may_end = asyncio.get_running_loop(), threading.Event()
    busy = [loop.run_in_executor(None, threads_may_end.wait) for _ in range(64)]
    safe = asyncio.Event()
    pages = JournalWriter(journal, lambda _: safe.set(), UnflushedRows())
    writer = asyncio.create_task(pages.keep_writing())
    pages.add(page(document(), 1))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await safe.wait()
    finally:
        threads_may_end.set()
        writer.cancel()
        await asyncio.gather(*busy)
    assert [each.page_number for each in journal.read()] == [1]


async def test_the_last_pages_are_told_however_often_the_end_is_cancelled(journal: Journal) -> None:
    """A shard that fails writes its last pages; the stop that comes on top of it waits until they are told as safe."""
    risk, threads_may_go_on = UnflushedRows(), threading.Event()
    held_up = [risk.threads.submit(threads_may_go_on.wait) for _ in range(64)]
    safe: list[PageResult] = []
    pages = JournalWriter(journal, safe.append, risk)
    pages.add(page(document(), 1))
    end = asyncio.create_task(pages.finish())
    for _ in range(2):
        await asyncio.sleep(0.01)
        end.cancel()
    threads_may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await end
    assert [each.page_number for each in safe] == [1]
    assert [each.page_number for each in journal.read()] == [1]
    assert all(each.done() for each in held_up)


async def test_journals_of_one_worker_share_what_a_crash_may_cost(tmp_path: Path) -> None:
    """Half of the rows in either of two shards are enough for both to be written at once, long before their time."""
    output, risk, safe = Objects(str(tmp_path)), UnflushedRows(), asyncio.Queue[PageResult]()
    journals = [JournalWriter(Journal(output, name, "config"), safe.put_nowait, risk) for name in ("a", "b")]
    writers = [asyncio.create_task(journal.keep_writing()) for journal in journals]
    now, rounds_s = asyncio.get_running_loop().time, []
    for _ in range(5):
        started = now()
        for number in range(ROWS_AT_RISK):
            journals[number % 2].add(page(document(), number + 1))
        for _ in range(ROWS_AT_RISK):
            await safe.get()
        rounds_s.append(now() - started)
    for writer in writers:
        writer.cancel()
    assert min(rounds_s) < SEGMENT_S

"""The early end of a job: pages that wait end at once, requests under way have their time, for they are paid."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from one_ocr_ray.errors import StoppedError, StorageError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.reading.page.loop import read_page
from one_ocr_ray.reading.stopping import Ending
from tests.unit.test_read_page import DOWN, GOOD, Scene
from tests.unit.wire_samples_reader import page_image
from tests.values import document

REASON = StoppedError("Pay.", ErrorCode.BILLING)


def reading(scene: Scene, ending: Ending) -> asyncio.Task:
    """A page that is being read."""
    return asyncio.create_task(read_page(document(1), page_image(), replace(scene.context, ending=ending)))


async def until_asked() -> None:
    """Each turn of the loop takes a page one step further: to the queue, to its permit, to the provider."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_under_way_is_answered() -> None:
    """Its page is read and its row stands."""
    scene, ending = Scene(latency_s=0.1), Ending()
    page = reading(scene, ending)
    await until_asked()
    ending.begin(REASON, 30.0)
    assert (await page).markdown == GOOD.text


async def test_it_is_cut_when_its_time_is_over() -> None:
    """The permit is given back and the cost is unknown; the page ends with the reason of the end."""
    scene, ending = Scene(latency_s=3600.0), Ending()
    page = reading(scene, ending)
    await until_asked()
    ending.begin(REASON, 0.05)
    with pytest.raises(StoppedError, match=r"Pay\.") as stopped:
        await page
    assert stopped.value.code is ErrorCode.BILLING
    assert [answer for _, answer, _ in scene.permits.reports] == [None]
    assert scene.share.settled == [(scene.most_usd, None)]


async def test_nothing_is_sent_again_after_the_end_has_begun() -> None:
    """An answer that asks for another request leaves the page to the next run."""
    scene, ending = Scene([DOWN, GOOD], latency_s=0.05), Ending()
    page = reading(scene, ending)
    await until_asked()
    ending.begin(REASON, 30.0)
    with pytest.raises(StoppedError):
        await page
    assert len(scene.asks) == 1


async def test_a_page_that_waits_for_its_permit_ends_at_once() -> None:
    """It holds nothing: no permit, no money."""
    scene, ending = Scene(), Ending()
    scene.reader.permits.acquire = lambda _tokens: asyncio.sleep(3600)  # type: ignore[method-assign]
    page = reading(scene, ending)
    await until_asked()
    ending.begin(REASON, 30.0)
    with pytest.raises(StoppedError):
        await page
    assert scene.share.settled == [(scene.most_usd, 0.0)]
    assert not scene.asks


async def test_a_page_that_comes_later_is_not_begun() -> None:
    """No money is set aside for it."""
    scene, ending = Scene(), Ending()
    ending.begin(REASON, 30.0)
    with pytest.raises(StoppedError):
        await reading(scene, ending)
    assert not scene.share.reservations


async def test_the_first_reason_stands_and_the_shortest_wait_counts() -> None:
    """A second driver of the output does not wait for the first one's requests."""
    scene, ending = Scene(latency_s=3600.0), Ending()
    page = reading(scene, ending)
    await until_asked()
    ending.begin(REASON, 3600.0)
    ending.begin(StoppedError("Taken over."), 0.0)
    with pytest.raises(StoppedError, match=r"Pay\."):
        await page


async def test_a_cancellation_by_others_stays_one() -> None:
    """Before the end, in it, and in the same instant: who cancels a task must see it cancelled."""
    for begun in (None, 3600.0, 0.0):
        scene, ending = Scene(latency_s=3600.0), Ending()
        page = reading(scene, ending)
        await until_asked()
        if begun is not None:
            ending.begin(REASON, begun)
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page


async def test_a_fault_of_storage_is_no_order_to_end() -> None:
    """Answers could not be kept: it goes on to whoever runs the pages, and they are cancelled."""
    ending = Ending(30.0)
    with pytest.raises(StorageError), ending.begins_here():
        raise StorageError("Full.")
    assert ending.reason is None
    with ending.begins_here():
        raise REASON
    assert ending.reason is REASON

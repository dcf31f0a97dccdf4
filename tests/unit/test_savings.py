"""What pages save that an earlier reader of the route has answered, in numbers and on the page of a task."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import PageRequest, PageStatus
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.policy.tasks.task import TaskRecord, TaskState, TaskView
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.route.reader import NoMetering, Reader, accept_as_is, saved_usd
from one_ocr_ray.service.web.i18n import catalog
from one_ocr_ray.service.web.task_view import readers_line
from tests.scripted_engine import ScriptedEngine
from tests.values import NOON, TIMED_OUT, document, page

ASK = PageRequest(prompt="p" * 400)


def readers(*, price: Price | None) -> tuple[Reader, Reader]:
    """The embedded engine before a model of that price; an image takes 840 tokens."""
    local, model = ScriptedEngine([]), ScriptedEngine([])
    local.name, local.model = "local", "some-model"
    metering = ProviderMetering(
        lambda *_: 840, "own", image_detail="high", prices={"own": price} if price else {}, output_cap=8000
    )
    return (
        Reader(local, NoLimit(), ASK, None, NoMetering(), accept_as_is),
        Reader(model, NoLimit(), ASK, None, metering, judge),
    )


def test_a_page_saves_what_the_last_reader_would_have_cost() -> None:
    """By its prices, the image and the text; what the page has cost all the same is taken off."""
    route = readers(price=Price(1.0, 10.0))
    read = page(document(), 1, image_width=1131, image_height=1600, markdown="word " * 80)
    would_usd = (840 + 100 + 50 + 10 * 100) / 1e6
    assert saved_usd(read, route) == pytest.approx(would_usd)
    assert saved_usd(page(document(), 1, markdown="word " * 80, cost_usd=0.0015), route) == pytest.approx(
        would_usd - 0.0015
    )
    assert saved_usd(page(document(), 1, cost_usd=1.0), route) == 0.0


def test_nothing_is_saved_by_the_last_reader_and_by_pages_without_text() -> None:
    """Nor where nothing on the route costs anything; and what is unknown is not called nothing."""
    route = readers(price=Price(1.0, 10.0))
    last = route[-1].engine
    for row in (
        page(document(), 1, engine=last.name, model=last.model, cost_usd=0.01),
        page(document(), 1, status=PageStatus.BLANK, markdown=""),
        page(document(), 1, failure=TIMED_OUT),
    ):
        assert saved_usd(row, route) == 0.0
    assert saved_usd(page(document(), 1, engine="text-layer"), route[:1]) == 0.0
    assert saved_usd(page(document(), 1, cost_usd=None), route) is None
    assert saved_usd(page(document(), 1), readers(price=None)) is None


def test_the_page_of_a_task_says_who_has_read_it() -> None:
    """In its language; nothing where there was no choice."""
    record = TaskRecord("t_" + "A" * 22, "b_1", "", "a.pdf", 3, "sha256:0", NOON)
    uses = {"openai": ReaderUse(2, 0.25, 0.0, "gpt"), "text-layer": ReaderUse(1000, 0.0, 1.25)}
    view = TaskView(record, TaskState.SUCCESS, rev=1, readers=uses)
    assert readers_line(view, catalog("en")) == "Pages: 1,000 from the text layer, 2 by gpt; $0.2500 instead of $1.50"
    assert "文本层 1,000" in readers_line(view, catalog("zh"))
    assert not readers_line(TaskView(record, TaskState.SUCCESS, rev=1, readers={"local": ReaderUse(3)}), catalog("en"))

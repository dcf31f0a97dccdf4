"""`--retry-failed` of pages that a route of two models has failed: real providers, whose ledgers count; no Ray."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.errors import StorageError
from one_ocr_ray.model import PageRequest, Shard
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.route.reader import Reader
from one_ocr_ray.routing import RouteReason, Verdict
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.manual_clock import ManualClock
from tests.provider import DEFAULT_KEY, Provider, Rule
from tests.shard_runs import FINGERPRINT, Engine, read_shard, readers
from tests.unit.wire_samples_reader import llm_engine
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.model import PageResult

PAGES = 3
SHARD = Shard("000000-a", (document(1, page_count=PAGES),))
USD = {"small": 1.0, "middle": 5.0, "large": 10.0}  # per million tokens
ROUTE = replace(FINGERPRINT, route="local,small,large")
UNSURE = Verdict(accepted=False, reason=RouteReason.LOW_CONFIDENCE)


class Site:
    """A route of the embedded engine, which is never sure, and two models of real providers."""

    def __init__(self, root: Path, models: dict[str, Provider]) -> None:
        self.root = root
        self.models = models
        self.are_priced = True
        self.local = replace(readers(second=[])[0], verdict=lambda _: UNSURE)

    async def read(self, run_id: str, **options: Any) -> list[PageResult]:
        """One run; gives the rows that then stand."""
        route = [self.local]
        for name, provider in self.models.items():
            price = {name: Price(USD[name], USD[name])} if self.are_priced else {}
            metering = ProviderMetering(lambda *_: 1000, name, image_detail="high", prices=price, output_cap=1000)
            engine = llm_engine("openai", model=name, key=DEFAULT_KEY, base_url=provider.openai_url)
            ask = PageRequest(prompt="Read.")
            route.append(Reader(engine, NoLimit(), ask, "p" * 64, metering, judge, name=name))
        try:
            await read_shard(self.root, tuple(route), SHARD, run_id, ROUTE, clock=ManualClock(), **options)
        finally:
            for reader in route[1:]:
                await reader.engine.close()
        return Dataset(Objects(str(self.root)), {}).pages(SHARD.shard_id)

    def asked(self) -> tuple[int, ...]:
        """The requests that each reader has got."""
        assert isinstance(self.local.engine, Engine)
        return len(self.local.engine.asked), *(len(provider.rows()) for provider in self.models.values())

    def billed_usd(self) -> float:
        """What the ledgers say."""
        answered = [(name, row) for name, each in self.models.items() for row in each.rows() if row.answered]
        return sum((row.input_tokens + row.output_tokens) * USD[name] / 1e6 for name, row in answered)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The small model repeats itself without end, and the large one is down."""
    with Provider(rules=(Rule(fault="repetition"),)) as small, Provider(rules=(Rule(fault="server_error"),)) as large:
        yield Site(tmp_path, {"small": small, "large": large})


async def test_a_retry_asks_none_again_whose_answer_a_page_has_gone_on_from(site: Site) -> None:
    """Only the large model is asked; a row counts the requests and the cost of both runs, as the ledgers do."""
    rows = await site.read("run-1")
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("failed", "large", "unusable")] * PAGES
    first = site.asked()
    assert first[1] >= PAGES

    site.models["large"].change(rules=())
    rows = await site.read("run-2", retry_failed=True)
    assert site.asked() == (first[0], first[1], first[2] + PAGES)
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("ok", "large", "unusable")] * PAGES
    assert sum(row.attempts for row in rows) == sum(site.asked()[1:]) + PAGES  # the embedded engine's count, too
    known_usd = recorded_spending(Objects(str(site.root)), None).known_usd
    assert known_usd + sum(row.cost_usd or 0.0 for row in rows) == pytest.approx(site.billed_usd())


async def test_a_retry_that_is_refused_falls_back_on_what_the_route_has_read(site: Site) -> None:
    """As the first run would have: the embedded engine is asked once more, the paid model is not."""
    await site.read("run-1")
    first = site.asked()
    site.models["large"].change(rules=(Rule(fault="refusal"),))
    rows = await site.read("run-2", retry_failed=True)
    assert site.asked() == (first[0] + PAGES, first[1], first[2] + PAGES)
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("ok", "local", "failed_over")] * PAGES


async def test_a_reader_that_was_down_is_asked_by_a_retry(site: Site) -> None:
    """It has answered nothing, and it comes first."""
    site.models["small"].change(rules=(Rule(fault="server_error"),))
    rows = await site.read("run-1")
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("failed", "large", "failed_over")] * PAGES
    site.models["small"].change(rules=())
    rows = await site.read("run-2", retry_failed=True)
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("ok", "small", "low_confidence")] * PAGES


@pytest.fixture
def three(site: Site) -> Iterator[Site]:
    """Another model that is down, between the two."""
    with Provider(rules=(Rule(fault="server_error"),)) as middle:
        yield Site(site.root, {"small": site.models["small"], "middle": middle, "large": site.models["large"]})


@pytest.mark.parametrize(("is_cut_off", "are_priced"), [(False, True), (True, True), (True, False)])
async def test_a_retry_goes_past_a_model_that_has_answered_to_one_that_was_down(
    three: Site, *, is_cut_off: bool, are_priced: bool
) -> None:
    """However often, where the first run could not commit its failed pages, and where nobody knows the prices."""
    three.are_priced = are_priced
    in_the_way = three.root / "pages"
    if is_cut_off:
        with pytest.raises(StorageError):
            await three.read("run-1", observers=(lambda _: in_the_way.touch(),))
        in_the_way.unlink()
    else:
        rows = await three.read("run-1")
        assert {(row.status, row.engine, row.route_reason) for row in rows} == {("failed", "large", "failed_over")}
    first = three.asked()
    for number in (2, 3):
        await three.read(f"run-{number}", retry_failed=True)
        assert three.asked()[:2] == first[:2]
    three.models["middle"].change(rules=())
    down = three.asked()
    rows = await three.read("run-4", retry_failed=True)
    assert three.asked() == (*down[:2], down[2] + PAGES, down[3])
    assert [(row.status, row.engine, row.route_reason) for row in rows] == [("ok", "middle", "unusable")] * PAGES
    if not are_priced:
        assert {row.cost_usd for row in rows} == {None}
        return
    known_usd = recorded_spending(Objects(str(three.root)), None).known_usd
    assert known_usd + sum(row.cost_usd or 0.0 for row in rows) == pytest.approx(three.billed_usd())

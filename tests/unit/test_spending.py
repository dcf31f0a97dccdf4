"""What an output has cost over all its runs: rows, records beside them, and rows that others took the place of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.model import PageRequest, PageStatus, Shard
from one_ocr_ray.policy.cost.image_tokens import openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.cost.spending import Spending, row_key
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.summary import COUNTED_COLUMNS, OutputCounts
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.spending.records import record_spending
from one_ocr_ray.storage.spending.total import WorstCase, spending_of
from one_ocr_ray.storage.store.objects import Objects
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageResult

ASK = PageRequest(prompt="Read.", output_tokens_cap=1000)
DOCUMENT = document(1, page_count=2)
SHARD = Shard("s", (DOCUMENT,))


class Output:
    """One output of one shard, and what it has cost."""

    def __init__(self, folder: Path, prices: dict[str, Price] | None = None) -> None:
        self.objects = Objects(str(folder))
        self.dataset = Dataset(self.objects, {})
        prices = {"m": Price(1.0, 10.0)} if prices is None else prices
        metering = ProviderMetering(openai_image_tokens, "m", image_detail="high", prices=prices, output_cap=1000)
        self.dearest = WorstCase(((metering, ASK),), 1600)

    def journal(self, *pages: PageResult) -> None:
        Journal(self.objects, "s", "config").write(pages)

    def commit(self, run_id: str, *, retry_failed: bool = False) -> None:
        """All that a run does after its last page."""
        work = ShardCommit.open(
            self.objects, self.dataset, SHARD, RunIdentity(run_id, "config"), retry_failed=retry_failed
        )
        work.commit(list(work.kept.values()))

    def spending(self, *open_shards: str) -> Spending:
        counts = OutputCounts()
        for shard_id, rows in self.dataset.counts(["s"], COUNTED_COLUMNS):
            counts.add(shard_id, rows, copies=False)
        return spending_of(
            self.objects, self.dataset, counts, open_shards=open_shards, config_id="config", dearest=self.dearest
        )


def row(number: int, cost_usd: float | None, *, run_id: str = "one", minute: int = 0, **more: Any) -> PageResult:
    """Page `number` as an LLM has read it."""
    tokens = {"input_tokens": None if cost_usd is None else 100, "image_width": 1200, "image_height": 1600}
    finished_at = NOON + timedelta(minutes=minute)
    return page(DOCUMENT, number, cost_usd=cost_usd, run_id=run_id, finished_at=finished_at, **tokens | more)


def test_a_null_row_counts_what_its_requests_can_have_cost(tmp_path: Path) -> None:
    """Before and after the commit; a row that a record tells of counts as that says."""
    output = Output(tmp_path)
    lost = row(2, None, attempts=3)
    output.journal(row(1, 0.01), lost)
    worst_case_usd = output.dearest.row_usd(lost)
    assert worst_case_usd is not None
    assert worst_case_usd > (1 + 2 + 2) * 1000 * 10 / 1e6
    before = output.spending("s")
    output.commit("one")
    assert (
        before
        == output.spending()
        == Spending(known_usd=pytest.approx(0.01), unknown_usd=pytest.approx(worst_case_usd))
    )
    record_spending(output.objects, Spending(known_usd=0.002, unknown_usd=0.03, rows=(row_key(lost),)))
    assert output.spending().known_usd == pytest.approx(0.012)
    assert output.spending().unknown_usd == pytest.approx(0.03)


def test_without_a_price_nothing_is_told(tmp_path: Path) -> None:
    """Null, and no number that looks like one; requests of a time without a price count at the price of now."""
    output = Output(tmp_path, prices={})
    output.journal(row(1, None), row(2, None))
    output.commit("one")
    assert (output.spending().spent_usd, output.spending().most_usd) == (None, None)
    record_spending(output.objects, Spending(requests=2, unknown_usd=None))
    priced = Output(tmp_path)
    assert priced.spending().most_usd == pytest.approx(
        2 * (priced.dearest.request_usd() or 0) + 2 * (priced.dearest.row_usd(row(1, None)) or 0)
    )


@pytest.mark.parametrize(
    ("first_usd", "second_usd", "known_usd"), [(0.01, 0.02, 0.03), (None, 0.02, 0.02), (0.01, None, 0.01)]
)
def test_what_a_failed_row_has_cost_counts_when_it_is_replaced(
    tmp_path: Path, first_usd: float | None, second_usd: float | None, known_usd: float
) -> None:
    """Also where the sum in the new row is unknown: what was known of it is told still."""
    output = Output(tmp_path)
    output.journal(row(1, 0.0), row(2, first_usd, failure=TIMED_OUT))
    output.commit("one")
    output.journal(row(2, second_usd, run_id="two", minute=1))
    output.commit("two", retry_failed=True)
    assert [each.status for each in output.dataset.pages("s")] == [PageStatus.OK] * 2
    assert output.spending().known_usd == pytest.approx(known_usd)


def test_rows_of_two_attempts_are_both_paid(tmp_path: Path) -> None:
    """One stands; of a writer that came too late nothing does, and its money counts all the same."""
    output = Output(tmp_path)
    output.journal(row(1, 0.01), row(2, 0.01))
    output.journal(row(2, 0.02, minute=1))
    late = ShardCommit.open(output.objects, output.dataset, SHARD, RunIdentity("late", "config"))
    output.commit("one")
    assert output.spending().known_usd == pytest.approx(0.04)
    late.commit([replace(each, finished_at=NOON + timedelta(hours=1)) for each in late.kept.values()])
    assert output.spending().known_usd == pytest.approx(0.08)


def test_a_record_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """It says what was paid: the ceiling cannot be kept without it."""
    output = Output(tmp_path)
    output.objects.put("_run/spent/torn.json", b"")
    with pytest.raises(OneOcrError, match=r"_run/spent/torn\.json"):
        output.spending()


def test_what_a_page_has_cost_before_it_went_on_counts_before_and_after_the_commit(tmp_path: Path) -> None:
    """An attempt that was cut off has paid the small model; the one that goes on pays the large one alone."""
    output = Output(tmp_path)
    passed = row(1, 0.02, failure=TIMED_OUT, started_at=NOON)
    Journal(output.objects, "s", "config").write([row(2, 0.01)], [passed])
    assert output.spending("s") == Spending(known_usd=pytest.approx(0.03))
    output.journal(row(1, 0.5, minute=2, started_at=NOON + timedelta(minutes=1)))
    assert output.spending("s") == Spending(known_usd=pytest.approx(0.53))
    output.commit("one")
    assert output.spending() == Spending(known_usd=pytest.approx(0.53))
    assert {page.page_number: page.cost_usd for page in output.dataset.pages("s")} == {1: pytest.approx(0.52), 2: 0.01}

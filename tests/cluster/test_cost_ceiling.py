"""`--max-cost` over all runs of an output, against a provider that answers badly: never passed, and told as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.storage.dataset.verify import verify
from tests.cluster.limiters import end_limiters
from tests.cluster.outputs import read, rows
from tests.provider import ProviderProcess, Rule, write_identity_pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from tests.provider.ledger import Row

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.timeout(600)]

INPUT_USD, OUTPUT_USD = 1.0, 10.0  # per million tokens
CAP = 1000


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    with ProviderProcess(keys=()) as process:
        yield process


class Site:
    """An output, and a provider with a ledger of all that was ever asked for it."""

    def __init__(self, provider: ProviderProcess, folder: Path, pages: int) -> None:
        self.provider = provider
        self.source, self.output = folder / "in", folder / "out"
        self.source.mkdir()
        write_identity_pdfs(self.source, range(1), pages)
        self.model = uuid4().hex
        provider.reset(tokens={"input": 1700, "output": 800})
        self.flags: dict[str, Any] = {
            "engine": "openai",
            "base_url": provider.openai_url,
            "model": self.model,
            "prices": {self.model: {"input_usd": INPUT_USD, "output_usd": OUTPUT_USD}},
            "rpm": 60_000,
            "output_tokens": CAP,
        }

    def run(self, **flags: Any) -> tuple[RunSummary, ErrorCode | None]:
        """One run to its end, whatever that is."""
        told: list[RunSummary] = []
        try:
            return read(self.output, self.source, on_stop=told.append, **self.flags | flags), None
        except StoppedError as stopped:
            return told[-1], stopped.code

    def asked(self) -> list[Row]:
        """Every request for a page so far."""
        return [row for row in self.provider.rows() if row.operation == "read"]


def cost_usd(row: Row) -> float:
    """What the provider may bill: an answer that it has begun, or given up waiting for, in full."""
    if row.status not in {None, 200, 504} and not row.aborted:
        return 0.0
    to_the_cap = row.status == 504 or row.fault == "truncated_empty"
    output_tokens = row.settings["max_completion_tokens"] if to_the_cap else row.output_tokens
    return (row.input_tokens * INPUT_USD + output_tokens * OUTPUT_USD) / 1e6


def known_usd(ledger: list[Row]) -> float:
    """What of that the provider has told."""
    return sum(cost_usd(row) for row in ledger if row.answered and row.fault != "usage_missing")


@pytest.fixture
def site(process: ProviderProcess, tmp_path: Path) -> Iterator[Site]:
    yield Site(process, tmp_path, pages=8)
    end_limiters()


BAD: dict[str, dict[str, float]] = {
    "truncated_empty": {},
    "body_cut": {},
    "stall": {"seconds": 600.0},
    "gateway_timeout": {},
    "reset_after_headers": {},
    "usage_missing": {},
}


def test_runs_against_bad_answers_never_pass_the_ceiling(site: Site) -> None:
    """Truncated, cut, late, given up by a gateway, without usage: each run goes on with what is left of the money."""
    url = site.provider.openai_url
    site.flags["base_url"] = (url, url.replace("127.0.0.1", "localhost"))  # two endpoints, one ledger
    ceiling_usd = 0.25
    faults = list(BAD)
    for number, first in enumerate(faults):
        second = faults[(number + 2) % len(faults)]
        rules = [
            Rule(fault=first, probability=0.4, **BAD[first]),
            Rule(fault=second, probability=0.3, **BAD[second]),
        ]
        if number < 3:  # the account is empty before the run is through: pages end in the middle
            rules.insert(0, Rule(fault="insufficient_quota", after=2))
        site.provider.change(rules=rules, seed=number)
        summary, code = site.run(max_cost=ceiling_usd, retry_failed=number % 3 == 2, timeout=2.5)
        ledger = site.asked()
        assert sum(map(cost_usd, ledger)) <= ceiling_usd, number
        assert summary.counts.cost_usd == pytest.approx(known_usd(ledger)), number
        assert (summary.counts.unknown_usd or 0.0) >= sum(map(cost_usd, ledger)) - known_usd(ledger) - 1e-9
        assert code in {None, ErrorCode.BILLING, ErrorCode.BUDGET}
    site.provider.change(rules=[])
    assert site.run(max_cost=100.0, retry_failed=True)[0].exit_code == 0
    assert list(verify(str(site.output))) == []


def test_what_a_page_has_cost_before_a_stop_counts_in_the_next_run(site: Site) -> None:
    """A page whose answers are cut at their cap stops at the ceiling; the same command again sends nothing more."""
    site.provider.change(rules=[Rule(fault="truncated_empty")])
    ceiling_usd = 0.02  # the first answer costs 0.0117, so less is left than another may cost
    told = [site.run(max_cost=ceiling_usd, max_in_flight=1) for _ in range(3)]
    assert [code for _, code in told] == [ErrorCode.BUDGET] * 3
    assert len(site.asked()) == 1
    assert [summary.as_json()["cost_usd_total"] for summary, _ in told] == [pytest.approx(known_usd(site.asked()))] * 3
    assert [summary.as_json()["cost_usd"] for summary, _ in told] == [pytest.approx(known_usd(site.asked())), 0, 0]
    assert [summary.requests.get("sent", 0) for summary, _ in told] == [1, 0, 0]


def test_an_answer_without_usage_leaves_the_run_resumable(site: Site) -> None:
    """Its cost is null and counts at its dearest; the run goes on under its ceiling, and so does the next one."""
    site.provider.change(rules=[Rule(fault="usage_missing", until=1), Rule(fault="insufficient_quota", after=3)])
    summary, code = site.run(max_cost=1.0, max_in_flight=1)
    assert code is ErrorCode.BILLING
    assert (summary.counts.unknown_usd or 0) > CAP * OUTPUT_USD / 1e6
    site.provider.change(rules=[])
    summary, code = site.run(max_cost=1.0)
    assert (code, summary.exit_code) == (None, 0)
    assert [row["cost_usd"] is None for row in rows(site.output, "pages")].count(True) == 1
    assert summary.counts.cost_usd == pytest.approx(known_usd(site.asked()))


def test_a_ceiling_below_one_request_says_so(site: Site) -> None:
    """Nothing is sent, and the sentence tells what a request may cost."""
    with pytest.raises(StoppedError, match=r"the next request may cost up to 0\.01\d\d USD"):
        read(site.output, site.source, max_cost=0.005, **site.flags)
    assert site.asked() == []

"""Routes of several models: small before large, and one provider for another, against two fake providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.errors import StoppedError
from tests.cluster.outputs import pages_by_source, read
from tests.provider import ProviderProcess, Rule, write_identity_pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from tests.provider import Row


@pytest.fixture
def providers() -> Iterator[tuple[ProviderProcess, ProviderProcess]]:
    """Two accounts of a test's own: a breaker that one test has opened stays open for a while."""
    with ProviderProcess(keys=()) as small, ProviderProcess(keys=()) as large:
        yield small, large


def engines(providers: tuple[ProviderProcess, ProviderProcess], **more: Any) -> dict[str, Any]:
    """`engines` as a configuration file has them."""
    prices = {"small": 1.0, "large": 10.0}
    return {
        name: {
            "engine": "openai",
            "model": f"{name}-model",
            "base_url": provider.openai_url,
            "rpm": 6000,
            "prices": {"input_usd": prices[name], "output_usd": prices[name]},
            **more,
        }
        for name, provider in zip(prices, providers, strict=True)
    }


def tokens_of(row: Row) -> int:
    return row.input_tokens + row.output_tokens


@pytest.mark.usefixtures("ray_cluster")
def test_a_page_goes_from_the_small_model_to_the_large_one(
    providers: tuple[ProviderProcess, ProviderProcess], tmp_path: Path
) -> None:
    """Where its answer cannot be used. Each has its price, the row has both, and one ceiling holds over all."""
    small, large = providers
    small.reset(rules=[Rule(fault="repetition", page="doc-0000 page 2")])
    large.reset()
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", [0], 3)
    flags: dict[str, Any] = {"engine": "local", "engines": engines(providers), "route": "small,large", "max_cost": 1.0}
    summary = read(tmp_path / "out", tmp_path / "in", **flags)
    assert summary.exit_code == 0
    pages = pages_by_source(tmp_path / "out")
    told = {number: (row["engine"], row["model"], row["route_reason"]) for (_, number), row in pages.items()}
    assert told == {
        1: ("small", "small-model", "usable"),
        2: ("large", "large-model", "unusable"),
        3: ("small", "small-model", "usable"),
    }
    assert {row.page for row in large.rows() if row.operation == "read"} == {"doc-0000 page 2"}
    cheap, dear = (pages["doc-0000.pdf", number]["cost_usd"] for number in (1, 2))
    assert dear > 10 * cheap
    assert {name: use.pages for name, use in summary.readers.items()} == {"small": 2, "large": 1}
    used = {name: use.cost_usd or 0.0 for name, use in summary.readers.items()}
    assert used["small"] > 2 * cheap  # its unusable answers, too
    assert used["small"] + used["large"] == pytest.approx(2 * cheap + dear) == pytest.approx(summary.cost_usd)
    assert summary.readers["large"].saved_usd == 0.0


@pytest.mark.usefixtures("ray_cluster")
def test_pages_go_to_the_next_model_while_a_provider_is_dead(
    providers: tuple[ProviderProcess, ProviderProcess], tmp_path: Path
) -> None:
    """The first fails from its sixth request on: no page fails, none is paid by both, and the second reads the rest."""
    small, large = providers
    small.reset(rules=[Rule(fault="server_error", after=5)])
    large.reset()
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", [0, 1], 15)
    flags: dict[str, Any] = {"engine": "local", "engines": engines(providers, max_in_flight=4), "route": "small,large"}
    summary = read(tmp_path / "out", tmp_path / "in", max_in_flight=4, **flags)
    assert (summary.exit_code, summary.counts.pages["ok"]) == (0, 30)
    paid = [[row.page for row in each.rows() if row.operation == "read" and row.answered] for each in providers]
    assert (len(paid[0]), len(paid[1])) == (5, 25)
    assert not {*paid[0]} & {*paid[1]}
    reasons = {row["engine"]: row["route_reason"] for row in pages_by_source(tmp_path / "out").values()}
    assert reasons == {"small": "usable", "large": "failed_over"}


@pytest.mark.usefixtures("ray_cluster")
def test_an_audit_is_paid_under_the_ceiling_and_a_reuse_is_not_paid(
    providers: tuple[ProviderProcess, ProviderProcess], tmp_path: Path
) -> None:
    """The second reader's money is in the sums and under `--max-cost`; another output takes the pages for nothing."""
    small, large = providers
    small.reset()
    large.reset(text_chars=900)  # it reads more, so that the two disagree
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", [0], 12, lines=2)
    flags: dict[str, Any] = {"engine": "local", "engines": engines(providers), "route": "small,large"}

    def billed_usd() -> float:
        return sum(map(tokens_of, small.rows())) / 1e6 + sum(map(tokens_of, large.rows())) * 10 / 1e6

    told: list[RunSummary] = []
    ceiling_usd = 0.25  # a request to the large one may cost 0.1, and costs 0.025; all cost 0.33
    with pytest.raises(StoppedError, match="max-cost"):
        read(tmp_path / "out", tmp_path / "in", audit=1.0, max_cost=ceiling_usd, on_stop=told.append, **flags)
    assert 0 < billed_usd() <= ceiling_usd
    assert told[0].counts.cost_usd == pytest.approx(billed_usd())
    summary = read(tmp_path / "out", tmp_path / "in", audit=1.0, max_cost=100.0, **flags)
    assert [len({row.page for row in each.rows() if row.page}) for each in providers] == [12, 12]
    assert [sum(row.page is not None for row in each.rows()) for each in providers] == [12, 12]
    audit = summary.as_json()["audit"]
    assert audit["readers"]["small"]["pages"] == 12
    assert 0 < audit["low"] < audit["readers"]["small"]["disagreement"] < audit["high"]
    rows_usd = sum(row["cost_usd"] for row in pages_by_source(tmp_path / "out").values())
    assert rows_usd + audit["cost_usd"] == pytest.approx(billed_usd())
    assert summary.as_json()["cost_usd_total"] == pytest.approx(billed_usd())

    before = billed_usd()
    again = read(tmp_path / "again", tmp_path / "in", reuse=str(tmp_path / "out"), **flags)
    assert billed_usd() == before
    taken = pages_by_source(tmp_path / "again").values()
    assert {(row["engine"], row["route_reason"], row["attempts"], row["cost_usd"]) for row in taken} == {
        ("small", "reused", 0, 0.0)
    }
    assert again.as_json()["readers"]["small"]["pages"] == 12

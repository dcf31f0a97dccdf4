"""Routes of several models: small before large, and one provider for another, against two fake providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.outputs import pages_by_source, read
from tests.provider import ProviderProcess, Rule, write_identity_pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[ProviderProcess, ProviderProcess]]:
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
    flags = {"engine": "local", "engines": engines(providers), "route": "small,large", "max_cost": 1.0}
    summary = read(tmp_path / "out", tmp_path / "in", **flags)
    assert summary.exit_code == 0
    pages = pages_by_source(tmp_path / "out")
    told = {number: (row["engine"], row["model"], row["route_reason"]) for (_, number), row in pages.items()}
    assert told == {
        1: ("small", "small-model", None),
        2: ("large", "large-model", "unusable"),
        3: ("small", "small-model", None),
    }
    assert {row.page for row in large.rows() if row.operation == "read"} == {"doc-0000 page 2"}
    cheap, dear = (pages["doc-0000.pdf", number]["cost_usd"] for number in (1, 2))
    assert dear > 10 * cheap
    used = {name: (use.pages, use.cost_usd) for name, use in summary.readers.items()}
    assert used == {"small": (2, pytest.approx(2 * cheap)), "large": (1, dear)}
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
    flags = {"engine": "local", "engines": engines(providers, max_in_flight=4), "route": "small,large"}
    summary = read(tmp_path / "out", tmp_path / "in", max_in_flight=4, **flags)
    assert (summary.exit_code, summary.counts.pages["ok"]) == (0, 30)
    paid = [[row.page for row in each.rows() if row.operation == "read" and row.answered] for each in providers]
    assert (len(paid[0]), len(paid[1])) == (5, 25)
    assert not {*paid[0]} & {*paid[1]}
    reasons = {row["engine"]: row["route_reason"] for row in pages_by_source(tmp_path / "out").values()}
    assert reasons == {"small": None, "large": "failed_over"}

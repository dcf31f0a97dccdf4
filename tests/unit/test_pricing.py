"""Prices: exact names, half price, overrides, and unknown things that stay unknown."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import TokenUsage
from one_ocr_ray.policy.cost.pricing import PRICES, Price, cost_usd, estimate_usd, price_of

USAGE = TokenUsage(input_tokens=1_000_000, output_tokens=100_000, cached_tokens=400_000)


@pytest.mark.parametrize(
    ("model", "tier", "usd"),
    [
        ("gpt-5.6-luna", None, 0.6 * 0.20 + 0.4 * 0.02 + 0.1 * 1.20),
        ("gpt-5.6-luna", "flex", (0.6 * 0.20 + 0.4 * 0.02 + 0.1 * 1.20) / 2),
        ("gpt-5.5-2026-04-23", "default", 0.6 * 5 + 0.4 * 0.5 + 0.1 * 30),
        ("models/gemini-2.5-flash", None, 0.6 * 0.30 + 0.4 * 0.03 + 0.1 * 2.50),
        ("gpt-5.6-luna", "priority", None),
        ("Qwen/Qwen3-VL-8B", None, None),
        ("gpt-5.6-luna-of-somebody", None, None),
        ("", None, None),
    ],
)
def test_cost(model: str, tier: str | None, usd: float | None) -> None:
    """Cached input is cheaper, flex is half, and what is unknown has no cost at all."""
    assert cost_usd(USAGE, model, tier) == pytest.approx(usd)


@pytest.mark.parametrize("usage", [TokenUsage(), TokenUsage(input_tokens=5), TokenUsage(output_tokens=5)])
def test_unknown_tokens_have_no_cost(usage: TokenUsage) -> None:
    """Half an account is not an account."""
    assert cost_usd(usage, "gpt-5.6-luna") is None


def test_overrides_come_first_and_may_leave_out_the_cached_price() -> None:
    """Cached input then costs what any input costs."""
    own = {"gpt-5.6-luna": Price(1.0, 2.0), "my-deployment": Price(3.0, 4.0)}
    assert cost_usd(USAGE, "gpt-5.6-luna", overrides=own) == pytest.approx(1.0 + 0.2)
    assert price_of("my-deployment", own) == Price(3.0, 4.0)


def test_the_estimate_is_the_most_a_request_can_cost() -> None:
    """With the cap as output and nothing cached, no real usage costs more."""
    worst = estimate_usd(1_000_000, 100_000, "gpt-5.6-luna")
    real = cost_usd(USAGE, "gpt-5.6-luna")
    assert worst is not None
    assert real is not None
    assert worst >= real


def test_more_cached_than_input_is_not_a_discount() -> None:
    """A provider's odd count never makes a cost negative."""
    odd = TokenUsage(input_tokens=10, output_tokens=0, cached_tokens=1000)
    assert cost_usd(odd, "gpt-5.6-luna") == pytest.approx(10 * 0.02 / 1e6)


def test_the_table_is_plausible() -> None:
    """Every price is above zero, cached input cheaper than input, and output dearer."""
    for price in PRICES.values():
        assert price.cached_usd is not None
        assert 0 < price.cached_usd < price.input_usd < price.output_usd

"""Prices of models and the cost of requests. The table is dated, and settings can override it.

An unknown price is None, never 0: a budget that cannot be counted must not look as if it were kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.model import TokenUsage


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. `cached_usd` of cached input, None if it costs as much as other input."""

    input_usd: float
    output_usd: float
    cached_usd: float | None = None


# LiteLLM's price map 1.109.1, of 2026-11-24. The package genai-prices 0.2.3 agrees with each price. It is not used:
# its import takes each process 0.4 s and 96 MB, and it prices models whose names only resemble a known one.
PRICES: Mapping[str, Price] = {
    "gpt-4.1": Price(2.00, 8.00, 0.50),
    "gpt-4.1-mini": Price(0.40, 1.60, 0.10),
    "gpt-4.1-nano": Price(0.10, 0.40, 0.025),
    "gpt-4o": Price(2.50, 10.00, 1.25),
    "gpt-4o-mini": Price(0.15, 0.60, 0.075),
    "gpt-5": Price(1.25, 10.00, 0.125),
    "gpt-5-mini": Price(0.25, 2.00, 0.025),
    "gpt-5-nano": Price(0.05, 0.40, 0.005),
    "gpt-5.1": Price(1.25, 10.00, 0.125),
    "gpt-5.2": Price(1.75, 14.00, 0.175),
    "gpt-5.4": Price(2.50, 15.00, 0.25),
    "gpt-5.4-mini": Price(0.75, 4.50, 0.075),
    "gpt-5.4-nano": Price(0.20, 1.25, 0.02),
    "gpt-5.5": Price(5.00, 30.00, 0.50),
    "gpt-5.6": Price(4.00, 20.00, 0.40),
    "gpt-5.6-luna": Price(0.20, 1.20, 0.02),
    "gpt-5.6-terra": Price(2.00, 12.00, 0.20),
    "gpt-5.6-sol": Price(4.00, 20.00, 0.40),
    "gpt-6-luna": Price(0.10, 0.50, 0.01),
    "gpt-6-sol": Price(2.00, 10.00, 0.20),
    "gpt-6-astra": Price(10.00, 50.00, 1.00),
    "gpt-6.1-terra": Price(1.00, 5.00, 0.05),
    "gpt-6.1-sol": Price(2.00, 10.00, 0.10),
    "gemini-2.5-flash-lite": Price(0.10, 0.40, 0.01),
    "gemini-2.5-flash": Price(0.30, 2.50, 0.03),
    "gemini-2.5-pro": Price(1.25, 10.00, 0.125),
    "gemini-3.1-flash-lite": Price(0.25, 1.50, 0.025),
    "gemini-3.1-pro-preview": Price(2.00, 12.00, 0.20),
    "gemini-3.5-flash-lite": Price(0.30, 2.50, 0.03),
    "gemini-3.5-flash": Price(1.50, 9.00, 0.15),
    "gemini-3.6-flash": Price(0.75, 3.75, 0.075),
    "gemini-3.7-flash": Price(0.75, 3.75, 0.075),
    "gemini-3.8-flash": Price(0.75, 3.75, 0.075),
    "gemini-4-argon": Price(2.00, 10.00, 0.10),
    "gemini-flash-latest": Price(0.75, 3.75, 0.075),
    "gemini-flash-lite-latest": Price(0.30, 2.50, 0.03),
}

# Flex and batch cost half at both providers; the prices of other tiers differ by model and are not known here.
_TIER_FACTORS = {None: 1.0, "auto": 1.0, "default": 1.0, "standard": 1.0, "flex": 0.5, "batch": 0.5}
_DATED = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}$")


def price_of(model: str, overrides: Mapping[str, Price] | None = None) -> Price | None:
    """The price of `model` by its exact name or its undated alias (`gpt-5.5` for `gpt-5.5-2026-04-23`)."""
    name = model.removeprefix("models/")
    for prices in (overrides or {}, PRICES):
        for candidate in (name, _DATED.sub("", name)):
            if candidate in prices:
                return prices[candidate]
    return None


def cost_usd(
    usage: TokenUsage, model: str, tier: str | None = None, overrides: Mapping[str, Price] | None = None
) -> float | None:
    """The cost of one request; None if its price or its tokens are unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return estimate_usd(
        usage.input_tokens, usage.output_tokens, model, tier, overrides, cached_tokens=usage.cached_tokens or 0
    )


def estimate_usd(
    input_tokens: int,
    output_tokens: int,
    model: str,
    tier: str | None = None,
    overrides: Mapping[str, Price] | None = None,
    *,
    cached_tokens: int = 0,
) -> float | None:
    """The cost of these tokens. With the output cap as `output_tokens`, the most that one request can cost."""
    price, factor = price_of(model, overrides), _TIER_FACTORS.get(tier)
    if price is None or factor is None:
        return None
    cached = min(cached_tokens, input_tokens)
    cached_usd = price.input_usd if price.cached_usd is None else price.cached_usd
    # https://ai.google.dev/gemini-api/docs/batch-api: batches of 2.5 pay for cached input what others pay.
    cached_factor = 1.0 if tier == "batch" and "gemini-2.5" in model else factor
    total = (input_tokens - cached) * price.input_usd + output_tokens * price.output_usd
    return (factor * total + cached_factor * cached * cached_usd) / 1e6

"""What requests take: tokens before they are sent, money after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.model import Answer, PageImage, PageRequest, TokenUsage
from one_ocr_ray.policy.cost.gpu_hours import GpuMetering, held_s
from one_ocr_ray.policy.cost.image_tokens import gemini_image_tokens, openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price

IMAGE = PageImage(1, 1131, 1600, b"", "", 100, 0)
ASK = PageRequest(prompt="p" * 400, json_schema="s" * 40, output_tokens_cap=2000)


def metering(
    engine: str = "openai", model: str = "own", image_detail: str = "high", tier: str | None = None
) -> ProviderMetering:
    prices = {"own": Price(1.0, 10.0, 0.1)}
    codec = CODECS[engine]
    return ProviderMetering(
        codec.image_tokens,
        model,
        limit_counts_output=codec.LIMIT_COUNTS_OUTPUT,
        image_detail=image_detail,
        tier=tier,
        prices=prices,
        output_cap=ASK.output_tokens_cap,
    )


def test_input_is_image_prompt_and_schema() -> None:
    """By the provider's formula for this model, size and detail, four characters to a token."""
    assert metering().input_tokens(IMAGE, ASK) == openai_image_tokens("own", 1131, 1600, "high") + 110 + 50
    assert (
        metering(image_detail="low").input_tokens(IMAGE, ASK)
        == openai_image_tokens("own", 1131, 1600, "low") + 110 + 50
    )
    gemini = metering("gemini", "gemini-3.8-flash", "medium")
    assert gemini.input_tokens(IMAGE, ASK) == gemini_image_tokens("gemini-3.8-flash", 1131, 1600, "medium") + 110 + 50


def test_limits_count_the_answer_too_but_not_at_gemini() -> None:
    """OpenAI's tokens per minute are of input and output, Gemini's of input alone."""
    openai, gemini = metering(), metering("gemini", "gemini-3.8-flash")
    assert openai.estimate_tokens(IMAGE, ASK) == openai.input_tokens(IMAGE, ASK) + 1000
    assert gemini.estimate_tokens(IMAGE, ASK) == gemini.input_tokens(IMAGE, ASK)


def test_estimates_follow_the_answers_that_came() -> None:
    """After eight short answers the next one is expected short; one of unknown length teaches nothing."""
    meter = metering()
    before = meter.estimate_tokens(IMAGE, ASK)
    meter.learn(IMAGE, ASK, Answer())
    assert meter.estimate_tokens(IMAGE, ASK) == before
    for _ in range(8):
        meter.learn(IMAGE, ASK, Answer(usage=TokenUsage(None, 200)))
    assert meter.estimate_tokens(IMAGE, ASK) == before - 800


def test_inputs_are_scaled_to_what_the_model_really_counts() -> None:
    """A model of one's own counts images its own way; the first answers tell, for images of every size."""
    meter, small = metering(), replace(IMAGE, width_px=300, height_px=400)
    formula, formula_of_small = meter.input_tokens(IMAGE, ASK), meter.input_tokens(small, ASK)
    for used in (3 * formula, 9 * formula, 3 * formula):
        meter.learn(IMAGE, ASK, Answer(usage=TokenUsage(used, 100)))
    assert meter.input_tokens(IMAGE, ASK) == 3 * formula
    assert meter.input_tokens(small, ASK) == 3 * formula_of_small
    assert meter.most_usd(IMAGE, ASK) == pytest.approx((3 * formula * 6 // 5 + 10 * 2000) / 1e6)


def test_what_a_page_would_cost_follows_from_its_image_and_text() -> None:
    """By the formulas at first, then by what the answers took: a model that reasons writes more than it shows."""
    meter = metering()
    tokens = meter.input_tokens(IMAGE, ASK)
    assert meter.likely_usd(1131, 1600, ASK, "word " * 80) == pytest.approx((tokens + 10 * 100) / 1e6)
    assert meter.likely_usd(1131, 1600, ASK, "字" * 100) == pytest.approx((tokens + 10 * 100) / 1e6)
    meter.learn(IMAGE, ASK, Answer(text="word " * 80, usage=TokenUsage(2 * tokens, 300)))
    assert meter.likely_usd(1131, 1600, ASK, "word " * 80) == pytest.approx((2 * tokens + 10 * 300) / 1e6)
    assert meter.likely_usd(1131, 1600, ASK, "word " * 8000) == pytest.approx((2 * tokens + 10 * 2000) / 1e6)


def test_no_request_within_its_estimate_costs_more_than_the_most() -> None:
    """All input dear, the whole cap written, and a fifth of the input on top."""
    meter = metering()
    tokens = meter.input_tokens(IMAGE, ASK)
    most = meter.most_usd(IMAGE, ASK)
    worst = meter.cost_usd(TokenUsage(tokens, ASK.output_tokens_cap))
    assert most is not None
    assert worst is not None
    assert most == pytest.approx((tokens * 6 // 5 + 10 * 2000) / 1e6)
    assert worst < most


def test_money_knows_cache_and_tier() -> None:
    """Cached input at its price; flex at half."""
    assert metering().cost_usd(TokenUsage(1000, 100, 500)) == pytest.approx((500 + 50 + 1000) / 1e6)
    assert metering(tier="flex").cost_usd(TokenUsage(1000, 100)) == pytest.approx((1000 + 1000) / 2e6)


def test_an_unknown_price_is_unknown_not_free() -> None:
    """None before and after the request."""
    meter = metering(model="nobody-knows")
    assert meter.most_usd(IMAGE, ASK) is None
    assert meter.cost_usd(TokenUsage(1, 1)) is None
    assert meter.likely_usd(1131, 1600, ASK, "text") is None


def test_requests_to_own_servers_cost_their_time() -> None:
    """Those that are under way at once share it; tokens are free, and one alone for its whole time is the dearest."""
    own = GpuMetering(openai_image_tokens, "m", image_detail="high", output_cap=9, usd_per_s=0.01, timeout_s=300)
    assert own.likely_usd(9, 9, ASK, "text") is None
    assert own.cost_usd(TokenUsage(10**6, 10**6), held_s(8.0, 3, 5)) == pytest.approx(0.02)
    assert own.cost_usd(TokenUsage(), held_s(4.0, 0, 0)) == pytest.approx(0.04)  # given up, and alone
    assert own.cost_usd(TokenUsage(1, 1)) is None
    assert own.likely_usd(9, 9, ASK, "text") == pytest.approx(0.03)
    assert own.most_usd(IMAGE, ASK) == pytest.approx(3.0)
    assert own.worst_case_usd(9, 9, ASK, 2) == pytest.approx(6.0)

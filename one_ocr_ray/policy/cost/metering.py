"""Estimates tokens and cost of requests to a provider, and learns from answers. One per worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageImage
from one_ocr_ray.policy.cost.pricing import Price, cost_usd, estimate_usd
from one_ocr_ray.policy.cost.token_estimates import CHARS_PER_TOKEN, OutputEstimate, TokenScale, text_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.model import Answer, PageRequest, TokenUsage

# Tokens of one image, by model, width and height in pixels, and image detail.
ImageTokens = Callable[[str, int, int, str], int]
OTHER_INPUT_TOKENS = 50  # roles, separators


class ProviderMetering:
    """Tokens and money of one model: estimates by a formula, costs by reported usage."""

    def __init__(
        self,
        image_tokens: ImageTokens,
        model: str,
        *,
        limit_counts_output: bool = True,
        image_detail: str,
        tier: str | None = None,
        prices: Mapping[str, Price] | None = None,
        output_cap: int,
    ) -> None:
        """image_tokens: the provider's formula. limit_counts_output: the account's token limit counts answers too.
        prices: the user's, before the table's.
        """
        self._image_tokens = image_tokens
        self._limit_counts_output = limit_counts_output
        self._model = model
        self._image_detail = image_detail
        self._tier = tier
        self._prices = prices
        self._output = OutputEstimate(output_cap)
        self._input = TokenScale()
        self._text = TokenScale()  # of the tokens of an answer to those of its text
        self._output_cap = output_cap

    def input_tokens(self, image: PageImage, request: PageRequest) -> int:
        """Estimate the input tokens: the formula, corrected by earlier answers."""
        return round(self._formula_tokens(image, request) * self._input.factor)

    def learn(self, image: PageImage, request: PageRequest, answer: Answer) -> None:
        """Learn from the usage that an answer reports."""
        usage = answer.usage
        if usage.output_tokens is not None:
            self._output.observe(usage.output_tokens)
            if answer.failure is None and answer.text:
                self._text.observe(text_tokens(answer.text), usage.output_tokens)
        if usage.input_tokens:
            self._input.observe(self._formula_tokens(image, request), usage.input_tokens)

    def estimate_tokens(self, image: PageImage, request: PageRequest) -> int:
        """About what the account's limit will count."""
        tokens = self.input_tokens(image, request)
        return tokens + self._output.tokens if self._limit_counts_output else tokens

    def most_usd(self, image: PageImage, request: PageRequest) -> float | None:
        """The most that the request can cost; None if the model's price is unknown."""
        # The formulas are estimates: a fifth on top covers their error.
        tokens = self.input_tokens(image, request) * 6 // 5
        return estimate_usd(tokens, request.output_tokens_cap, self._model, self._tier, self._prices)

    def likely_usd(self, width_px: int, height_px: int, request: PageRequest, text: str) -> float | None:
        """About what a request that is answered with `text` costs. None if the model's price is unknown."""
        image = PageImage(1, width_px, height_px, b"", "", 0, 0)
        output_tokens = min(round(text_tokens(text) * self._text.factor), self._output_cap)
        return estimate_usd(self.input_tokens(image, request), output_tokens, self._model, self._tier, self._prices)

    def worst_case_usd(self, width_px: int, height_px: int, request: PageRequest, requests: int) -> float | None:
        """The most that `requests` requests for one page can cost. All but the first have a doubled output cap."""
        image = PageImage(1, width_px, height_px, b"", "", 0, 0)
        first_usd = self.most_usd(image, request)
        later_usd = self.most_usd(image, replace(request, output_tokens_cap=2 * request.output_tokens_cap))
        if first_usd is None or later_usd is None:
            return None
        return first_usd + (requests - 1) * later_usd if requests else 0.0

    def cost_usd(self, usage: TokenUsage, held_s: float | None = None) -> float | None:
        """The cost of a request of `usage`; None if it is unknown. `held_s`: see `gpu_hours`."""
        return cost_usd(usage, self._model, self._tier, self._prices)

    def _formula_tokens(self, image: PageImage, request: PageRequest) -> int:
        picture = self._image_tokens(self._model, image.width_px, image.height_px, self._image_detail)
        text = len(request.prompt) + len(request.json_schema or "")
        return picture + text // CHARS_PER_TOKEN + OTHER_INPUT_TOKENS  # prompts are mostly Latin


def total_tokens(usage: TokenUsage) -> int | None:
    """Input and output tokens; None if one of them is unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def input_tokens(usage: TokenUsage) -> int | None:
    """Tokens in alone: https://ai.google.dev/gemini-api/docs/rate-limits counts those in its TPM."""
    return usage.input_tokens

"""The estimate of an answer's tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.cost.token_estimates import OutputEstimate


def test_it_starts_at_a_thousand_under_its_cap() -> None:
    """Until answers have come, a page has a thousand tokens."""
    assert OutputEstimate(8192).tokens == 1000
    assert OutputEstimate(500).tokens == 500


def test_it_follows_the_upper_quartile_of_the_last_answers() -> None:
    """Most pages fit, one huge one does not set the measure, and the past is forgotten."""
    estimate = OutputEstimate(8192)
    for tokens in (100, 200, 300, 400, 500, 600, 700, 8000):
        estimate.observe(tokens)
    assert estimate.tokens == 700
    for _ in range(100):
        estimate.observe(50)
    assert estimate.tokens == 50


@given(st.lists(st.integers(0, 100_000)), st.integers(1, 10_000))
def test_it_never_passes_the_cap(answers: list[int], cap_tokens: int) -> None:
    """An answer cannot be longer than what is asked for."""
    estimate = OutputEstimate(cap_tokens)
    for tokens in answers:
        estimate.observe(tokens)
        assert 0 <= estimate.tokens <= cap_tokens

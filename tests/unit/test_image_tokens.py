"""Image tokens against the numbers that the providers publish and those computed by hand for A4 pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.cost.image_tokens import gemini_image_tokens, openai_image_tokens

A4 = {100: (827, 1169), 120: (992, 1403), 150: (1240, 1754), 200: (1654, 2338), 300: (2481, 3507)}


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-5.6-luna", "original", (962, 1364, 2145, 3848, 8580)),
        ("gpt-5.6-luna", "auto", (962, 1364, 2145, 3848, 8580)),
        ("gpt-5.5", "high", (962, 1364, 2145, 2478, 2478)),
        ("gpt-5.4", "high", (962, 1364, 2145, 2478, 2478)),
        ("gpt-5.4-mini", "high", (1558, 2210, 2385, 2385, 2385)),
        ("gpt-5.4-nano", "high", (2367, 3355, 3621, 3621, 3621)),
        ("gpt-4.1", "high", (1105, 1105, 1105, 1105, 1105)),
    ],
)
def test_a4_at_openai(model: str, detail: str, tokens: tuple[int, ...]) -> None:
    """A4 at 100, 120, 150, 200 and 300 dpi."""
    assert tuple(openai_image_tokens(model, *size, detail) for size in A4.values()) == tokens


@pytest.mark.parametrize(
    ("model", "resolution", "tokens"),
    [
        ("gemini-2.5-flash", None, (1548, 1548, 1548, 3096, 5160)),
        ("gemini-3.8-flash", "high", (1120,) * 5),
        ("gemini-3.8-flash", None, (1120,) * 5),
        ("gemini-3.8-flash", "low", (280,) * 5),
        ("gemini-2.5-flash", "medium", (256,) * 5),
    ],
)
def test_a4_at_gemini(model: str, resolution: str | None, tokens: tuple[int, ...]) -> None:
    """A4 at 100, 120, 150, 200 and 300 dpi."""
    assert tuple(gemini_image_tokens(model, *size, resolution) for size in A4.values()) == tokens


def test_published_examples() -> None:
    """1800 x 2400 is scaled to 1056 x 1408, 1,452 patches; 960 x 540 is six tiles; a thumbnail is one."""
    assert openai_image_tokens("gpt-5.2", 1800, 2400) == 1452
    assert gemini_image_tokens("gemini-2.5-flash", 960, 540, None) == 6 * 258
    assert gemini_image_tokens("gemini-2.5-flash", 384, 200, None) == 258


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4.1", 85), ("gpt-4o-mini", 2833), ("gpt-5", 70), ("gpt-5.5", 192)])
def test_low_detail(model: str, tokens: int) -> None:
    """The base of tile models, 512 px on the longest side of patch models."""
    assert openai_image_tokens(model, 1600, 1200, "low") == tokens


@given(
    model=st.sampled_from(["gpt-5.6", "gpt-5.4", "gpt-5-mini", "gpt-4o", "some-local-model", "o3"]),
    width_px=st.integers(1, 20_000),
    height_px=st.integers(1, 20_000),
    detail=st.sampled_from(["low", "high"]),
)
def test_every_image_costs_something_and_not_too_much(model: str, width_px: int, height_px: int, detail: str) -> None:
    """Extreme sides never give nothing, and never break the budget."""
    assert 1 <= openai_image_tokens(model, width_px, height_px, detail) <= 2500


@given(width_px=st.integers(1, 20_000), height_px=st.integers(1, 20_000))
def test_turning_a_page_costs_the_same(width_px: int, height_px: int) -> None:
    """Portrait or landscape, the formula is symmetric."""
    assert openai_image_tokens("gpt-5.5", width_px, height_px) == openai_image_tokens("gpt-5.5", height_px, width_px)

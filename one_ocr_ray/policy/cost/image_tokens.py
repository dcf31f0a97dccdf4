"""Estimates the input tokens of a page image by the providers' published formulas.

Sources: OpenAI images-and-vision guide (patches of 32 px, tiles of 512 px), ai.google.dev media-resolution and token
pages. Unknown models count as OpenAI's newest family, which is close enough for self-hosted ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, floor, sqrt

_PATCH_PX = 32
_TILE_PX = 512


@dataclass(frozen=True, slots=True)
class _Patches:
    """Patches of 32 px, each worth `factor` tokens. An image is scaled to `budget` patches and `side_px`."""

    budget: int = 2500
    side_px: int = 2048
    original_budget: int | None = 10_000  # None: images of any size stay as they are
    original_side_px: int = 6000
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class _Tiles:
    """A base, and 512-px tiles of an image whose short side is at most 768 px."""

    base: int
    per_tile: int

    def tokens(self, width_px: float, height_px: float) -> int:
        fit = min(1.0, 2048 / max(width_px, height_px))
        fit *= min(1.0, 768 / (min(width_px, height_px) * fit))
        return self.base + self.per_tile * ceil(width_px * fit / _TILE_PX) * ceil(height_px * fit / _TILE_PX)


_NEWEST = _Patches(original_budget=None)
_SMALL = {"original_budget": 1536, "original_side_px": 2048}

# The first pattern that matches the model's name applies.
_RULES: tuple[tuple[str, _Patches | _Tiles], ...] = (
    (r"gpt-(5\.4|5|4\.1)-mini", _Patches(1536, **_SMALL, factor=1.62)),
    (r"gpt-(5\.4|5|4\.1)-nano", _Patches(1536, **_SMALL, factor=2.46)),
    (r"o4-mini", _Patches(1536, **_SMALL, factor=1.72)),
    (r"gpt-5\.2", _Patches(1536, **_SMALL)),
    (r"gpt-5\.[45]", _Patches()),
    (r"gpt-5(?!\.)", _Tiles(70, 140)),
    (r"gpt-4o-mini", _Tiles(2833, 5667)),
    (r"gpt-4(o|\.1)", _Tiles(85, 170)),
    (r"o[13]\b", _Tiles(75, 150)),
)


def openai_image_tokens(model: str, width_px: int, height_px: int, detail: str = "high") -> int:
    """Tokens of one image at OpenAI; detail: low, high, original or auto (treated as original)."""
    rule = next((rule for pattern, rule in _RULES if re.match(pattern, model)), _NEWEST)
    if isinstance(rule, _Tiles):
        return rule.base if detail == "low" else rule.tokens(width_px, height_px)
    if detail == "low":
        patches = _patches(width_px, height_px, budget=(512 // _PATCH_PX) ** 2, side_px=512)
    elif detail == "high":
        patches = _patches(width_px, height_px, budget=rule.budget, side_px=rule.side_px)
    else:
        patches = _patches(width_px, height_px, budget=rule.original_budget, side_px=rule.original_side_px)
    return round(patches * rule.factor)


def _patches(width_px: float, height_px: float, *, budget: int | None, side_px: int) -> int:
    if budget is None:
        return ceil(width_px / _PATCH_PX) * ceil(height_px / _PATCH_PX)
    fit = min(1.0, side_px / max(width_px, height_px))
    columns, rows = width_px * fit / _PATCH_PX, height_px * fit / _PATCH_PX
    if ceil(columns) * ceil(rows) > budget:
        shrink = sqrt(budget / (columns * rows))
        columns, rows = columns * shrink, rows * shrink
        # A little further, so that one side is a whole number of patches.
        shrink = min(max(1, floor(columns)) / columns, max(1, floor(rows)) / rows)
        columns, rows = columns * shrink, rows * shrink
    # Rounding must not turn 44.0000001 into 45.
    return ceil(round(columns, 6)) * ceil(round(rows, 6))


_GEMINI_3 = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
_GEMINI_2 = {"low": 64, "medium": 256, "high": 2048}  # high: 256 and views of parts, about 2,048 in all
_GEMINI_TILE = 258


def gemini_image_tokens(model: str, width_px: int, height_px: int, media_resolution: str | None = "high") -> int:
    """Tokens of one image at Gemini. `media_resolution`: low, medium, high, or None for the model's default."""
    if not re.search(r"gemini-(1|2)\.", model):
        return _GEMINI_3[media_resolution or "high"]
    if media_resolution is not None:
        return _GEMINI_2[media_resolution]
    if max(width_px, height_px) <= 384:
        return _GEMINI_TILE
    unit_px = min(768, max(256, floor(min(width_px, height_px) / 1.5)))
    return _GEMINI_TILE * ceil(width_px / unit_px) * ceil(height_px / unit_px)

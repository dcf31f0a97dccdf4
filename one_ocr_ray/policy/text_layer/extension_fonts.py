"""The signs of TeX's extension fonts, whose large operators and brackets stand in the places of letters.

Few documents say which signs these are: a reader that trusts the codes finds an X where a sum is printed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.policy.text_layer.layer import Glyph, Layer

_FONT = re.compile(r"(?:^|\+)(?:cmex|plex|lmex|txex|pxex)\d*|MathExtension", re.IGNORECASE)
# By the code of a sign in the encoding OMX, in text and in display size.
_SIGNS = {
    **dict.fromkeys("PX", "∑"),
    **dict.fromkeys("QY", "∏"),
    **dict.fromkeys("RZ", "∫"),
    **dict.fromkeys("HI", "∮"),
    **dict.fromkeys("S[", "⋃"),
    **dict.fromkeys("T\\", "⋂"),
    **dict.fromkeys("V^", "⋀"),
    **dict.fromkeys("W_", "⋁"),
    **dict.fromkeys("`a", "∐"),
    "!": ")",
    '"': "[",
    "#": "]",
    "(": "{",
    ")": "}",
}


def with_signs(layer: Layer, glyphs: Iterable[Glyph]) -> list[Glyph]:
    """`glyphs` of the layer, those of an extension font as the signs that they are."""
    fonts = {number for number, font in enumerate(layer.fonts) if _FONT.search(font.name)}
    runs = {number for number, run in enumerate(layer.runs) if run.font in fonts}
    return [g._replace(text=_SIGNS.get(g.text, g.text)) if g.run in runs else g for g in glyphs]

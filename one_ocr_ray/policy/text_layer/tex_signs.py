"""The signs of TeX's mathematical fonts, which stand in the places of letters and digits.

Few documents say which signs these are: a reader that trusts the codes finds an X where a sum is printed, `hxi` for an
x in angle brackets and `6=` for a sign of inequality.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from one_ocr_ray.policy.text_layer.layer import Glyph, Layer

_LARGE_FONT = re.compile(r"(?:^|\+)(?:cmex|plex|lmex|txex|pxex)\d*|MathExtension", re.IGNORECASE)
# By the code of a sign in the encoding OMX, in text and in display size.
_LARGE = {
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
_NEGATION, _MAPS_TO = "\u0338", "↦"  # drawn over the sign and before the arrow that follow
# Of the encodings OMS and OML: signs whose names Unicode's tables do not have. The others come as what they are.
_SMALL_FONTS = {
    re.compile(r"(?:^|\+)(?:cmb?|pl|lm|tx|px)sy\d*|MathSymbols", re.IGNORECASE): {
        "h": "⟨", "i": "⟩", "b": "⌊", "c": "⌋", "d": "⌈", "e": "⌉", "j": "|", "k": "∥",
        "0": "′", "3": "∋", "<": "ℜ", "=": "ℑ", "a": "⊣", "6": _NEGATION, "7": _MAPS_TO,
    },
    re.compile(r"(?:^|\+)(?:cm|pl|lm|tx|px)mib?\d*|MathItalic", re.IGNORECASE): {"`": "ℓ"},
}  # fmt: skip


def with_signs(layer: Layer, glyphs: Iterable[Glyph]) -> list[Glyph]:
    """`glyphs` of the layer, those of TeX's fonts as the signs that they are."""
    large = _runs_in(layer, _LARGE_FONT)
    small = {run: signs for font, signs in _SMALL_FONTS.items() for run in _runs_in(layer, font)}
    if not (large or small):
        return list(glyphs)
    found: list[Glyph] = []
    for glyph in glyphs:
        sign = _LARGE.get(glyph.text) if glyph.run in large else _small_sign(glyph, small)
        if sign is not None:
            glyph = glyph._replace(text=sign, unmapped=False)  # noqa: PLW2901
        if found and found[-1].text in {_NEGATION, _MAPS_TO} and found[-1].run in small and _is_over(found[-1], glyph):
            drawn_over = found.pop().text
            joined = normalize("NFC", glyph.text + _NEGATION) if drawn_over == _NEGATION else _MAPS_TO
            glyph = glyph._replace(text=joined)  # noqa: PLW2901
        found.append(glyph)
    return found


def _runs_in(layer: Layer, font: re.Pattern[str]) -> frozenset[int]:
    fonts = {number for number, each in enumerate(layer.fonts) if font.search(each.name)}
    return frozenset(number for number, run in enumerate(layer.runs) if run.font in fonts)


def _small_sign(glyph: Glyph, small: Mapping[int, Mapping[str, str]]) -> str | None:
    return small[glyph.run].get(glyph.text) if glyph.unmapped and glyph.run in small else None


def _is_over(mark: Glyph, sign: Glyph) -> bool:
    """True if more than half of the mark's width lies over the sign."""
    (left, _, right, _), (start, _, end, _) = mark.box, sign.box
    return min(right, end) - max(left, start) > (right - left) / 2

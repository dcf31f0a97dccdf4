"""The signs of TeX's mathematical fonts, which stand in the places of letters and digits.

Few documents say which signs these are: a reader that trusts the codes finds an X where a sum is printed, `hxi` for an
x in angle brackets and `6=` for a sign of inequality.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    found = list(glyphs)
    coded = [n for n, glyph in enumerate(found) if glyph.run in large or (glyph.unmapped and glyph.run in small)]
    for number in reversed(coded):
        glyph = found[number]
        sign = (_LARGE if glyph.run in large else small[glyph.run]).get(glyph.text)
        if sign is None:
            continue
        found[number] = glyph._replace(text=sign, unmapped=False)
        following = found[number + 1] if number + 1 < len(found) else None
        if sign not in {_NEGATION, _MAPS_TO} or following is None:
            continue
        (left, _, right, _), (start, _, end, _) = glyph.box, following.box
        if min(right, end) - max(left, start) > (right - left) / 2:
            joined = normalize("NFC", following.text + _NEGATION) if sign == _NEGATION else _MAPS_TO
            found[number : number + 2] = [following._replace(text=joined)]
    return found


def _runs_in(layer: Layer, font: re.Pattern[str]) -> frozenset[int]:
    fonts = {number for number, each in enumerate(layer.fonts) if font.search(each.name)}
    return frozenset(number for number, run in enumerate(layer.runs) if run.font in fonts)

"""The signs of TeX's mathematical fonts: a code that the file does not explain is the sign of its encoding."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.text_layer.ink import InkGrid
from one_ocr_ray.policy.text_layer.layer import Font, Glyph, Layer, Run
from one_ocr_ray.policy.text_layer.tex_signs import with_signs

FONTS = ("CMR10", "ABCDEF+CMSY10", "CMMI10", "LMMathSymbols7-Regular")


def read(*drawn: tuple[str, str, float], unmapped: bool = True) -> str:
    """What glyphs say that are 5 points wide: each the character, the name of its font, and where it begins."""
    glyphs = tuple(
        Glyph(text, (left, 0, left + 5, 10), (left, 0, left + 5, 10), FONTS.index(font), place, unmapped)
        for place, (text, font, left) in enumerate(drawn)
    )
    layer = Layer(
        width=600, height=800, glyphs=glyphs,
        runs=tuple(Run(number, 0.0, False, False, number) for number in range(len(FONTS))),
        fonts=tuple(Font(name, name, True, False, False, False, False) for name in FONTS),
        pictures=(), rulings=(), values=(), annotations=0, cut=False, ink=InkGrid.of(b"", 0, 600, 800),
    )  # fmt: skip
    return "".join(glyph.text for glyph in with_signs(layer, glyphs))


@pytest.mark.parametrize("font", ["ABCDEF+CMSY10", "LMMathSymbols7-Regular"])
def test_codes_of_a_symbol_font_are_signs(font: str) -> None:
    """Brackets and primes stand in the places of letters and digits."""
    assert read(("h", font, 0), ("h", "CMR10", 5), ("i", font, 10), ("0", font, 15)) == "⟨h⟩′"


def test_a_script_l_is_no_accent() -> None:
    """It has the code of one in the font of variables, whose letters are what they say."""
    assert read(("`", "CMMI10", 0), ("h", "CMMI10", 5)) == "ℓh"


@pytest.mark.parametrize(("sign", "negated"), [("=", "≠"), ("∈", "∉"), ("≡", "≢")])
def test_a_stroke_over_a_sign_negates_it(sign: str, negated: str) -> None:
    """TeX draws the stroke first, without moving on; a six before a sign is another matter."""
    symbols = "ABCDEF+CMSY10"
    assert read(("6", symbols, 10), (sign, "CMR10", 10), ("x", "CMR10", 16)) == negated + "x"
    assert read(("6", "CMR10", 10), (sign, "CMR10", 15)) == "6" + sign


def test_a_bar_before_an_arrow_is_one_sign_with_it() -> None:
    """The arrow of a map is drawn in two parts."""
    assert read(("x", "CMR10", 0), ("7", "ABCDEF+CMSY10", 10), ("→", "CMR10", 10)) == "x↦"


def test_what_the_file_explains_is_what_it_says() -> None:
    """No sign is put in the place of a character that the file names."""
    assert read(("h", "ABCDEF+CMSY10", 0), ("6", "ABCDEF+CMSY10", 5), ("=", "CMR10", 5), unmapped=False) == "h6="

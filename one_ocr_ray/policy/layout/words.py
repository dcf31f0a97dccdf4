"""Turns the places of single characters, as a recogniser gives them, into words with two ends.

A recogniser tells where the middle of a character is, roughly. How far its ink reaches follows from the glyph: an "m"
is three times as wide as an "i", and a gap between columns shows only when that is taken into account.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

EM_TO_HEIGHT = 0.8  # an em of a line whose characters tell nothing, against the height of its box
WORD_GAP = 0.5  # em between two characters that make two words even without a space

_NARROW = frozenset("iljtfrI.,:;'|!()[]`-\"")
_WIDE = frozenset("mwMW—")


def place_words(text: str, centres: Sequence[float], aspect: float) -> tuple[Word, ...]:
    """Cut `text` into words.

    `centres` has one entry for each character of `text` that is not a space: its middle as a fraction 0-1 of the line's
    length. `aspect` is the line's height divided by its length. The words' texts joined are `text` without its leading
    spaces; the first word starts at 0 and the last one ends at 1, where the line's box does.
    """
    places = iter(centres)
    glyphs = [(char, 0.0 if char.isspace() else next(places)) for char in text.lstrip()]
    # The em as a fraction of the line's length: the distances between neighbours over their widths in em.
    distance = widths = 0.0
    for (a, at_a), (b, at_b) in pairwise(glyphs):
        if not a.isspace() and not b.isspace():
            distance += at_b - at_a
            widths += (_glyph_width(a) + _glyph_width(b)) / 2
    em = distance / widths if distance > 0 else EM_TO_HEIGHT * aspect
    words: list[Word] = []
    current, start, end = "", 0.0, 0.0
    for char, centre in glyphs:
        half = em * _glyph_width(char) / 2
        if current and not char.isspace() and (current[-1].isspace() or centre - half - end > WORD_GAP * em):
            words.append(Word(current, start, end))
            current, start = "", centre - half
        current += char
        if not char.isspace():
            end = centre + half
    return (*words, Word(current, start, 1.0)) if current else ()


def _glyph_width(char: str) -> float:
    """The usual advance width in em."""
    if unicodedata.east_asian_width(char) in "WF":
        return 1.0
    if char in _NARROW:
        return 0.3
    if char in _WIDE:
        return 0.85
    return 0.65 if char.isupper() else 0.5

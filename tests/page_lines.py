"""Lines of text on an imagined page of 1200 x 1600 px, for the tests of the layout."""

from __future__ import annotations

import re
from typing import Any

from one_ocr_ray.policy.layout.geometry import TextLine, Word

HEIGHT_PX = 20.0
PAGE_WIDTH_PX, PAGE_HEIGHT_PX = 1200, 1600


def line(text: str, x: float, y: float, height: float = HEIGHT_PX, **known: Any) -> TextLine:
    """`text` with its top left corner at (x, y), every letter half as wide as the line is high."""
    letter = height / 2
    width = letter * len(text)
    words, start = [], 0
    for word in re.findall(r"\S+ ?", text):
        words.append(Word(word, start * letter / width, (start + len(word.rstrip())) * letter / width))
        start += len(word)
    return TextLine(((x, y), (x + width, y), (x + width, y + height), (x, y + height)), tuple(words), **known)


def column(lines: list[str], x: float, y: float, **known: Any) -> list[TextLine]:
    """Lines of running text below each other."""
    return [line(text, x, y + 1.3 * HEIGHT_PX * number, **known) for number, text in enumerate(lines)]

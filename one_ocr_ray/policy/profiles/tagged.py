"""Reads answers with a label and a box before each text, in two notations.

DeepSeek-OCR: `<|ref|>title<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>` and the text on the following lines.
LightOnOCR-3: `![title](x1,y1,x2,y2) text`; a label that ends in `+` goes on with the piece before.
Sources: the papers and model cards of both.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.policy.profiles.pieces import MOST_PIECES, NamedPiece, kind_of, shares, with_content

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUNDING = re.compile(
    r"<\|ref\|>([^<>|]{1,60})<\|/ref\|><\|det\|>\[{1,2}([\d,\s]{7,40})\][^<>|]{0,2000}<\|/det\|>[ \t]*"
)
_MARKER = re.compile(r"!\[([a-z_ -]{1,30}\+?)\]\(\s*(\d{1,4}\s*,\s*\d{1,4}\s*,\s*\d{1,4}\s*,\s*\d{1,4})\s*\)[ \t]*")
_ESCAPED_DOLLAR = re.compile(r"\\\$")


def grounded(text: str, grid: tuple[float, float]) -> list[NamedPiece] | None:
    """The pieces of an answer with grounding tags. None: it has no such tag."""
    return [piece for _, piece in _labelled(text, _GROUNDING, grid)] or None


def marked(text: str, grid: tuple[float, float]) -> list[NamedPiece] | None:
    """The pieces of an answer with markers. None: it has no marker."""
    found: list[NamedPiece] = []
    for label, piece in _labelled(_ESCAPED_DOLLAR.sub("$", text), _MARKER, grid):
        if label.endswith("+") and found:
            found[-1] = replace(found[-1], text=f"{found[-1].text} {piece.text}")
        else:
            found.append(piece)
    return found or None


def _labelled(text: str, tag: re.Pattern[str], grid: tuple[float, float]) -> Iterator[tuple[str, NamedPiece]]:
    for each, content in with_content(text, list(tag.finditer(text))[:MOST_PIECES]):
        label = each[1].strip().lower()
        name = label.rstrip("+")
        box = shares([int(number) for number in re.findall(r"\d{1,5}", each[2])], *grid)
        yield label, NamedPiece(kind_of(name), content.strip(), box, level=1 if name == "title" else 2)

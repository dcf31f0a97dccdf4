"""From the characters of one line to its words: where a space stands, what is raised, which way it is read."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import Word
from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.text_layer.lines import Mark

# Multiples of the size of the type.
SPACE = 0.2  # between characters that do not follow each other in the layer
WIDE_SPACE = 0.8  # between those that do: pdfium sees spaces itself
CLOSED = 0.55  # what is left of a justified space: less than what parts columns to the layout
RAISED, SMALL = 0.15, 0.8  # a superscript
_SIGNS = ".,:/%-"  # run with the number that they stand in

LETTER_SPACED_WORDS, LETTER_SPACED_LENGTH = 10, 1.6  # more words of one line, with fewer letters each in the mean

_SUPERSCRIPTS = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")


def placed_words(marks: Sequence[Mark], left: float, right: float, bottom: float, largest: float) -> tuple[Word, ...]:
    """The words of a line from `left` to `right`, whose largest type stands on `bottom`.

    A word before a justified space reaches into that, so that the layout takes it for no gap between columns; a part
    of a stack, as of a fraction, is as wide as that.
    """
    words = _without_letter_spacing(runs(marks, lambda word, mark: not space_between(word[-1], mark)))
    length = max(right - left, 1e-6)
    placed: list[Word] = []
    for number, word in enumerate(words):
        end, space = max([mark.right for mark in word]), ""
        if number + 1 < len(words):
            following, space = words[number + 1][0], " "
            if following.part is not word[-1].part:
                end = max(end, word[-1].stack[1])
            if following.glyph.run == word[-1].glyph.run:
                end = max(end, following.left - CLOSED * following.size)
        start = word[0].left
        if word[0].part is not None and (not number or words[number - 1][0].part is not word[0].part):
            start = min(start, word[0].stack[0])
        placed.append(Word(_text(word, bottom, largest) + space, (start - left) / length, (end - left) / length))
    return tuple(placed)


def read_backwards(marks: Sequence[Mark]) -> tuple[Word, ...]:
    """A line that runs to the left, as one word; numbers and foreign words in it run to the right.

    Words are ordered by their places: the layer has them, and the letters of each, in either order.
    """
    pieces = runs(marks, _is_same_piece)
    pieces.sort(key=lambda piece: -max(mark.right for mark in piece))
    ordered: list[list[Mark]] = []
    for foreign in runs(pieces, lambda run, piece: _is_foreign(run[0][0]) and _is_foreign(piece[0])):
        ordered += reversed(foreign)
    text = ""
    for number, piece in enumerate(ordered):
        if number:
            a, b = sorted((ordered[number - 1], piece), key=lambda each: each[0].left)
            gap = min(mark.left for mark in b) - max(mark.right for mark in a)
            text += " " * (gap > SPACE / 2 * piece[0].size)
        if _is_foreign(piece[0]):
            from_left = "".join(mark.glyph.text for mark in sorted(piece, key=lambda mark: mark.left))
            before, after = from_left.rstrip(_SIGNS), from_left.lstrip(_SIGNS)  # a sign on its right is read first
            text += from_left[len(before) :] + before.lstrip(_SIGNS) + from_left[: len(from_left) - len(after)]
        else:
            text += "".join(mark.glyph.text for mark in (piece[::-1] if piece[0].left < piece[-1].left else piece))
    return (Word(text, 0.0, 1.0),)


def _is_same_piece(piece: Sequence[Mark], mark: Mark) -> bool:
    """True if `mark` stands beside the last one and runs the same way; a sign within a number runs with it."""
    last = piece[-1]
    apart = max(mark.left - last.right, last.left - mark.right)
    if mark.spaced or apart > WIDE_SPACE * mark.size:
        return False
    return _is_foreign(piece[0]) == (_is_foreign(mark) or (_is_foreign(piece[0]) and mark.glyph.text in _SIGNS))


def _is_foreign(mark: Mark) -> bool:
    """True for a letter or digit that runs to the right in a line that runs to the left."""
    return unicodedata.bidirectional(mark.glyph.text[0]) in {"L", "EN", "AN"}


def space_between(a: Mark, b: Mark) -> bool:
    if a.part is not b.part:
        return True
    gap, size = b.left - a.right, max(a.bottom - a.top, b.bottom - b.top)
    if 0 < b.glyph.place - a.glyph.place <= 2:
        return b.spaced or gap > WIDE_SPACE * size
    if is_cjk(a.glyph.text[0]) and is_cjk(b.glyph.text[0]):
        return gap > WIDE_SPACE * size
    return gap > SPACE * size or (b.spaced and gap > SPACE / 2 * size)


def _without_letter_spacing(words: list[list[Mark]]) -> list[list[Mark]]:
    """Words whose letters are parted by spaces for looks made whole: where the gap is no wider than the usual one."""
    if len(words) <= LETTER_SPACED_WORDS or sum(map(len, words)) > LETTER_SPACED_LENGTH * len(words):
        return words
    if not all(word[0].glyph.text[0].isalpha() and not is_cjk(word[0].glyph.text[0]) for word in words):
        return words
    usual = median(b[0].left - a[-1].right for a, b in pairwise(words))
    whole = runs(words, lambda spaced, word: word[0].left - spaced[-1][-1].right <= 1.5 * usual)
    return [[mark for word in spaced for mark in word] for spaced in whole]


def _text(word: Sequence[Mark], bottom: float, largest: float) -> str:
    small = SMALL * largest
    if min([mark.bottom - mark.top for mark in word]) >= small:
        return "".join([mark.glyph.text for mark in word])
    text, has_base = "", False  # the number of a note stands before its text and on nothing
    for mark in word:
        raised = mark.size < small and bottom - mark.bottom > RAISED * largest
        text += mark.glyph.text.translate(_SUPERSCRIPTS) if raised and has_base else mark.glyph.text
        has_base = has_base or not raised
    return text

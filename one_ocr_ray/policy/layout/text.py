"""Putting the lines of a paragraph together again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Han, kana, CJK punctuation and full-width forms. Not Hangul: Korean puts spaces between words.
CJK_RANGE = r"\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"

_CJK = re.compile(f"[{CJK_RANGE}]")
_HYPHENATED = re.compile(r"[^\W\d_]{2}-$")


# Dots that lead from a title to its page number, as a recogniser may read them. No word has so many of one letter.
_LEADER_LENGTH = 8
_LEAST_DOTS = 5
_LEADER = re.compile(rf"([ceimnoruw])\1{{{_LEADER_LENGTH - 1},}}")


def with_leaders(text: str) -> str:
    """`text` with dots where a row of dots was read as one letter again and again."""
    return _LEADER.sub(lambda match: "." * len(match[0]), text) if len(text) >= _LEADER_LENGTH else text


def is_leader(text: str) -> bool:
    """True if `text` is nothing but dots."""
    return len(text) > 1 and not text.strip(".…·")


def without_leader(text: str) -> str:
    """`text` without the dots that lead from it to a page number; an ellipsis stays."""
    bare = text.rstrip(" .·…")
    dots = len(text[len(bare) :].replace(" ", ""))
    return bare if bare and dots >= _LEAST_DOTS else text


def is_cjk(char: str) -> bool:
    """True if `char` belongs to a script written without spaces between words."""
    return char >= "\u2e80" and _CJK.match(char) is not None


def is_hyphenated(line: str) -> bool:
    """True if a line ends in the middle of a word."""
    return _HYPHENATED.search(line) is not None


def join_lines(lines: Sequence[str]) -> str:
    """One line of running text: no space beside a CJK character, a word that was hyphenated made whole."""
    text = lines[0]
    for line in lines[1:]:
        if is_cjk(text[-1]) or is_cjk(line[0]):
            text += line
        elif is_hyphenated(text):
            text = (text[:-1] if line[0].islower() else text) + line
        else:
            text += " " + line
    return text

"""Running heads that a page has taken for the first words of its text, where they were set like the text below them.

The heads of the pages around say what such a page would begin with.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from one_ocr_ray.policy.document.furniture import NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from one_ocr_ray.policy.document.furniture import EdgePiece

AGREEING = 2  # heads of other pages from which this one's follows


def run_in_heads(openings: Mapping[int, str], heads: Sequence[EdgePiece]) -> dict[int, str]:
    """By page the head with which its text begins. `openings`: the text of pages that have none of `heads`."""
    heads = sorted((head for head in heads if head.is_top), key=lambda head: head.page)
    pages = [head.page for head in heads]
    found: dict[int, str] = {}
    for page, text in openings.items():
        near = heads[bisect_left(pages, page - NEIGHBOURS) : bisect_right(pages, page + NEIGHBOURS)]
        expected = [head for each in near for head in _heads_of(each, page) if text.startswith(f"{head} ")]
        if len(expected) >= AGREEING:
            found[page] = max(expected, key=len)
    return found


def _heads_of(other: EdgePiece, page: int) -> Iterator[str]:
    """What the head of another page would be on `page`: the same, or with the number of that page."""
    numbers = {number for number in other.numbers if number + page - other.page > 0}
    if not numbers:
        yield other.text
    for number in numbers:
        yield re.sub(rf"\b{number}\b", str(number + page - other.page), other.text, count=1)

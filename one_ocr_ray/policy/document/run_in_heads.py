"""Finds running heads that were taken for the first words of a page's text. They are set like the text below.

The heads of the pages around say what such a page would begin with.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from one_ocr_ray.policy.document.furniture import NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.policy.document.furniture import EdgePiece

AGREEING = 2  # heads of other pages from which this one's follows


def run_in_heads(openings: Mapping[int, str], heads: Sequence[EdgePiece]) -> dict[int, str]:
    """By page the head with which its text begins. `openings`: the text of pages that have none of `heads`."""
    heads = sorted((head for head in heads if head.is_top), key=lambda head: head.page)
    pages = [head.page for head in heads]
    found: dict[int, str] = {}
    for page, text in openings.items():
        near = heads[bisect_left(pages, page - NEIGHBOURS) : bisect_right(pages, page + NEIGHBOURS)]
        expected: list[str] = []
        for other in near:  # its head would be the same on this page, or have the number of this page
            ahead = page - other.page
            numbers = {number for number in other.numbers if number + ahead > 0}
            heads_here = [re.sub(rf"\b{number}\b", str(number + ahead), other.text, count=1) for number in numbers]
            expected += [head for head in heads_here or [other.text] if text.startswith(f"{head} ")]
        if len(expected) >= AGREEING:
            found[page] = max(expected, key=len)
    return found

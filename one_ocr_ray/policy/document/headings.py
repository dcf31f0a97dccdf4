"""Gives headings of equal type and numbering depth the same rank in a document.

A page knows only its own type sizes, so a heading may have another rank on another page. Where places are known, ranks
follow the size of the type; a number such as "2.1" says how deep its heading lies below others with numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Box

DEEPEST = 6
SAME_SIZE = 0.87  # of the larger one: sizes of type closer than this are one size, measured with some error
LINE_PITCH = 1.2  # of the height of a line: from one line of a heading to the next
CHARACTER_WIDTH = 0.55  # of the height of a line

_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?\s+\S")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading as its page gives it. `size` in points; None where its place is not known."""

    page: int
    index: int
    level: int
    text: str
    size: float | None

    @property
    def depth(self) -> int | None:
        """How deep its number is: 2 of "2.1 Method"."""
        found = _NUMBERED.match(self.text)
        return found[1].count(".") + 1 if found else None


def type_size(text: str, box: Box) -> float:
    """About how high a heading's line is, from the number of lines in its box."""
    width, height = max(box.x1 - box.x0, 1.0), box.y1 - box.y0
    for lines in (1, 2, 3):
        size = height / (1 + LINE_PITCH * (lines - 1))
        if len(text) * CHARACTER_WIDTH * size <= 1.3 * lines * width:
            return size
    return height / (1 + LINE_PITCH * 2)


def ranks(headings: Sequence[Heading]) -> dict[tuple[int, int], int]:
    """The level of each heading, by page and index."""
    sizes = sorted((heading.size for heading in headings if heading.size is not None), reverse=True)
    classes = runs(sizes, lambda size_class, size: size >= SAME_SIZE * size_class[0])
    # The least size of each class. A lone heading, unless it is the largest, belongs to the next larger class.
    least = [each[-1] for number, each in enumerate(classes) if number == 0 or len(each) > 1][:DEEPEST]
    levels: dict[tuple[int, int], int] = {}
    for each in headings:
        level = each.level if each.size is None else min(sum(each.size < size for size in least) + 1, len(least))
        levels[each.page, each.index] = level
    numbered = [(each, each.depth) for each in headings if each.depth is not None]
    if numbered:
        votes = Counter(levels[each.page, each.index] - depth for each, depth in numbered)
        offset = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))[0]
        levels |= {(each.page, each.index): min(max(offset + depth, 1), DEEPEST) for each, depth in numbered}
    return levels

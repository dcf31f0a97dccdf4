"""Bullets of lists that are drawn, as browsers draw them, and stand in no font.

A dot is a bullet where it stands before a line, smaller than its type, and the page has another one of its size.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import TextLine, Word
from one_ocr_ray.policy.text_layer.frames import corners_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine

# Multiples of the size of the type.
BEFORE = 2.0  # a bullet ends at most this far before its line
LARGEST = 0.6  # of the height of its line

_SIZE_STEP_PT = 0.5  # bullets of one size differ by less


def drawn_bullets(layer: Layer, lines: Sequence[LayerLine]) -> list[TextLine]:
    """A line of one bullet for each dot that is one."""
    level = [each.line for each in lines if each.angle == 0] if len(layer.dots) > 1 else []
    found: dict[TextLine, BoxPt] = {}
    for dot in layer.dots if level else ():
        left, top, right, bottom = dot
        middle = (top + bottom) / 2
        beside = [
            (line.corners[0][0] - right, line) for line in level if line.corners[0][1] < middle < line.corners[3][1]
        ]
        # Text close before the dot makes it a sign between words.
        after = [(apart, line) for apart, line in beside if apart > 0]
        if not after:
            continue
        apart, line = min(after, key=lambda pair: pair[0])
        is_near = apart < BEFORE * line.height and bottom - top < LARGEST * line.height
        is_free = all(left - other.corners[1][0] > line.height for gap, other in beside if gap <= 0)
        if is_near and is_free:
            found.setdefault(line, dot)
    sizes = Counter(_size(dot) for dot in found.values())
    return [
        _bullet(dot, line) for line, dot in found.items() if sum(sizes[_size(dot) + step] for step in (-1, 0, 1)) > 1
    ]


def _size(dot: BoxPt) -> int:
    return round((dot[3] - dot[1]) / _SIZE_STEP_PT)


def _bullet(dot: BoxPt, line: TextLine) -> TextLine:
    corners = corners_of(dot[0], line.corners[0][1], dot[2], line.corners[3][1], 0.0)
    return TextLine(corners, (Word("•", 0.0, 1.0),), size=line.size, angle=0.0)

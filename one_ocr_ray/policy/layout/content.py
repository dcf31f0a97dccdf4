"""What a reader found on a page, whichever reader it was: lines of text, drawn lines, pictures, regions.

Lengths are in the reader's own unit, pixels of the image or points, on the upright page: x to the right, y down.
`pt_per_unit` leads to points. The layout asks nobody which reader it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockSource, PageBox

if TYPE_CHECKING:
    from one_ocr_ray.policy.layout.geometry import TextLine

Rect = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Ruling:
    """A straight drawn line of some `width`, level or upright on most pages."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Region:
    """What a layout model says of a part of the page. `label` is the model's own; `score` is 0-1."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    score: float


@dataclass(frozen=True, slots=True)
class PageContent:
    """One page as a reader gives it to the layout. `rotate`: clockwise degrees that made it upright."""

    width: float
    height: float
    lines: tuple[TextLine, ...]
    pt_per_unit: float = 1.0
    rulings: tuple[Ruling, ...] = ()
    pictures: tuple[Rect, ...] = ()
    regions: tuple[Region, ...] = ()
    source: BlockSource = BlockSource.OCR
    rotate: int = 0

    @property
    def page_box(self) -> PageBox:
        """The page in points."""
        return PageBox(self.width * self.pt_per_unit, self.height * self.pt_per_unit, self.rotate)

"""What the regions of a layout model say of the segments of a page. How far that is believed is decided by who asks.

A model names a title "header" and a paragraph "equation" at times: alone, its word moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.places import around

if TYPE_CHECKING:
    from collections.abc import Collection

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.policy.layout.content import PageContent, Region
    from one_ocr_ray.policy.layout.geometry import Segment

COVERED = 0.6  # of the width of a segment lies in a region that says something of it


@dataclass(frozen=True, slots=True)
class Labels:
    """The regions of a page. They are places on the page as it came, and not as it was straightened."""

    regions: tuple[Region, ...]
    pt_per_unit: float

    @classmethod
    def of(cls, content: PageContent) -> Labels:
        return cls(content.regions, content.pt_per_unit)

    def score(self, segment: Segment, *labels: str) -> float:
        """The best score of the regions with one of `labels` that hold the segment; 0 when there is none."""
        place = self._place(segment)
        held = [region.score for region in self.regions if region.label in labels and _holds(region, place)]
        return max(held, default=0.0)

    def within(self, region: Region, segments: Collection[Segment]) -> list[Segment]:
        """Those of `segments` that lie in a region."""
        return [segment for segment in segments if _holds(region, self._place(segment))]

    def _place(self, segment: Segment) -> Box:
        box = around([printed.box for word in segment.words for printed in word.printed])
        scale = self.pt_per_unit
        return type(box)(box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale)


def _holds(region: Region, box: Box) -> bool:
    """Whether a box lies in a region, which may be lower than the box of its line is."""
    common = min(box.x1, region.x1) - max(box.x0, region.x0)
    return region.y0 <= (box.y0 + box.y1) / 2 <= region.y1 and common >= COVERED * (box.x1 - box.x0)

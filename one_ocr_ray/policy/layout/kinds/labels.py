"""What the regions of a layout model say of the segments of a page. How far that is believed is decided by who asks.

A model names a title "header" and a paragraph "equation" at times: alone, its word moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Box
from one_ocr_ray.policy.layout.places import around

if TYPE_CHECKING:
    from collections.abc import Collection

    from one_ocr_ray.policy.layout.content import PageContent, Region
    from one_ocr_ray.policy.layout.geometry import Segment

NEARBY = 0.5  # the score of a region that others are near to
APART = 0.2  # of the smaller of two regions is common to both, at most
COVERED = 0.6  # of the width of a segment lies in a region that says something of it


@dataclass(frozen=True, slots=True)
class Labels:
    """The regions of a page. They are places on the page as it came, and not as it was straightened."""

    regions: tuple[Region, ...]
    pt_per_unit: float

    @classmethod
    def of(cls, content: PageContent) -> Labels:
        return cls(content.regions, content.pt_per_unit)

    def score(self, segment: Segment, *labels: str, covered: float = COVERED) -> float:
        """The best score of the regions with one of `labels` that hold the segment; 0 when there is none."""
        regions = [region for region in self.regions if region.label in labels]
        place = self._place(segment) if regions else None
        return max((region.score for region in regions if place and _holds(region, place, covered)), default=0.0)

    def is_near(self, segment: Segment, reach: float, *labels: str) -> bool:
        """True if a region with one of `labels` is around the segment, or within `reach` above or below."""
        if not self.regions:
            return False
        place = self._place(segment)
        return any(
            region.label in labels
            and region.x0 < place.x1
            and region.x1 > place.x0
            and region.y0 - reach < place.y1
            and region.y1 + reach > place.y0
            for region in self.regions
            if region.score >= NEARBY
        )

    def separate(self, label: str, least: float) -> list[Region]:
        """The regions with a label, a score of at least `least`, and little overlap with better ones."""

        def are_apart(a: Region, b: Region) -> bool:
            common = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0)) * max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
            return common <= APART * min((r.x1 - r.x0) * (r.y1 - r.y0) for r in (a, b))

        found: list[Region] = []
        for region in self.regions:
            if region.label in {label, "table"} and region.score >= least and all(are_apart(region, a) for a in found):
                found.append(region)
        return [region for region in found if region.label == label]

    def within(self, region: Region, segments: Collection[Segment]) -> list[Segment]:
        """Those of `segments` that lie in a region."""
        return [segment for segment in segments if _holds(region, self._place(segment))]

    def _place(self, segment: Segment) -> Box:
        """In the unit of the regions. Strips of tables have no place of their own but that on the straightened page."""
        boxes = [printed.box for word in segment.words for printed in word.printed]
        if not boxes:
            return Box(segment.left, segment.top, segment.right, segment.bottom)
        box, scale = around(boxes), self.pt_per_unit
        return Box(box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale)


def _holds(region: Region, box: Box, covered: float = COVERED) -> bool:
    """True if a box lies in a region, which may be lower than the box of its line is."""
    common = min(box.x1, region.x1) - max(box.x0, region.x0)
    return region.y0 <= (box.y0 + box.y1) / 2 <= region.y1 and common >= covered * (box.x1 - box.x0)

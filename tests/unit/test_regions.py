"""The layout model of the embedded engine on pages whose parts are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from one_ocr_ray.engines.ocr.regions import LABELS, MOST_REGIONS, RegionFinder
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def finder() -> RegionFinder:
    """One finder: its model takes half a second to load."""
    return RegionFinder()


def test_the_table_of_a_sample_is_found_where_it_stands(finder: RegionFinder, samples: Path) -> None:
    """The region spans the page's width and holds none of the text below it."""
    with PdfChild() as child:
        child.inspect(samples / "sample-table-en.pdf")
        image = child.render(1, 1600)
    assert isinstance(image, PageImage)
    page = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
    regions = finder.find(page)
    best = max((region for region in regions if region.label == "table"), key=lambda region: region.score)
    assert best.score > 0.9
    assert best.x1 - best.x0 > 0.6 * page.shape[1]
    assert all(0 <= region.x0 < region.x1 <= page.shape[1] for region in regions)
    assert all(0 <= region.y0 < region.y1 <= page.shape[0] for region in regions)


@pytest.mark.parametrize("size", [(1600, 1200), (40, 4000), (1, 1)])
def test_whatever_the_page_regions_are_few_and_inside(finder: RegionFinder, size: tuple[int, int]) -> None:
    """Noise, in the shape of a page, of a strip and of a single pixel."""
    page = np.random.default_rng(20).integers(0, 256, (*size, 3), dtype=np.uint8)
    regions = finder.find(page)
    assert len(regions) <= MOST_REGIONS
    assert all(region.label in LABELS and 0 <= region.score <= 1 for region in regions)
    assert all(0 <= region.x0 <= region.x1 <= size[1] and 0 <= region.y0 <= region.y1 <= size[0] for region in regions)

"""Finds the regions of a page with a layout model: titles, tables, figures and others.

The model (weights/README.md) takes every page in one size, so its memory and time are the same for all. What its
regions are good for is decided in policy/layout/kinds/classify.py.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import openvino

from one_ocr_ray.engines.ocr.models import openvino_config
from one_ocr_ray.policy.layout.content import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[Any]  # height x width x 3 bytes, BGR

MODEL = Path(__file__).with_name("weights") / "layout_cdla.onnx"
LABELS = (
    "text", "title", "figure", "figure_caption", "table", "table_caption", "header", "footer", "reference", "equation",
)  # fmt: skip

NET_WIDTH_PX, NET_HEIGHT_PX = 608, 800
STRIDES_PX = (8, 16, 32, 64)  # of the model's four grids
MEAN = np.array((0.485, 0.456, 0.406), np.float32) * 255
SPREAD = np.array((0.229, 0.224, 0.225), np.float32) * 255
MIN_SCORE = 0.3
MOST_COMMON = 0.5  # of two boxes with the same label: one that has more in common with a better one is left out
MOST_REGIONS = 200


class RegionFinder:
    """The layout model on OpenVINO. Not for use by several threads at once."""

    def __init__(self) -> None:
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(MODEL), "CPU", openvino_config()).create_infer_request()
        grids = []
        for stride in STRIDES_PX:
            rows, columns = np.mgrid[: -(-NET_HEIGHT_PX // stride), : -(-NET_WIDTH_PX // stride)]
            grids.append((np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * stride)
        self._centres_px: Pixels = np.concatenate(grids)  # of the cells of all four grids, row by row

    def find(self, page: Pixels) -> tuple[Region, ...]:
        """The regions of a page in its pixels, the surest first."""
        height, width = page.shape[:2]
        shrunk = cv2.resize(page, (NET_WIDTH_PX, NET_HEIGHT_PX), interpolation=cv2.INTER_AREA)
        net = ((shrunk.astype(np.float32) - MEAN) / SPREAD).transpose(2, 0, 1)[None]
        outputs = list(self.model.infer(np.ascontiguousarray(net)).values())
        scores = np.concatenate([output[0] for output in outputs[:4]])
        likely = np.flatnonzero(scores.max(axis=1) > MIN_SCORE)
        boxes = self._boxes_px([output[0] for output in outputs[4:]], likely)
        boxes *= (width / NET_WIDTH_PX, height / NET_HEIGHT_PX) * 2
        boxes = np.clip(boxes, 0, (width, height) * 2)
        corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
        found = []
        for column, label in enumerate(LABELS):
            label_scores = scores[likely, column].tolist()
            # Of boxes that have much in common the one with the best score.
            kept = cv2.dnn.NMSBoxes(corners, label_scores, MIN_SCORE, MOST_COMMON) if corners else ()
            for index in map(int, np.ravel(kept)):
                x0, y0, x1, y1 = boxes[index].tolist()
                found.append(Region(label, x0, y0, x1, y1, label_scores[index]))
        return tuple(sorted(found, key=lambda region: -region.score)[:MOST_REGIONS])

    def _boxes_px(self, distances: list[Pixels], likely: Pixels) -> Pixels:
        """Left, top, right and bottom of the `likely` cells. The model gives chances of distances in strides."""
        grids = [0, *np.cumsum([len(grid) for grid in distances]).tolist()]
        found = []
        for (start, end), grid, stride in zip(pairwise(grids), distances, STRIDES_PX, strict=True):
            cells = likely[(likely >= start) & (likely < end)]
            chances = np.exp(grid[cells - start].reshape(len(cells), 4, grid.shape[1] // 4))
            steps = np.arange(chances.shape[2], dtype=np.float32)
            reach = (chances @ steps) / chances.sum(axis=2) * stride
            centres = self._centres_px[cells]
            found.append(np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1))
        return np.concatenate(found)

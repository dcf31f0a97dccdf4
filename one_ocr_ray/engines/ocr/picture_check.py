"""Checks a text layer against the picture. It reads samples of lines and looks for lines that the layer lacks.

The models are those of `RapidReader`. Which samples, and what follows, is decided in `policy/text_layer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from one_ocr_ray.policy.page.looks import NET_STEP_PX
from one_ocr_ray.policy.text_layer.spot_check import SampleRead, letters_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.engines.ocr.rapid import RapidReader
    from one_ocr_ray.policy.layout.geometry import TextLine
    from one_ocr_ray.policy.text_layer.layer import BoxPt
    from one_ocr_ray.policy.text_layer.spot_check import Sample

    Pixels = NDArray[Any]

STEP_PX = 2 * NET_STEP_PX  # the fewer sizes the detector is given, the fewer programs it makes
MASK_PX = 4  # of a cell in which text of the layer is marked
COVERED = 0.5  # of a line's box: the layer has its text
READ_MAX = 24  # lines of those that the layer lacks, the longest ones
TEXT_SCORE = 0.8
TEXT_CHARACTERS = 2


@dataclass(frozen=True, slots=True)
class Missing:
    """Text that a layer lacks: its share of all length, and its lines in points."""

    share: float
    lines: tuple[TextLine, ...]


class PictureCheck:
    """One page's picture; `px_per_pt` is its scale."""

    def __init__(self, reader: RapidReader, jpeg: bytes, px_per_pt: float) -> None:
        self._reader = reader
        self._jpeg = jpeg
        self._px_per_pt = px_per_pt

    def read(self, samples: Sequence[Sample]) -> list[SampleRead]:
        """What stands in the places of `samples`."""
        page = self._gray
        height, width = page.shape
        reads = []
        for sample in samples:
            left, top, right, bottom = (round(side * self._px_per_pt) for side in sample.box)
            left, top = min(max(0, left), width - 1), min(max(0, top), height - 1)
            crop = page[top : max(top + 1, bottom), left : max(left + 1, right)]
            to_the_right = cv2.cvtColor(
                np.ascontiguousarray(np.rot90(crop, round(sample.angle / 90))), cv2.COLOR_GRAY2BGR
            )
            reads.append(SampleRead(*self._reader.read_crop(to_the_right, letters_of(sample))))
        return reads

    @cached_property
    def _gray(self) -> Pixels:  # a third less to decode, and letters are read as well
        return _decoded(self._jpeg, cv2.IMREAD_GRAYSCALE)

    def missing(
        self, boxes: Sequence[BoxPt], areas: Sequence[BoxPt], length_pt: float, most: float, *, is_foreign: bool
    ) -> Missing:
        """The text in `areas` of the picture that is not in `boxes`; `length_pt` is that of the lines of the layer.

        No more is read once its share is above `most`. `is_foreign`: the models do not know the script of the page, so
        lines that cannot be read count, too.
        """
        page = _decoded(self._jpeg, cv2.IMREAD_COLOR)
        height, width = page.shape[:2]
        mask = np.zeros((height // MASK_PX + 1, width // MASK_PX + 1), np.uint8)
        for box in boxes:
            left, top, right, bottom = (round(side * self._px_per_pt / MASK_PX) for side in box)
            cv2.rectangle(mask, (left, top), (right, bottom), 1, -1)
        found = [line for area in areas for line in self._reader.lines_on(page, self._part(area, height, width))]
        lacking = sorted((box for box in found if _covered(mask, box.corners) < COVERED), key=lambda b: -max(b.size))
        all_px = length_pt * self._px_per_pt + sum(max(box.size) for box in lacking)
        lines, missing_px = [], 0.0
        for each in lacking[:READ_MAX]:
            (line,) = self._reader.read_boxes([each])
            placed = line.placed()
            text = "".join(word.text for word in placed.words)
            if line.scored[0] >= TEXT_SCORE and sum(map(str.isalnum, text)) >= TEXT_CHARACTERS:
                a, b, c, d = ((x / self._px_per_pt, y / self._px_per_pt) for x, y in placed.corners)
                lines.append(replace(placed, corners=(a, b, c, d)))
                missing_px += max(line.box.size)
            elif is_foreign and line.read.is_foreign and (line.read.is_text or line.read.is_lost):
                missing_px += max(line.box.size)
            if missing_px > most * all_px:
                break
        return Missing(missing_px / all_px if all_px else 0.0, tuple(lines))

    def _part(self, area: BoxPt, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of an area, whole steps of the detector: it stretches what is not."""
        left, top, right, bottom = (side * self._px_per_pt for side in area)
        return _steps(top, bottom, height), _steps(left, right, width)


def _decoded(jpeg: bytes, colours: int) -> Pixels:
    page = cv2.imdecode(np.frombuffer(jpeg, np.uint8), colours)
    if page is None:
        raise ValueError("not an image")
    return page


def _steps(start_px: float, end_px: float, most_px: int) -> slice:
    start = min(max(0, math.floor(start_px)), most_px - 1)
    steps = max(1, math.ceil((min(end_px, most_px) - start) / STEP_PX))
    return slice(max(0, min(start, most_px - steps * STEP_PX)), min(most_px, start + steps * STEP_PX))


def _covered(mask: Pixels, corners: Sequence[tuple[float, float]]) -> float:
    xs, ys = [x / MASK_PX for x, _ in corners], [y / MASK_PX for _, y in corners]
    part = mask[int(min(ys)) : int(max(ys)) + 1, int(min(xs)) : int(max(xs)) + 1]
    return float(part.mean()) if part.size else 1.0

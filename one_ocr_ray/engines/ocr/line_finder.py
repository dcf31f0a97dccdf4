"""Finds the lines of a page image by passes of RapidOCR's detector and closer looks.

policy/page/looks.py decides how closely to look, and where to look again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rapidocr.utils.process_img import get_rotate_crop_image

from one_ocr_ray.engines.ocr.ink import PageInk
from one_ocr_ray.policy.layout.geometry import TextLine
from one_ocr_ray.policy.page import looks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.engines.ocr.models import Detector
    from one_ocr_ray.policy.layout.geometry import Point

    Pixels = NDArray[Any]  # height x width x 3 bytes, BGR
    Corners = NDArray[Any]  # four points, clockwise from the top left, px


@dataclass(frozen=True, slots=True)
class LineBox:
    """A line's place and its level pixels. Crops of tall boxes are turned to the left."""

    corners: tuple[Point, Point, Point, Point]  # clockwise from the top left, px
    pixels: Pixels
    page_side_px: int  # the longer side of its page
    guessed: bool = False  # the detector sees no line in this ink

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in px, at least 1."""
        line = TextLine(self.corners, ())
        return max(line.width, 1.0), max(line.height, 1.0)


@dataclass(frozen=True, slots=True)
class FoundLines:
    """The lines of a page, and what the ink outside them looks like."""

    boxes: list[LineBox]
    other_ink: frozenset[looks.BlotKind]


class Finder:
    """Finds lines with the detector."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def find(self, page: Pixels) -> FoundLines:
        """The boxes of all lines and of possible lines."""
        ink = PageInk(page)
        scale = looks.pass_scale(page.shape[1], page.shape[0])
        found = self._pass(page, scale)
        sure = [box for box in found if not looks.is_small(_short_side(box) * scale, scale)]
        left = ink.blots(sure)
        if not (unread := looks.worth_a_look(left, lines_found=bool(found))):
            return FoundLines([_box(page, corners) for corners in found], _kinds(left))
        closer = _new(self._closer(page, unread, ink.cell_px), sure)
        seen = sure + closer + _new(found, sure + closer)
        left = ink.blots(seen)
        guesses = _new(
            (_corners(blot, ink.cell_px) for blot in left if blot.kind is looks.BlotKind.TEXT), seen, share=0.1
        )
        boxes = [_box(page, corners) for corners in seen]
        return FoundLines(boxes + [_box(page, corners, guessed=True) for corners in guesses], _kinds(left))

    def first_look(self, page: Pixels, part: tuple[slice, slice]) -> list[LineBox]:
        """The lines that the detector sees in those rows and columns of the page, in its scale."""
        scale = looks.pass_scale(page.shape[1], page.shape[0])
        found = self._pass(np.ascontiguousarray(page[part]), scale)
        offset = np.array((part[1].start, part[0].start), np.float32)
        return [_box(page, corners + offset) for corners in found]

    def _closer(self, page: Pixels, blots: Sequence[looks.Blot], cell_px: float) -> Iterator[Corners]:
        for window in looks.windows(blots):
            left, top, width, height = window.around(cell_px)
            for corners in self._pass(_cut(page, left, top, width, height), looks.window_scale(width, height)):
                inside = np.clip(corners + np.array((left, top)), 0, (page.shape[1] - 1, page.shape[0] - 1)).astype(
                    np.float32
                )
                if _short_side(inside) >= 1:
                    yield inside

    def _pass(self, page: Pixels, scale: float) -> list[Corners]:
        """The lines that the detector sees in the scaled `page`."""
        height, width = page.shape[:2]
        size = looks.net_px(width * scale), looks.net_px(height * scale)
        seen = self._text_map(page, *size)
        boxes = self._detector.boxes(seen, height, width)
        return [corners for corners in boxes if not looks.is_rule(*_sides(corners))]

    def _text_map(self, page: Pixels, width: int, height: int) -> Pixels:
        """How much each pixel of the scaled page looks like text, 0-1. Large pages go tile by tile."""
        page = cv2.resize(page, (width, height))
        seen: Pixels = np.zeros((height, width), np.float32)
        for top, bottom in looks.tiles(height, width):
            for left, right in looks.tiles(width, height):
                tile = np.s_[top:bottom, left:right]
                np.maximum(seen[tile], self._detector.text_map(page[tile]), out=seen[tile])
        return seen


def _kinds(blots: Iterable[looks.Blot]) -> frozenset[looks.BlotKind]:
    return frozenset(blot.kind for blot in blots)


def _sides(corners: Corners) -> tuple[float, float]:
    return float(np.linalg.norm(corners[0] - corners[1])), float(np.linalg.norm(corners[0] - corners[3]))


def _short_side(corners: Corners) -> float:
    return min(_sides(corners))


def _new(boxes: Iterable[Corners], known: Sequence[Corners], share: float = 0.5) -> list[Corners]:
    """The `boxes` of which the `known` ones cover no more than `share`."""
    rectangles = [cv2.boundingRect(corners.astype(np.int32)) for corners in known]
    return [box for box in boxes if _covered(cv2.boundingRect(box.astype(np.int32)), rectangles) <= share]


def _covered(box: Sequence[int], others: Iterable[Sequence[int]]) -> float:
    """The share of a box (left, top, width, height) that other boxes cover."""
    left, top, width, height = box
    common = (
        max(0, min(left + width, x + w) - max(left, x)) * max(0, min(top + height, y + h) - max(top, y))
        for x, y, w, h in others
    )
    return sum(common) / (width * height)


def _cut(page: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """A window of the page. Outside the page it repeats the edge."""
    page_height, page_width = page.shape[:2]
    right, bottom = left + width, top + height
    inside = page[max(0, top) : bottom, max(0, left) : right]
    beyond = max(0, -top), max(0, bottom - page_height), max(0, -left), max(0, right - page_width)
    return cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else inside


def _corners(blot: looks.Blot, cell_px: float) -> Corners:
    """The box of a line that fills the blot."""
    left, top = (blot.left - 1) * cell_px, (blot.top - 1) * cell_px
    right, bottom = (blot.left + blot.width + 1) * cell_px, (blot.top + blot.height + 1) * cell_px
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def _box(page: Pixels, corners: Corners, *, guessed: bool = False) -> LineBox:
    height, width = page.shape[:2]
    inside = np.clip(corners, 0, (width - 1, height - 1)).astype(np.float32)
    top_left, top_right, bottom_right, bottom_left = ((float(x), float(y)) for x, y in inside)
    pixels = get_rotate_crop_image(page, inside.copy())
    return LineBox((top_left, top_right, bottom_right, bottom_left), pixels, max(height, width), guessed)

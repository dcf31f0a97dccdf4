"""The straight drawn lines of a page image. What they mean is decided in policy/layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from one_ocr_ray.engines.ocr.ink import shrunk_gray
from one_ocr_ray.policy.layout.content import Ruling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[Any]
    Line = tuple[float, float, float, float, float]  # x0, y0, x1, y1, width

THICK_PX = 9  # what is thicker is an area
LEAST_LENGTH_PX = 24  # of an unbroken piece: longer than the strokes of letters
LEAST_CONTRAST = 20  # of 255, against what lies on both sides
OVER_THE_USUAL = 3.0  # times the contrast that most of the page stays below: noise and paper
MOST_RULINGS = 1500  # of each direction; the longest ones
LEAST_STEP = 12  # of 255, from a coloured ground to the next
LEAST_EDGE_PX = 60
EDGE_PX = 3  # over which a step is measured
NARROWED = 4  # coloured grounds are looked at in images that are so many times narrower
STRIDE_PX = 8
STEEPEST = 15  # times as long as high is a line that a scanner laid aslant
_STROKES = np.ones((1, 13), np.uint8)
_BESIDE = np.ones((2 * EDGE_PX + 5, 3), np.uint8)
_ACROSS = np.ones((THICK_PX + 2, 1), np.uint8)
_GAPS = np.ones((1, 5), np.uint8)


def page_rulings(page: Pixels) -> tuple[Ruling, ...]:
    """The level and upright lines of a page (BGR), in its pixels.

    Also light ones on dark, those a little aslant, and the edges of coloured grounds.
    """
    gray, shrunk = shrunk_gray(page)
    level = [Ruling(*(shrunk * value for value in line)) for line in _level_lines(gray)]
    upright = [Ruling(*(shrunk * value for value in line)) for line in _level_lines(cv2.transpose(gray))]
    return (*level, *(Ruling(line.y0, line.x0, line.y1, line.x1, line.width) for line in upright))


def _level_lines(gray: Pixels) -> Iterator[Line]:
    """Lines that are darker or lighter than both sides, and the edges of coloured grounds."""
    dark = _long(cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, _ACROSS), LEAST_CONTRAST, LEAST_LENGTH_PX)
    # Between the rows of dark letters, and through those of light ones, runs what looks like a light line. Grounds
    # without dark letters do not have the one, grounds without light letters not the other.
    grounds = [
        np.ascontiguousarray(cv2.morphologyEx(gray, kind, _STROKES)[:, ::NARROWED])
        for kind in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN)
    ]
    light = cv2.min(*(cv2.morphologyEx(ground, cv2.MORPH_TOPHAT, _ACROSS) for ground in grounds))
    steps = cv2.min(*(cv2.absdiff(ground[EDGE_PX:], ground[:-EDGE_PX]) for ground in grounds))
    light = _long(light, LEAST_CONTRAST, LEAST_EDGE_PX // NARROWED)
    edges = _long(steps, LEAST_STEP, LEAST_EDGE_PX // NARROWED)
    beside = cv2.dilate(np.ascontiguousarray(dark[:, ::NARROWED]) | light, _BESIDE)  # a line has edges of its own
    edges &= 1 - beside[EDGE_PX:]
    yield from _lines(dark)
    for pieces, shift in ((light, 0.0), (edges, EDGE_PX / 2)):
        for x0, y0, x1, y1, width in _lines(pieces):
            yield NARROWED * x0, y0 + shift, NARROWED * x1, y1 + shift, width


def _long(contrast: Pixels, least: float, length_px: int) -> Pixels:
    """Where the contrast is high in level stretches of some length: 1, else 0."""
    usual = float(np.median(contrast[::7, ::7]))
    high = (contrast >= max(least, OVER_THE_USUAL * usual)).astype(np.uint8)
    long: Pixels = cv2.morphologyEx(high, cv2.MORPH_OPEN, np.ones((1, length_px), np.uint8))
    return long


def _lines(pieces: Pixels) -> Iterator[Line]:
    """Pieces that touch each other, as one line: its ends and its thickness."""
    joined = np.ascontiguousarray(cv2.dilate(pieces, _GAPS)[:, ::STRIDE_PX])  # every piece is longer than some strides
    _, _, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    longest = np.argsort(-boxes[1:, cv2.CC_STAT_WIDTH])[:MOST_RULINGS] + 1
    for number in longest.tolist():
        left, top, width, height = boxes[number][:4].tolist()
        left = max(0, (left - 1) * STRIDE_PX)
        rows, columns = np.nonzero(pieces[top : top + height, left : left + (width + 2) * STRIDE_PX])
        if not len(rows):  # the edge of a dilated piece
            continue
        start, end = int(columns.min()), int(columns.max())
        thickness = len(rows) / (end - start + 1)
        if thickness <= THICK_PX and height <= THICK_PX + width * STRIDE_PX / STEEPEST:
            at_start, at_end = rows[columns <= start + STRIDE_PX].mean(), rows[columns >= end - STRIDE_PX].mean()
            yield left + start, top + float(at_start), left + end + 1, top + float(at_end), thickness

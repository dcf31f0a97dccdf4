"""Frames: a line is built where its text runs to the right, a page is laid out where most of its text does.

A frame is the page as displayed, turned about its origin; its angle is in degrees, clockwise.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockSource
from one_ocr_ray.policy.layout.content import PageContent, Ruling
from one_ocr_ray.policy.layout.geometry import Point, TextLine, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine

Corners = tuple[Point, Point, Point, Point]


def content_of(layer: Layer, lines: Sequence[LayerLine], more: Sequence[TextLine] = ()) -> PageContent:
    """What stands on the page, the values of its forms included. It is turned so that most text runs to the right.

    `more`: lines that were read from its pictures.
    """
    weights: Counter[int] = Counter()
    for each in lines:
        weights[round(each.angle / 90) * 90 % 360] += len(each.marks)
    turn = -weights.most_common(1)[0][0] % 360 if weights else 0  # clockwise
    width, height = (layer.width, layer.height) if turn % 180 == 0 else (layer.height, layer.width)
    placed = [*(each.line for each in lines), *more]
    for value in layer.values:
        if text := " ".join(value.text.split()):
            corners = corners_of(*value.box, 0.0)
            placed.append(TextLine(corners, (Word(text, 0.0, 1.0),), angle=0.0))
    if turn:
        angles = [((line.angle or 0.0) + turn) % 360 for line in placed]
        corners_by_line = [[_turned_point(x, y, turn, layer) for x, y in line.corners] for line in placed]
        placed = [
            replace(line, corners=_corners(points, angle), angle=angle)
            for line, points, angle in zip(placed, corners_by_line, angles, strict=True)
        ]
    return PageContent(
        width=width,
        height=height,
        lines=tuple(placed),
        rulings=tuple(
            Ruling(*_turned_box((ruling.x0, ruling.y0, ruling.x1, ruling.y1), turn, layer), ruling.width)
            for ruling in layer.rulings
        ),
        pictures=tuple(_turned_box(picture.box, turn, layer) for picture in layer.pictures),
        source=BlockSource.TEXT_LAYER,
        rotate=turn,
    )


def framed(box: BoxPt, angle: float) -> BoxPt:
    """`box` in the frame that is turned clockwise by `angle`."""
    left, top, right, bottom = box
    if angle == 0:
        return box
    if angle == 90:
        return top, -right, bottom, -left
    if angle == 180:
        return -right, -bottom, -left, -top
    if angle == 270:
        return -bottom, left, -top, right
    x, y = (left + right) / 2, (top + bottom) / 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along, across = x * cos + y * sin, y * cos - x * sin
    half = min(right - left, bottom - top) / 2
    return along - half, across - half, along + half, across + half


def corners_of(left: float, top: float, right: float, bottom: float, angle: float) -> Corners:
    """The corners on the page of a box in a frame: clockwise from the top left of the page's upright box where the
    frame is turned by a quarter, else from where the line begins.
    """
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    framed_points = ((left, top), (right, top), (right, bottom), (left, bottom))
    return _corners([(x * cos - y * sin, x * sin + y * cos) for x, y in framed_points], angle)


def _turned_point(x: float, y: float, turn: int, layer: Layer) -> tuple[float, float]:
    match turn:
        case 90:
            return layer.height - y, x
        case 180:
            return layer.width - x, layer.height - y
        case 270:
            return y, layer.width - x
    return x, y


def _turned_box(box: BoxPt, turn: int, layer: Layer) -> BoxPt:
    (x0, y0), (x1, y1) = _turned_point(box[0], box[1], turn, layer), _turned_point(box[2], box[3], turn, layer)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _corners(points: Sequence[Point], angle: float) -> Corners:
    """The corners of a line, or of its upright box where it runs along a side of the page."""
    if angle % 90:
        return points[0], points[1], points[2], points[3]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)

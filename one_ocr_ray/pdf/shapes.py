"""Reads what a page shows besides text: pictures, straight lines, the order of painting.

A part of the child program: imports pypdfium2 and the standard library only. Lengths are points of the page's own
space.
"""

from __future__ import annotations

import ctypes
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium_c

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECTS_MAX = 60_000
FORMS_DEEP = 8
PICTURES_MAX = 2_000
RULINGS_MAX = 4_000
SEGMENTS_MAX = 40_000  # of all paths of a page
RULE_PT = 3.0  # thicker is a bar or the shade of a cell
SHORTEST_PT = 6.0
DOTS_MAX = 400  # more are the points of a chart
DOT_PT = 1.5, 9.0  # how large the bullets of lists are
ROUND = 0.7  # the lesser side of a dot, with the control points of its curves, against the greater

Matrix = tuple[float, float, float, float, float, float]
Placed = tuple[Any, int, Matrix]  # an object, its type, and the way from its space to the page's

_UPRIGHT: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def all_objects(page: Any) -> Iterator[Placed]:
    """The objects of `page` in painting order, those inside of forms included."""
    count = pdfium_c.FPDFPage_CountObjects(page)
    for index in range(count):
        yield from _unfolded(pdfium_c.FPDFPage_GetObject(page, index), _UPRIGHT, FORMS_DEEP)


def _unfolded(each: Any, around: Matrix, deep: int) -> Iterator[Placed]:
    kind = pdfium_c.FPDFPageObj_GetType(each)
    if kind != pdfium_c.FPDF_PAGEOBJ_FORM:
        yield each, kind, around
    elif deep:
        inside = _times(_matrix_of(each), around)
        for index in range(pdfium_c.FPDFFormObj_CountObjects(each)):
            yield from _unfolded(pdfium_c.FPDFFormObj_GetObject(each, index), inside, deep - 1)


class Shapes:
    """The objects of a page by what they are. `cut`: there were too many of them to look at all."""

    def __init__(self, objects: Iterator[Placed]) -> None:
        self.order: dict[int, int] = {}  # of text objects, by address
        self.cut = False
        self._images: list[tuple[int, Any, Matrix]] = []
        self._paths: list[tuple[Any, Matrix]] = []
        for number, (each, kind, around) in enumerate(objects):
            if number >= OBJECTS_MAX:
                self.cut = True
                break
            if kind == pdfium_c.FPDF_PAGEOBJ_TEXT:
                self.order[ctypes.cast(each, ctypes.c_void_p).value or 0] = number
            elif kind in {pdfium_c.FPDF_PAGEOBJ_IMAGE, pdfium_c.FPDF_PAGEOBJ_SHADING}:
                self._images.append((number, each, around))
            elif kind == pdfium_c.FPDF_PAGEOBJ_PATH:
                self._paths.append((each, around))

    def pictures(self) -> list[list[Any]]:
        """Each picture's place in the painting order, its box, and if something shows through it."""
        self.cut = self.cut or len(self._images) > PICTURES_MAX
        return [
            [number, _rounded(_bounds(each, around)), bool(pdfium_c.FPDFPageObj_HasTransparency(each))]
            for number, each, around in self._images[:PICTURES_MAX]
            if pdfium_c.FPDFPageObj_GetType(each) == pdfium_c.FPDF_PAGEOBJ_IMAGE
        ]

    def drawn(self) -> dict[str, list[list[float]]]:
        """Rulings, the straight lines, level or upright: both ends and the thickness; dots, as small as bullets."""
        found: list[list[float]] = []
        dots: list[list[float]] = []
        budget = SEGMENTS_MAX
        for each, around in self._paths:
            if len(found) >= RULINGS_MAX or budget <= 0:
                break
            fill, stroke = ctypes.c_int(), ctypes.c_int()
            if not pdfium_c.FPDFPath_GetDrawMode(each, fill, stroke) or not (fill.value or stroke.value):
                continue
            left, bottom, right, top = _bounds(each, around)
            width, height = right - left, top - bottom
            if DOT_PT[0] < max(width, height) < DOT_PT[1] and min(width, height) > ROUND * max(width, height):
                dots.append(_rounded((left, bottom, right, top)))
            if max(width, height) < SHORTEST_PT:
                continue
            if min(width, height) <= RULE_PT and not stroke.value:
                found.append(_rounded(_middle_line(left, bottom, right, top)))
                continue
            count = pdfium_c.FPDFPath_CountSegments(each)
            budget -= count
            if count <= budget:
                found += [_rounded(line) for line in _lines(each, count, around, stroked=bool(stroke.value))]
        return {"rulings": found[:RULINGS_MAX], "dots": dots if len(dots) <= DOTS_MAX else []}


def _lines(path: Any, count: int, around: Matrix, *, stroked: bool) -> Iterator[tuple[float, ...]]:
    """The rulings of a path: straight pieces if stroked, else thin rectangles."""
    thickness = ctypes.c_float(0.0)
    pdfium_c.FPDFPageObj_GetStrokeWidth(path, thickness)
    for points in _subpaths(path, count, _times(_matrix_of(path), around)):
        if stroked:
            for (x0, y0), (x1, y1) in pairwise(points):
                length = math.hypot(x1 - x0, y1 - y0)
                if length >= SHORTEST_PT and min(abs(x1 - x0), abs(y1 - y0)) <= 0.02 * length:
                    yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), thickness.value
            continue
        xs, ys = [x for x, _ in points], [y for _, y in points]
        width, height = max(xs) - min(xs), max(ys) - min(ys)
        if min(width, height) <= RULE_PT and max(width, height) >= SHORTEST_PT:
            yield _middle_line(min(xs), min(ys), max(xs), max(ys))


def _subpaths(path: Any, count: int, to_page: Matrix) -> Iterator[list[tuple[float, float]]]:
    """The corners of each piece of a path, closed where the path is. Pieces with curves are left out."""
    points: list[tuple[float, float]] = []
    curved = False
    x, y = ctypes.c_float(), ctypes.c_float()
    for index in range(count):
        segment = pdfium_c.FPDFPath_GetPathSegment(path, index)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            if len(points) > 1 and not curved:
                yield points
            points, curved = [], False
        curved = curved or kind == pdfium_c.FPDF_SEGMENT_BEZIERTO
        pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
        points.append(_through(to_page, x.value, y.value))
        if pdfium_c.FPDFPathSegment_GetClose(segment) and len(points) > 2:
            points.append(points[0])
    if len(points) > 1 and not curved:
        yield points


def _middle_line(left: float, bottom: float, right: float, top: float) -> tuple[float, ...]:
    """A thin rectangle as a line with a thickness."""
    if right - left >= top - bottom:
        return left, (bottom + top) / 2, right, (bottom + top) / 2, top - bottom
    return (left + right) / 2, bottom, (left + right) / 2, top, right - left


def _bounds(each: Any, around: Matrix) -> tuple[float, float, float, float]:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium_c.FPDFPageObj_GetBounds(each, left, bottom, right, top)
    if around == _UPRIGHT:
        return left.value, bottom.value, right.value, top.value
    corners = [_through(around, x, y) for x in (left.value, right.value) for y in (bottom.value, top.value)]
    return (
        min(x for x, _ in corners),
        min(y for _, y in corners),
        max(x for x, _ in corners),
        max(y for _, y in corners),
    )


def _matrix_of(each: Any) -> Matrix:
    matrix = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(each, matrix):
        return _UPRIGHT
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _through(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 2) if math.isfinite(value) else 0.0 for value in values]

"""A text layer as values: unpacked from what the child process sends, places in points of the page as displayed.

The child has read a hostile file: what does not fit the format is refused, whatever it is. Nothing is judged here.
"""

from __future__ import annotations

import json
import math
import re
import struct
from array import array
from dataclasses import dataclass, field
from functools import partial
from operator import eq
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from one_ocr_ray.policy import sequences
from one_ocr_ray.policy.layout.content import Ruling
from one_ocr_ray.policy.text_layer.ink import InkGrid

if TYPE_CHECKING:
    from one_ocr_ray.blocks import TextLayer

_HEAD = struct.Struct(">I")
CHARACTERS_MAX = 50_000
_ENTRY_BYTES = 4 + 4 + 1 + 16 + 16  # code, run, flags, loose box, ink box
_UNMAPPED = 2  # a flag of a character
_INVISIBLE_MODES = frozenset({3, 7})  # no paint; a clip alone
_TRANSPARENT, _WHITE = 13, 250  # of 255: opacity that is not seen, colour that is not seen on paper
_MONO, _ITALIC, _BOLD_WEIGHT = 1 << 0, 1 << 6, 600
_MATH_FONT = re.compile(
    r"^(?:[A-Z]{6}\+)?(?:CMMI|CMSY|CMEX|MSAM|MSBM|EUF|MTMI|MTSY|RMTMI|LMMath|.*Math)", re.IGNORECASE
)
_MONO_FONT = re.compile(r"mono|courier|consol|typewriter|cmtt|menlo", re.IGNORECASE)
_BOLD_FONT = re.compile(r"bold|black|heavy|semibold|cmbx|-bd", re.IGNORECASE)
_ITALIC_FONT = re.compile(r"italic|oblique|cmti|-it\b", re.IGNORECASE)

BoxPt = tuple[float, float, float, float]  # left, top, right, bottom
_Matrix = tuple[float, float, float, float, float, float]


class LayerError(Exception):
    """What came is no text layer."""


class Glyph(NamedTuple):
    """A character of the layer."""

    text: str
    box: BoxPt  # as wide as it moves on, as high as its type is large
    ink: BoxPt  # what it covers, as far as its font tells
    run: int  # -1: in none, as generated characters are
    place: int  # in the layer
    unmapped: bool


@dataclass(frozen=True, slots=True)
class Font:
    """A font of the page. `key` names it in its document."""

    key: str
    name: str
    embedded: bool
    bold: bool
    italic: bool
    mono: bool
    math: bool

    @property
    def is_bold_upright(self) -> bool:
        """True if formulas set vectors in it."""
        return self.bold and not self.italic

    @classmethod
    def of(cls, described: dict[str, Any]) -> Font:
        name, flags = str(described["name"]), int(described["flags"])
        plain = name.partition("+")[2] or name
        return cls(
            key=f"{name} {described['size']} {flags} {described['weight']}",
            name=name,
            embedded=bool(described["embedded"]),
            bold=described["weight"] >= _BOLD_WEIGHT or _BOLD_FONT.search(plain) is not None,
            italic=bool(flags & _ITALIC) or _ITALIC_FONT.search(plain) is not None,
            mono=bool(flags & _MONO) or _MONO_FONT.search(plain) is not None,
            math=_MATH_FONT.search(name) is not None,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of one text object: font, direction (degrees clockwise), place in the order of painting."""

    font: int
    angle: float
    hidden: bool  # drawn without paint
    white: bool
    order: int  # -1: not known

    @classmethod
    def of(cls, described: list[Any], to_display: _Matrix, fonts: int) -> Run:
        font, (a, b, _, _), mode, (red, green, blue, opacity), order = described
        if not 0 <= font < fonts:
            raise LayerError
        right, down = a * to_display[0] + b * to_display[2], a * to_display[1] + b * to_display[3]
        angle = math.degrees(math.atan2(down, right)) % 360
        quarter = round(angle / 90) * 90
        return cls(
            font=int(font),
            angle=float(quarter % 360) if abs(angle - quarter) < 3 else angle,
            hidden=mode in _INVISIBLE_MODES or (mode in {0, 4} and opacity < _TRANSPARENT),
            white=mode == 0 and min(red, green, blue) >= _WHITE,
            order=int(order),
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on the page."""

    box: BoxPt
    order: int


@dataclass(frozen=True, slots=True)
class FormValue:
    """The text in a field of a form."""

    text: str = field(repr=False)
    box: BoxPt


@dataclass(frozen=True, slots=True)
class Layer:
    """The text layer of one page."""

    width: float
    height: float
    glyphs: tuple[Glyph, ...] = field(repr=False)
    runs: tuple[Run, ...]
    fonts: tuple[Font, ...]
    pictures: tuple[Picture, ...]
    rulings: tuple[Ruling, ...]
    values: tuple[FormValue, ...]
    annotations: int  # that are drawn and whose text, if any, is not known
    cut: bool  # there is too much on the page to look at all of it
    ink: InkGrid
    dots: tuple[BoxPt, ...] = ()  # drawn ones, as small as the bullets of lists


def unpacked(packed: TextLayer) -> Layer:
    """The layer that the child process has packed. Raises LayerError."""
    try:
        (length,) = _HEAD.unpack_from(packed.data)
        head = json.loads(packed.data[_HEAD.size : _HEAD.size + length])
        matrix: _Matrix = tuple(float(value) for value in head["to_display"])  # type: ignore[assignment]
        width, height = float(head["width"]), float(head["height"])
        fonts = tuple(Font.of(each) for each in head.get("fonts", ()))
        runs = tuple(Run.of(each, matrix, len(fonts)) for each in head.get("runs", ()))
        return Layer(
            width=width,
            height=height,
            glyphs=_without_ligatures(
                _glyphs(packed.data[_HEAD.size + length :], int(head.get("characters", 0)), matrix), runs
            ),
            runs=runs,
            fonts=fonts,
            pictures=tuple(Picture(_shown(box, matrix), int(order)) for order, box, _ in head["pictures"]),
            rulings=tuple(Ruling(*_shown(line[:4], matrix), float(line[4])) for line in head["rulings"]),
            values=tuple(FormValue(str(text), _shown(box, matrix)) for text, box in head["values"]),
            annotations=int(head["annotations"]),
            cut=bool(head["cut"]),
            ink=InkGrid.of(packed.ink, packed.ink_columns, width, height),
            dots=tuple(_shown(box, matrix) for box in head["dots"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error) as error:
        raise LayerError from error


def _glyphs(arrays: bytes, count: int, matrix: _Matrix) -> list[Glyph]:
    if not 0 <= count <= CHARACTERS_MAX or len(arrays) != _ENTRY_BYTES * count:
        raise LayerError
    at = 9 * count
    codes, runs = array("I", arrays[: 4 * count]), array("i", arrays[4 * count : 8 * count])
    unmapped = [flag & _UNMAPPED > 0 for flag in arrays[8 * count : at]]
    boxes, inks = (_transformed(each, matrix) for each in (arrays[at : at + 16 * count], arrays[at + 16 * count :]))
    if max(codes, default=0) < 0xD800:
        values = zip(map(chr, codes), boxes, inks, runs, range(count), unmapped, strict=True)
        return list(map(partial(tuple.__new__, Glyph), values))  # half the time of Glyph(...)
    found: list[Glyph] = []
    high = 0
    for place, (code, box, ink, run, is_unmapped) in enumerate(zip(codes, boxes, inks, runs, unmapped, strict=True)):
        if 0xD800 <= code < 0xDC00:  # the first half of a character beyond the first plane
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00  # noqa: PLW2901
        high = 0
        text = chr(code) if code <= 0x10FFFF else "\ufffd"
        found.append(Glyph(text, box, ink, run, place, is_unmapped))
    return found


def _transformed(values: bytes, matrix: _Matrix) -> list[BoxPt]:
    """Boxes, four values each, as displayed."""
    x0, y0, x1, y1 = np.frombuffer(values, np.float32).reshape(-1, 4).T.astype(float, order="C")
    if not np.isfinite((x0, y0, x1, y1)).all():
        raise LayerError
    a, b, c, d, e, f = matrix
    if abs(b) > abs(a):  # the page is turned by a quarter
        (x0, x1), (y0, y1) = (c * y0 + e, c * y1 + e), (b * x0 + f, b * x1 + f)
    else:
        (x0, x1), (y0, y1) = (a * x0 + e, a * x1 + e), (d * y0 + f, d * y1 + f)
    sides = np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)
    return list(zip(*(side.tolist() for side in sides), strict=True))


def _without_ligatures(glyphs: list[Glyph], runs: tuple[Run, ...]) -> tuple[Glyph, ...]:
    """The letters of ligatures, each with its own part of the ligature's box."""
    boxes = [glyph.box for glyph in glyphs]
    is_alike = map(eq, boxes, boxes[1:])
    others = [at for at, alike in enumerate(is_alike, 1) if alike and glyphs[at].run == glyphs[at - 1].run]
    for letters in sequences.runs(others, lambda letters, at: at == letters[-1] + 1):
        first, count = letters[0] - 1, len(letters) + 1
        run = glyphs[first].run
        for part in range(count) if 0 <= run < len(runs) else ():
            letter = glyphs[first + part]
            box, ink = (_part(each, part / count, 1 / count, runs[run].angle) for each in letter[1:3])
            glyphs[first + part] = letter._replace(box=box, ink=ink)
    return tuple(glyphs)


def _part(box: BoxPt, start: float, share: float, angle: float) -> BoxPt:
    """A part of a box along the direction of its text."""
    left, top, right, bottom = box
    if angle in {180.0, 270.0}:
        start = 1 - start - share
    if angle in {90.0, 270.0}:
        height = bottom - top
        return left, top + start * height, right, top + (start + share) * height
    width = right - left
    return left + start * width, top, left + (start + share) * width, bottom


def _shown(box: list[float], matrix: _Matrix) -> BoxPt:
    a, b, c, d, e, f = matrix
    x0, y0, x1, y1 = (float(value) for value in box)
    xs = sorted((a * x0 + c * y0 + e, a * x1 + c * y1 + e))
    ys = sorted((b * x0 + d * y0 + f, b * x1 + d * y1 + f))
    if not all(math.isfinite(value) for value in (*xs, *ys)):
        raise LayerError
    return xs[0], ys[0], xs[1], ys[1]

"""Reads a page's text layer: characters with places, runs, fonts, pictures and rulings.

A part of the child program: imports pypdfium2 and the standard library only. Nothing is judged here: what is invisible
or wrong is told by `policy/text_layer`, which also reads the format that `layer_of` writes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import struct
from array import array
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from one_ocr_ray.pdf.shapes import OBJECTS_MAX, Shapes, all_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

# Beyond these a page is no text to read from its layer: the reply stays below 4 MB, the time below a second.
CHARACTERS_MAX = 50_000
VALUES_MAX = 500  # of form fields
VALUE_CHARACTERS_MAX = 2_000

_HEAD = struct.Struct(">I")
_POINTER, _INT, _UINT = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
_SPACES = frozenset({0x20, 0x0D, 0x0A})


def _fast(function: Any, result: Any) -> Any:
    """A function of pdfium without checks, as it is called for every character: integers are C's int.

    Pointers come from `byref` or `_pointer`; the interpreter is not released for the call.
    """
    return ctypes.PYFUNCTYPE(result)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_pointer = ctypes.c_void_p.from_param
_unicode = _fast(pdfium_c.FPDFText_GetUnicode, _UINT)
_object = _fast(pdfium_c.FPDFText_GetTextObject, _POINTER)
_generated = _fast(pdfium_c.FPDFText_IsGenerated, _INT)
_unmapped = _fast(pdfium_c.FPDFText_HasUnicodeMapError, _INT)
_matrix = _fast(pdfium_c.FPDFText_GetMatrix, _INT)
_font = _fast(pdfium_c.FPDFTextObj_GetFont, _POINTER)
_render_mode = _fast(pdfium_c.FPDFTextObj_GetTextRenderMode, _INT)
_size = _fast(pdfium_c.FPDFTextObj_GetFontSize, _INT)
_fill_colour = _fast(pdfium_c.FPDFPageObj_GetFillColor, _INT)


class _Boxes:
    """One of pdfium's functions for the box of a character. Pointers cost as much as its call and are made once."""

    def __init__(self, function: Any, numbers: str, sides: Sequence[int]) -> None:
        """`numbers`: their type code. The function's pointers, in order, are to these of a box's four numbers."""
        self._function = _fast(function, _INT)
        self._numbers = numbers
        self._box_bytes = 4 * array(numbers).itemsize
        self._room = ctypes.create_string_buffer(_BOXES_AT_ONCE * self._box_bytes)
        starts = range(0, len(self._room), self._box_bytes)
        self._pointers = [
            [ctypes.byref(self._room, start + side * self._box_bytes // 4) for start in starts] for side in sides
        ]

    def of(self, text: Any, count: int) -> array[float]:
        """The boxes of the first `count` characters, four numbers each."""
        found = array(self._numbers)
        for first in range(0, count, _BOXES_AT_ONCE):
            some = range(first, min(first + _BOXES_AT_ONCE, count))
            deque(map(self._function, repeat(text), some, *self._pointers), maxlen=0)
            found.frombytes(ctypes.string_at(self._room, len(some) * self._box_bytes))
        return array("f", found)


_BOXES_AT_ONCE = 1024
_loose_boxes = _Boxes(pdfium_c.FPDFText_GetLooseCharBox, "f", [0])
_ink_boxes = _Boxes(pdfium_c.FPDFText_GetCharBox, "d", [0, 2, 1, 3])  # left, right, bottom, top


def layer_of(page: Any) -> bytes:
    """The text layer of `page` as bytes: the length of a JSON head, the head, and arrays."""
    head: dict[str, Any] = {"width": page.get_width(), "height": page.get_height(), "to_display": _to_display(page)}
    shapes = Shapes(all_objects(page))
    head["cut"] = shapes.cut
    arrays = b""
    with contextlib.suppress(pdfium.PdfiumError), contextlib.closing(page.get_textpage()) as text:
        count = text.count_chars()
        head["cut"] = shapes.cut or count > CHARACTERS_MAX
        head |= {"characters": 0} if head["cut"] else {"characters": count}
        if not head["cut"]:
            runs, arrays = _characters(_pointer(ctypes.cast(text.raw, ctypes.c_void_p).value), count, shapes)
            head |= runs
    head |= {"pictures": shapes.pictures(), **shapes.drawn(), **_annotations(page)}
    encoded = json.dumps(head).encode()
    return _HEAD.pack(len(encoded)) + encoded + arrays


def _to_display(page: Any) -> list[float]:
    """The matrix from the page's own space to points as displayed, origin at the top left."""
    scale = 1000  # pdfium answers in whole units
    size = round(page.get_width() * scale), round(page.get_height() * scale)
    x, y = ctypes.c_int(), ctypes.c_int()

    def shown(at_x: float, at_y: float) -> tuple[float, float]:
        pdfium_c.FPDF_PageToDevice(page, 0, 0, *size, 0, at_x, at_y, x, y)
        return x.value / scale, y.value / scale

    reach = 100.0
    (e, f), (a, b), (c, d) = shown(0, 0), shown(reach, 0), shown(0, reach)
    return [(a - e) / reach, (b - f) / reach, (c - e) / reach, (d - f) / reach, e, f]


def _characters(text: Any, count: int, shapes: Shapes) -> tuple[dict[str, Any], bytes]:
    """Runs and fonts, then arrays: codes, runs, flags (1: generated, 2: no mapping), loose boxes and ink boxes."""
    codes = array("I", map(_unicode, repeat(text), range(count)))
    pieces = list(map(_object, repeat(text), range(count)))
    runs = {piece: run for run, piece in enumerate(filter(None, dict.fromkeys(pieces)))}
    flags, ink = bytearray(count), _ink_boxes.of(text, count)
    no_ink = array("f", [0.0] * 4)
    for index, (code, unmapped) in enumerate(zip(codes, map(_unmapped, repeat(text), range(count)), strict=True)):
        if code in _SPACES:
            flags[index] = _generated(text, index) == 1
            ink[4 * index : 4 * index + 4] = no_ink
        elif unmapped == 1:
            flags[index] = 2
    fonts: dict[int, dict[str, Any]] = {}
    first, described = 0, []
    for piece in runs:
        first = pieces.index(piece, first)
        described.append(_run(text, piece, first, shapes, fonts))
    run_of = array("i", [-1 if piece is None else runs[piece] for piece in pieces])
    arrays = b"".join((codes, run_of, flags, _loose_boxes.of(text, count), ink))
    return {"runs": described, "fonts": list(fonts.values())}, arrays


def _run(text: Any, piece: int, first: int, shapes: Shapes, fonts: dict[int, dict[str, Any]]) -> list[Any]:
    """The font, direction, render mode, colour and place in the painting order of a text object."""
    matrix = (ctypes.c_float * 6)()
    _matrix(text, first, ctypes.byref(matrix))
    colour = (ctypes.c_uint * 4)(0, 0, 0, 255)
    at = _pointer(piece)
    _fill_colour(at, *[ctypes.byref(colour, 4 * channel) for channel in range(4)])
    size = ctypes.c_float(1.0)
    _size(at, ctypes.byref(size))
    turn = -1 if size.value < 0 else 1  # a negative size turns text about, and its matrix back again
    font = _font(at) or 0
    if font not in fonts:
        fonts[font] = _described(font, len(fonts))
    direction = [round(turn * value, 4) if math.isfinite(value) else 0.0 for value in matrix[:4]]
    return [fonts[font]["number"], direction, _render_mode(at), list(colour), shapes.order.get(piece, -1)]


def _described(font: int, number: int) -> dict[str, Any]:
    if not font:
        return {"number": number, "name": "", "embedded": True, "flags": 0, "weight": 400, "size": 0}
    handle = ctypes.cast(font, pdfium_c.FPDF_FONT)
    name = ctypes.create_string_buffer(128)
    pdfium_c.FPDFFont_GetBaseFontName(handle, name, len(name))
    size = ctypes.c_size_t(0)
    pdfium_c.FPDFFont_GetFontData(handle, None, 0, size)
    return {
        "number": number,
        "name": name.value.decode(errors="replace"),
        "embedded": pdfium_c.FPDFFont_GetIsEmbedded(handle) == 1,
        "flags": pdfium_c.FPDFFont_GetFlags(handle),
        "weight": pdfium_c.FPDFFont_GetWeight(handle),
        "size": size.value,  # in bytes: tells fonts of one name apart
    }


def _annotations(page: Any) -> dict[str, Any]:
    """The values of form fields, which no text page holds, and the number of other annotations."""
    values: list[list[Any]] = []
    drawn = 0
    for index in range(min(pdfium_c.FPDFPage_GetAnnotCount(page), OBJECTS_MAX)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
            hidden = pdfium_c.FPDFAnnot_GetFlags(annotation) & (pdfium_c.FPDF_ANNOT_FLAG_HIDDEN | _NO_VIEW)
            if hidden or kind in _WITHOUT_TEXT:
                continue
            value = _value(page, annotation, kind) if len(values) < VALUES_MAX else None
            if value is None:
                drawn += 1
            else:
                rect = pdfium_c.FS_RECTF()
                pdfium_c.FPDFAnnot_GetRect(annotation, rect)
                sides = rect.left, rect.bottom, rect.right, rect.top
                values.append([value, [side if math.isfinite(side) else 0.0 for side in sides]])
        finally:
            pdfium_c.FPDFPage_CloseAnnot(annotation)
    return {"values": values, "annotations": drawn}


_NO_VIEW = 1 << 5
_WITHOUT_TEXT = frozenset(
    {
        pdfium_c.FPDF_ANNOT_LINK,
        pdfium_c.FPDF_ANNOT_POPUP,
        pdfium_c.FPDF_ANNOT_HIGHLIGHT,
        pdfium_c.FPDF_ANNOT_UNDERLINE,
        pdfium_c.FPDF_ANNOT_SQUIGGLY,
        pdfium_c.FPDF_ANNOT_STRIKEOUT,
        pdfium_c.FPDF_ANNOT_TEXT,
    }
)
_FIELDS_WITH_TEXT = frozenset(
    {pdfium_c.FPDF_FORMFIELD_TEXTFIELD, pdfium_c.FPDF_FORMFIELD_COMBOBOX, pdfium_c.FPDF_FORMFIELD_LISTBOX}
)
_BUTTONS = frozenset(
    {
        pdfium_c.FPDF_FORMFIELD_CHECKBOX,
        pdfium_c.FPDF_FORMFIELD_RADIOBUTTON,
        pdfium_c.FPDF_FORMFIELD_PUSHBUTTON,
    }
)


def _value(page: Any, annotation: Any, kind: int) -> str | None:
    """The text of a form field, empty where it has none. None for what is drawn otherwise."""
    if kind != pdfium_c.FPDF_ANNOT_WIDGET:
        return None
    if not page.formenv:
        return None
    field = pdfium_c.FPDFAnnot_GetFormFieldType(page.formenv, annotation)
    if field not in _FIELDS_WITH_TEXT:
        return "" if field in _BUTTONS else None
    units = (ctypes.c_ushort * VALUE_CHARACTERS_MAX)()
    length = pdfium_c.FPDFAnnot_GetFormFieldValue(page.formenv, annotation, units, ctypes.sizeof(units))
    if length > ctypes.sizeof(units):
        return None
    return bytes(units)[: max(0, length - 2)].decode("utf-16-le", errors="replace")

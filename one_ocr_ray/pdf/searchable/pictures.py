"""A picture file as a PDF, a page for each of its pictures. A part of the child program.

JPEG and PNG keep their compressed bytes where PDF knows them; other pictures are decoded and stored without loss. An
EXIF orientation becomes the page's /Rotate.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from one_ocr_ray.pdf.kinds import DocumentKind
from one_ocr_ray.pdf.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from PIL import Image

_MOST_SIDE_PT = 14_400.0  # a page's longest side that all readers show
_TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}  # by EXIF orientation, clockwise
_MIRRORED = {2: b"-1 0 0 1 1 0", 4: b"-1 0 0 1 1 0", 5: b"1 0 0 -1 0 1", 7: b"1 0 0 -1 0 1"}  # before the turn
_SPACES = {"1": Name.DeviceGray, "L": Name.DeviceGray, "RGB": Name.DeviceRGB, "CMYK": Name.DeviceCMYK}
_PNG_START = 8
_PNG_COLOURS = {0: 1, 2: 3}  # by colour type, those without a palette and transparency: channels


def pdf_of_pictures(path: Path, kind: DocumentKind, sizes_pt: Mapping[int, tuple[float, float]]) -> pikepdf.Pdf:
    """A PDF of the file at `path`. `sizes_pt`: of pages as displayed; a pixel of others is a point.

    Raises RefusedError where the file cannot be decoded.
    """
    pdf = pikepdf.new()
    pictures = Pictures(kind, path.open("rb"))
    for number in range(1, pictures.page_count + 1):
        image, orientation = pictures.stored(number)
        picture = _picture(pdf, path, kind, image)
        turn = _TURNS.get(orientation, 0)
        width, height = image.size
        shown = sizes_pt.get(number) or ((height, width) if turn % 180 else (width, height))
        scale = min(1.0, _MOST_SIDE_PT / max(shown))
        across, up = (scale * side for side in (shown[::-1] if turn % 180 else shown))
        page = pdf.add_blank_page(page_size=(across, up)).obj
        page.Rotate = turn
        page.Resources = Dictionary(XObject=Dictionary(P=picture))
        mirrored = _MIRRORED.get(orientation, b"1 0 0 1 0 0")
        page.Contents = pdf.make_stream(b"q %.4f 0 0 %.4f 0 0 cm %s cm /P Do Q" % (across, up, mirrored))
    return pdf


def _picture(pdf: pikepdf.Pdf, path: Path, kind: DocumentKind, image: Image.Image) -> Any:
    """The picture as an object of `pdf`."""
    if kind is DocumentKind.JPEG and image.mode in _SPACES:
        picture = _stream(pdf, path.read_bytes(), "/DCTDecode", image.size, mode=image.mode, bits=8)
        if image.mode == "CMYK" and "adobe" in image.info:  # Adobe's programs write these inverted
            picture.Decode = Array([1, 0] * 4)
        return picture
    if kind is DocumentKind.PNG and (raw := _png_data(path.read_bytes())) is not None:
        data, bits, colours = raw
        picture = _stream(pdf, data, "/FlateDecode", image.size, mode="L" if colours == 1 else "RGB", bits=bits)
        parameters = {"/Predictor": 15, "/Colors": colours, "/BitsPerComponent": bits, "/Columns": image.width}
        picture.DecodeParms = Dictionary(parameters)
        return picture
    flat = image if image.mode in _SPACES and not image.has_transparency_data else Pictures.on_white(image)
    bits = 1 if flat.mode == "1" else 8
    return _stream(pdf, zlib.compress(flat.tobytes()), "/FlateDecode", flat.size, mode=flat.mode, bits=bits)


def _stream(pdf: pikepdf.Pdf, data: bytes, name: str, size: tuple[int, int], *, mode: str, bits: int) -> Any:
    entries = {"/Type": Name.XObject, "/Subtype": Name.Image, "/Width": size[0], "/Height": size[1]}
    entries |= {"/ColorSpace": _SPACES[mode], "/BitsPerComponent": bits, "/Filter": Name(name)}
    return pdf.make_stream(data, entries)


def _png_data(data: bytes) -> tuple[bytes, int, int] | None:
    """The compressed rows of a PNG, with bits and channels. None where PDF needs them another way."""
    parts: list[bytes] = []
    head: tuple[int, ...] = ()
    at = _PNG_START
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        at += 12 + length
        if name == b"IHDR":
            head = struct.unpack(">IIBBBBB", content)
        elif name == b"IDAT":
            parts.append(content)
        elif name == b"tRNS":
            return None
    if not head or not parts:
        return None
    _, _, bits, colour, _, _, interlaced = head
    return None if interlaced or colour not in _PNG_COLOURS else (b"".join(parts), bits, _PNG_COLOURS[colour])

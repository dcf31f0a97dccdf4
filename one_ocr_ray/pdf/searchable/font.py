"""The font of invisible text: one blank glyph, and a table of characters by code.

A part of the child program. The glyph has an outline without area: pdfium and Chromium do not see text without a box.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from one_ocr_ray.policy.writers.pdf_text import WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = Name("/OneOCR-Blank")
_WIDTH, _WIDE_WIDTH = 500, 1000
_RANGES_AT_ONCE = 100  # a CMap holds no more between begin and end

# TrueType, 376 bytes: a glyph with the points (0, -200), (500, 800), (250, 300), 500 of 1000 units wide. No characters.
_TRUETYPE = base64.b64decode(
    "AAEAAAAIAIAAAwAAY21hcAAMAEYAAAEMAAAALGdseWbZXvTvAAABPAAAABpoZWFkYQtDOAAAAIwAAAA2aGhlYQUWAS4AAADE"
    "AAAAJGhtdHgB9AAAAAABCAAAAARsb2NhAAAADQAAATgAAAAEbWF4cAADAAUAAADoAAAAIHBvc3QAAwAAAAABWAAAACAAAQAA"
    "AAEAAOBCzYhfDzz1AAMD6AAAAAAAAAAAAAAAAAAAAAAAAP84AfQDIAAAAAMAAgAAAAAAAAABAAADIP84AAAB9AAAAAAB9AAB"
    "AAAAAAAAAAAAAAAAAAAAAQABAAAAAQADAAEAAAAAAAIAAAAAAAAAAAAAAAAAAAAAAfQAAAAAAAIAAAADAAAAFAADAAEAAAAU"
    "AAQAGAAAAAIAAgAAAAD//wAA//8AAQAAAAAADQABAAD/OAH0AyAAAgAAFQEDAfT6yAPo/gwAAAAAAwAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAA=="
)

_CMAP = """/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
{ranges}
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def add_font(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The font as an object of `pdf`; `set_characters` completes it."""
    box = Array([0, -200, _WIDTH, 800])
    descriptor = Dictionary(
        Type=Name.FontDescriptor, FontName=_NAME, Flags=4, FontBBox=box, ItalicAngle=0, Ascent=800, Descent=-200,
        CapHeight=800, StemV=80, FontFile2=_stream(pdf, _TRUETYPE, Length1=len(_TRUETYPE)),
    )  # fmt: skip
    widths = [value for first, last in WIDE for value in (first, last, _WIDE_WIDTH)]
    described = Dictionary(
        Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=_NAME, FontDescriptor=pdf.make_indirect(descriptor),
        CIDSystemInfo=Dictionary(Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0),
        DW=_WIDTH, W=Array(widths), CIDToGIDMap=_stream(pdf, bytes(2 * 0x10000)),
    )  # fmt: skip
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type0, BaseFont=_NAME, Encoding=Name("/Identity-H"),
        DescendantFonts=Array([pdf.make_indirect(described)]),
    )  # fmt: skip
    return pdf.make_indirect(font)


def set_characters(pdf: pikepdf.Pdf, font: pikepdf.Object, spare: Mapping[str, int]) -> None:
    """Say which character each code is: its own number, or that of `spare`."""
    own = (f"<{high:02X}00> <{high:02X}FF> <{high:02X}00>" for high in range(256) if not 0xD8 <= high <= 0xDF)
    others = (f"<{code:04X}> <{char.encode('utf-16-be').hex()}>" for char, code in spare.items())
    ranges = [*_sections("bfrange", own), *_sections("bfchar", others)]
    font.ToUnicode = _stream(pdf, _CMAP.format(ranges="\n".join(ranges)).encode())


def _sections(kind: str, lines: Iterable[str]) -> list[str]:
    rest = list(lines)
    parts = [rest[at : at + _RANGES_AT_ONCE] for at in range(0, len(rest), _RANGES_AT_ONCE)]
    return [f"{len(part)} begin{kind}\n" + "\n".join(part) + f"\nend{kind}" for part in parts]


def _stream(pdf: pikepdf.Pdf, data: bytes, **entries: int) -> pikepdf.Stream:
    stream = pdf.make_stream(zlib.compress(data, 9), Filter=Name.FlateDecode)
    for name, value in entries.items():
        stream[f"/{name}"] = value
    return stream

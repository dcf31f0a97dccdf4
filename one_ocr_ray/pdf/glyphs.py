"""Finds glyphs for text whose font is not embedded, and tells which are missing.

A part of the child program: imports pypdfium2 and the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import unicodedata
from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHARACTERS = 20_000  # looked at on one page: some 100 ms; a page of a thousand takes 20
TELLING = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "Sc", "Sm"}  # letters, numbers, currencies, mathematics
UNSEEN = {pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP}  # the text layer of a scan


class Substitutes(pdfium.PdfSysfontBase):  # type: ignore[misc]
    """Substitutes for fonts that are not embedded; `asked` is set once pdfium needs one."""

    def __init__(self, folders: Sequence[str]) -> None:
        """Restart pdfium, which takes font folders only at its start. No document may be open."""
        pdfium_c.FPDF_DestroyLibrary()
        self._paths = (ctypes.c_char_p * (len(folders) + 1))(*map(os.fsencode, folders), None)
        paths = ctypes.cast(self._paths, ctypes.POINTER(ctypes.POINTER(ctypes.c_char)))
        pdfium_c.FPDF_InitLibraryWithConfig(pdfium_c.FPDF_LIBRARY_CONFIG(version=2, m_pUserFontPaths=paths))
        self.asked = False
        super().__init__()
        self.setup()

    def MapFont(self, _: Any, weight: int, italic: int, charset: int, *rest: Any) -> Any:  # noqa: N802 - pypdfium2's name
        """Map to a font of the machine, or a Chinese one if Latin is not enough."""
        self.asked = True
        found = self.default.MapFont(self.default, weight, italic, charset, *rest)
        _, face, _ = rest
        if found or charset == pdfium_c.FXFONT_ANSI_CHARSET or ctypes.cast(face, ctypes.c_char_p).value == b"Symbol":
            return found  # pdfium itself has Latin letters, and those of Symbol
        return self.default.MapFont(self.default, weight, italic, pdfium_c.FXFONT_GB2312_CHARSET, *rest)


def lacks_glyphs(page: Any) -> bool:
    """True if no font has the visible letters or digits of `page`."""
    with contextlib.suppress(pdfium.PdfiumError), contextlib.closing(page.get_textpage()) as text:
        if text.count_chars() < pdfium_c.FPDFPage_CountObjects(page):
            # Pieces of text that have no extent are single characters without a glyph: no text to pdfium.
            pieces = [pdfium_c.FPDFPage_GetObject(page, index) for index in range(pdfium_c.FPDFPage_CountObjects(page))]
            pieces = [piece for piece in pieces if pdfium_c.FPDFPageObj_GetType(piece) == pdfium_c.FPDF_PAGEOBJ_TEXT]
            empty = 0
            for piece in pieces:
                left, bottom, right, top = (ctypes.c_float() for _ in range(4))
                pdfium_c.FPDFPageObj_GetBounds(piece, left, bottom, right, top)
                is_empty = right.value <= left.value and top.value <= bottom.value
                empty += is_empty and _substituted_font(piece) is not None
            return empty > len(pieces) // 2
        # Characters that pdfium has no glyph of its own for, and without which the text loses something. A control
        # character is a code that only the font can interpret; U+0002 and line ends come from pdfium.
        odd = {
            ord(character)
            for character in set(text.get_text_range())
            if (character < " " and character not in "\t\n\r\2")
            or (character > "\xff" and unicodedata.category(character) in TELLING)
        }
        return bool(odd) and _lacks_one_of(odd, text)
    return False  # drawn, but its text cannot be read


def _lacks_one_of(odd: set[int], text: Any) -> bool:
    """True if a character of a font not embedded has no glyph by Unicode."""
    drawn: set[tuple[int | None, int]] = set()
    for index in range(min(text.count_chars(), MAX_CHARACTERS)):
        if (code := pdfium_c.FPDFText_GetUnicode(text, index)) not in odd:
            continue
        part = pdfium_c.FPDFText_GetTextObject(text, index)
        if not part or not (font := _substituted_font(part)):
            continue
        glyph = ctypes.cast(font, ctypes.c_void_p).value, code
        if glyph not in drawn and not pdfium_c.FPDFFont_GetGlyphPath(font, code, 10.0):
            return True
        drawn.add(glyph)
    return False


def _substituted_font(piece: Any) -> Any:
    """The font of a piece of visible text if it is not embedded; otherwise None."""
    if pdfium_c.FPDFTextObj_GetTextRenderMode(piece) in UNSEEN:
        return None
    font = pdfium_c.FPDFTextObj_GetFont(piece)
    return font if font and not pdfium_c.FPDFFont_GetIsEmbedded(font) else None

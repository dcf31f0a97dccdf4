"""Glyphs for text whose font a PDF names but does not hold: where pdfium takes them from, and which it has not.

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
    """The fonts that pdfium may use in place of those that are not in a document; `asked` once it has needed one."""

    def __init__(self, folders: Sequence[str]) -> None:
        """Start pdfium anew: only then it takes folders. No document may be open."""
        pdfium_c.FPDF_DestroyLibrary()
        self._paths = (ctypes.c_char_p * (len(folders) + 1))(*map(os.fsencode, folders), None)
        paths = ctypes.cast(self._paths, ctypes.POINTER(ctypes.POINTER(ctypes.c_char)))
        pdfium_c.FPDF_InitLibraryWithConfig(pdfium_c.FPDF_LIBRARY_CONFIG(version=2, m_pUserFontPaths=paths))
        self.asked = False
        super().__init__()
        self.setup()

    def MapFont(self, _: Any, weight: int, italic: int, charset: int, *rest: Any) -> Any:  # noqa: N802 - pypdfium2's name
        """What the machine has; where that is nothing and Latin letters are not enough, a font for Chinese."""
        self.asked = True
        found = self.default.MapFont(self.default, weight, italic, charset, *rest)
        _, face, _ = rest
        if found or charset == pdfium_c.FXFONT_ANSI_CHARSET or ctypes.cast(face, ctypes.c_char_p).value == b"Symbol":
            return found  # pdfium itself has Latin letters, and those of Symbol
        return self.default.MapFont(self.default, weight, italic, pdfium_c.FXFONT_GB2312_CHARSET, *rest)


def lacks_glyphs(page: Any) -> bool:
    """Whether visible letters or digits of `page` are not drawn: neither document nor machine has the font."""
    with contextlib.suppress(pdfium.PdfiumError), contextlib.closing(page.get_textpage()) as text:
        if text.count_chars() < pdfium_c.FPDFPage_CountObjects(page):
            return _is_mostly_empty(page)
        odd = {ord(character) for character in set(text.get_text_range()) if _is_odd(character)}
        return bool(odd) and _lacks_one_of(odd, text)
    return False  # drawn, but its text cannot be had


def _is_odd(character: str) -> bool:
    """Whether pdfium has no glyph for it by itself, and a text loses something without it.

    A control character is a code whose meaning only the font knows; U+0002 and line ends are pdfium's own.
    """
    if character < " ":
        return character not in "\t\n\r\2"
    return character > "\xff" and unicodedata.category(character) in TELLING


def _lacks_one_of(odd: set[int], text: Any) -> bool:
    """Whether a character of a font that is not in the document has no glyph, or one that was not chosen by Unicode."""
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


def _is_mostly_empty(page: Any) -> bool:
    """Whether most pieces of text have no extent: one character each, without a glyph, which is no text to pdfium."""
    pieces = [pdfium_c.FPDFPage_GetObject(page, index) for index in range(pdfium_c.FPDFPage_CountObjects(page))]
    pieces = [piece for piece in pieces if pdfium_c.FPDFPageObj_GetType(piece) == pdfium_c.FPDF_PAGEOBJ_TEXT]
    empty = sum(_is_empty(piece) and _substituted_font(piece) is not None for piece in pieces)
    return empty > len(pieces) // 2


def _is_empty(piece: Any) -> bool:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium_c.FPDFPageObj_GetBounds(piece, left, bottom, right, top)
    return bool(right.value <= left.value and top.value <= bottom.value)


def _substituted_font(piece: Any) -> Any:
    """The font of a piece of visible text when it is not in the document; otherwise None."""
    if pdfium_c.FPDFTextObj_GetTextRenderMode(piece) in UNSEEN:
        return None
    font = pdfium_c.FPDFTextObj_GetFont(piece)
    return font if font and not pdfium_c.FPDFFont_GetIsEmbedded(font) else None

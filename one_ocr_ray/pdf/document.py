"""A PDF in pdfium's hands: opens it and draws its pages. A part of the child program."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from one_ocr_ray.pdf.drawing import Drawn, RefusedError, size_px
from one_ocr_ray.pdf.glyphs import lacks_glyphs
from one_ocr_ray.pdf.text import layer_of

if TYPE_CHECKING:
    from one_ocr_ray.pdf.glyphs import Substitutes


class UnopenedError(Exception):
    """pdfium does not open the file, and says why in a number."""

    def __init__(self, pdfium_error: int) -> None:
        super().__init__()
        self.pdfium_error = pdfium_error


class PdfDocument:
    """A PDF from a path, or from bytes. Raises UnopenedError."""

    def __init__(self, path: str | None, payload: bytes, password: str | None, substitutes: Substitutes) -> None:
        self._substitutes = substitutes
        self._source = payload  # pdfium reads from this memory as long as the document is open
        substitutes.asked = False
        secret = None if password is None else password.encode() + b"\0"
        # Below PdfDocument(), which cannot tell "no pages" from "no document" and then reports the last file's error.
        if path is None:
            raw = pdfium_c.FPDF_LoadMemDocument64(payload, len(payload), secret)
        else:
            raw = pdfium_c.FPDF_LoadDocument(os.fsencode(path) + b"\0", secret)
        if not raw:
            raise UnopenedError(pdfium_c.FPDF_GetLastError())
        self._document: Any = pdfium.PdfDocument(raw)
        with contextlib.suppress(pdfium.PdfiumError):  # a broken form must not cost the pages
            self._document.init_forms()  # before the first page is loaded, or filled-in fields stay invisible
        self.page_count = pdfium_c.FPDF_GetPageCount(raw)
        self.encrypted = pdfium_c.FPDF_GetSecurityHandlerRevision(raw) >= 0

    def close(self) -> None:
        """Let go of the file."""
        self._document.close()

    def draw(self, page_number: int, longest_side_px: int, *, layer: bool) -> Drawn:
        """Draw a page, with its text layer where that is wanted. Raises RefusedError."""
        try:
            with contextlib.closing(self._page(page_number)) as page:
                width_pt, height_pt = page.get_size()
                width_px, height_px = size_px(width_pt, height_pt, longest_side_px)
                # 4 bytes a pixel in Pillow's own order: no copy between pdfium and the JPEG writer.
                bitmap = pdfium.PdfBitmap.new_native(width_px, height_px, pdfium_c.FPDFBitmap_BGRx, rev_byteorder=True)
                bitmap.fill_rect((255, 255, 255, 255), 0, 0, width_px, height_px)
                flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
                area = (bitmap, page, 0, 0, width_px, height_px, 0, flags)
                pdfium_c.FPDF_RenderPageBitmap(*area)  # applies /Rotate
                if page.formenv:
                    pdfium_c.FPDF_FFLDraw(page.formenv, *area)
                return Drawn(
                    bitmap.to_pil(),  # shares the bitmap's memory
                    width_pt,
                    height_pt,
                    page.get_rotation(),
                    sheet_pt=max(width_pt, height_pt),
                    glyphs_missing=self._substitutes.asked and lacks_glyphs(page),
                    layer=layer_of(page) if layer else None,
                )
        except pdfium.PdfiumError as error:
            raise RefusedError("page") from error

    def _page(self, page_number: int) -> Any:
        page = self._document[page_number - 1]
        if page.get_width() > 0 and page.get_height() > 0:
            return page
        page.set_cropbox(0, 0, 0, 0)  # it lies outside the MediaBox: for an empty one pdfium takes the MediaBox itself
        page.close()
        return self._document[page_number - 1]

"""The program that may die. It holds one open document and answers one request at a time.

Run by `pdf/reader.py` as `python -m one_ocr_ray.pdf.child MEMORY_BYTES FONT_FOLDER...`. A document can hang its library
for ever, abort the process or eat all memory, so everything that touches pdfium or a picture's decoder lives here and
in the parts of this program: a module for each kind of document (`document`, `pictures`, `comic`), and what they share.
Imports pypdfium2, Pillow and the standard library only: it starts in a tenth of a second and knows nothing of keys, Ray
or the network.

Its standard input is a socket, for both ways. A frame is two big-endian 32-bit lengths, a JSON header and payload
bytes. The first frame out is empty: "ready". Every frame in has `do` in its header and gets exactly one frame out, with
`refused` in the header where the library said no. Anything worse ends the process, which is an answer too.

    open    {kind, path | payload, password}   -> {page_count, encrypted} or {refused: "open", pdfium_error: 1..6}
    render  {page_number, longest_side_px, layer}
            -> {width_px, height_px, page_box, ink_cells, glyphs_missing, jpeg_bytes} + JPEG
               and where the layer is asked for and there is one {layer_bytes, ink_columns} + text layer + grid of ink
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from one_ocr_ray.pdf.comic import ComicBook
from one_ocr_ray.pdf.document import PdfDocument, UnopenedError
from one_ocr_ray.pdf.drawing import OpenDocument, RefusedError
from one_ocr_ray.pdf.frames import Action, Header, begin, serve
from one_ocr_ray.pdf.glyphs import Substitutes
from one_ocr_ray.pdf.ink import ink_cells, ink_grid
from one_ocr_ray.pdf.kinds import DocumentKind
from one_ocr_ray.pdf.pictures import Pictures

JPEG_QUALITY = 85


class _Reader:
    """The open document; each action takes a request's header and payload and returns a reply's."""

    def __init__(self, substitutes: Substitutes) -> None:
        self._substitutes = substitutes
        self._document: OpenDocument | None = None

    def open(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        if self._document is not None:
            self._document.close()
            self._document = None
        kind, path = DocumentKind(header["kind"]), header["path"]
        if kind is DocumentKind.PDF:
            self._document = PdfDocument(path, payload, header["password"], self._substitutes)
        else:
            stream = io.BytesIO(payload) if path is None else Path(path).open("rb")  # noqa: SIM115 - closed with it
            self._document = ComicBook(stream) if kind is DocumentKind.ZIP else Pictures(kind, stream)
        return {"page_count": self._document.page_count, "encrypted": self._document.encrypted}, b""

    def render(self, header: Header, _: bytes) -> tuple[Header, bytes]:
        if self._document is None:
            raise RefusedError("page")
        page = self._document.draw(header["page_number"], header["longest_side_px"], layer=header["layer"])
        layer, reply = b"", {}
        if page.layer is not None:
            reply["layer_bytes"] = len(page.layer)
            reply["ink_columns"], grid = ink_grid(page.image)
            layer = page.layer + grid
        jpeg = io.BytesIO()
        page.image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
        return {
            "width_px": page.image.width,
            "height_px": page.image.height,
            "page_box": (page.width_pt, page.height_pt, page.rotate_deg),
            "ink_cells": ink_cells(page.image, page.sheet_pt),
            "glyphs_missing": page.glyphs_missing,
            "jpeg_bytes": jpeg.tell(),
            **reply,
        }, jpeg.getvalue() + layer


def _refusing(action: Action) -> Action:
    """`action` with a refusal as its reply where the library says no."""

    def answer(header: Header, payload: bytes) -> tuple[Header, bytes]:
        try:
            return action(header, payload)
        except RefusedError as refusal:
            return {"refused": str(refusal)}, b""
        except UnopenedError as unopened:
            return {"refused": "open", "pdfium_error": unopened.pdfium_error}, b""
        except OSError:  # a picture's file is gone
            return {"refused": "open"}, b""

    return answer


def main() -> None:
    replies = begin(int(sys.argv[1]))
    reader = _Reader(Substitutes(sys.argv[2:]))
    serve({"open": _refusing(reader.open), "render": _refusing(reader.render)}, replies)


if __name__ == "__main__":
    main()

"""The program that may die: holds one open PDF in pdfium and answers one request at a time.

Run by `pdf/reader.py` as `python -m one_ocr_ray.pdf.child MEMORY_BYTES FONT_FOLDER...`. A PDF can hang pdfium for
ever, abort the process or eat all memory, so everything that touches pdfium lives here and in the parts of this
program: `glyphs`, `ink`, `text` and `shapes`. Imports pypdfium2, Pillow and the standard library only: it starts in a
tenth of a second and knows nothing of keys, Ray or the network.

Its standard input is a socket, for both ways. A frame is two big-endian 32-bit lengths, a JSON header and payload
bytes. The first frame out is empty: "ready". Every frame in has `do` in its header and gets exactly one frame out, with
`refused` in the header where pdfium said no. Anything worse ends the process, which is an answer too.

    open    {path | payload, password}         -> {page_count, encrypted} or {refused: "open", pdfium_error: 1..6}
    render  {page_number, longest_side_px, layer}
            -> {width_px, height_px, page_box, ink_cells, glyphs_missing, jpeg_bytes} + JPEG
               and where the layer is asked for {layer_bytes, ink_columns} + text layer + grid of ink
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import resource
import select
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from one_ocr_ray.pdf.glyphs import Substitutes, lacks_glyphs
from one_ocr_ray.pdf.ink import ink_cells, ink_grid
from one_ocr_ray.pdf.text import layer_of

Header = dict[str, Any]
Action = Callable[[Header, bytes], tuple[Header, bytes]]

FRAME = struct.Struct(">II")
JPEG_QUALITY = 85
MAX_ASPECT = 100  # a page drawn at 1600 px would be less than 16 px across: no line of text survives that
MAX_PIXELS = 64_000_000  # 256 MB as a bitmap; a letter page at 850 dpi


class _RefusedError(Exception):
    """The page asked for cannot be drawn; the document stays open. Its text is the value of `refused`."""


class _Reader:
    """The document in pdfium's hands; each action takes a request's header and payload and returns a reply's."""

    def __init__(self, substitutes: Substitutes) -> None:
        self._substitutes = substitutes
        self._document: Any = None
        self._source = b""  # pdfium reads from this memory as long as the document is open

    def open(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        if self._document is not None:
            self._document.close()
        self._substitutes.asked = False
        password = header["password"]
        secret = None if password is None else password.encode() + b"\0"
        # Below PdfDocument(), which cannot tell "no pages" from "no document" and then reports the last file's error.
        if header["path"] is None:
            self._source = payload
            raw = pdfium_c.FPDF_LoadMemDocument64(payload, len(payload), secret)
        else:
            raw = pdfium_c.FPDF_LoadDocument(os.fsencode(header["path"]) + b"\0", secret)
        if not raw:
            return {"refused": "open", "pdfium_error": pdfium_c.FPDF_GetLastError()}, b""
        self._document = pdfium.PdfDocument(raw)
        with contextlib.suppress(pdfium.PdfiumError):  # a broken form must not cost the pages
            self._document.init_forms()  # before the first page is loaded, or filled-in fields stay invisible
        encrypted = pdfium_c.FPDF_GetSecurityHandlerRevision(raw) >= 0
        return {"page_count": pdfium_c.FPDF_GetPageCount(raw), "encrypted": encrypted}, b""

    def render(self, header: Header, _: bytes) -> tuple[Header, bytes]:
        layer, reply = b"", {}
        with contextlib.closing(self._page(header["page_number"])) as page:
            image = _draw(page, header["longest_side_px"]).to_pil()  # shares the bitmap's memory
            width_pt, height_pt = page.get_size()
            rotate_deg = page.get_rotation()
            glyphs_missing = self._substitutes.asked and lacks_glyphs(page)
            if header["layer"]:
                layer = layer_of(page)
        if header["layer"]:
            reply["layer_bytes"] = len(layer)
            reply["ink_columns"], grid = ink_grid(image)
            layer += grid
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
        return {
            "width_px": image.width,
            "height_px": image.height,
            "page_box": (width_pt, height_pt, rotate_deg),
            "ink_cells": ink_cells(image, max(width_pt, height_pt)),
            "glyphs_missing": glyphs_missing,
            "jpeg_bytes": jpeg.tell(),
            **reply,
        }, jpeg.getvalue() + layer

    def _page(self, page_number: int) -> Any:
        page = self._document[page_number - 1]
        if page.get_width() > 0 and page.get_height() > 0:
            return page
        page.set_cropbox(0, 0, 0, 0)  # it lies outside the MediaBox: for an empty one pdfium takes the MediaBox itself
        page.close()
        return self._document[page_number - 1]


def _draw(page: Any, longest_side_px: int) -> Any:
    """Draw straight to the target size on white, annotations and form fields included; pdfium applies /Rotate."""
    width_px, height_px = _size_px(page.get_width(), page.get_height(), longest_side_px)
    # 4 bytes a pixel in Pillow's own order: no copy between pdfium and the JPEG writer.
    bitmap = pdfium.PdfBitmap.new_native(width_px, height_px, pdfium_c.FPDFBitmap_BGRx, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width_px, height_px)
    area = (bitmap, page, 0, 0, width_px, height_px, 0, pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER)
    pdfium_c.FPDF_RenderPageBitmap(*area)
    if page.formenv:
        pdfium_c.FPDF_FFLDraw(page.formenv, *area)
    return bitmap


def _size_px(width_pt: float, height_pt: float, longest_side_px: int) -> tuple[int, int]:
    longest_pt, shortest_pt = max(width_pt, height_pt), min(width_pt, height_pt)
    if not 0 < shortest_pt <= longest_pt < math.inf:
        raise _RefusedError("page")
    if longest_pt > MAX_ASPECT * shortest_pt:
        raise _RefusedError("aspect")
    scale = longest_side_px / longest_pt
    width_px, height_px = max(1, round(width_pt * scale)), max(1, round(height_pt * scale))
    if width_px * height_px > MAX_PIXELS:
        raise _RefusedError("pixels")
    return width_px, height_px


def _send(replies: BinaryIO, header: Header, payload: bytes = b"") -> None:
    head = json.dumps(header).encode()
    replies.write(FRAME.pack(len(head), len(payload)) + head)
    replies.write(payload)
    replies.flush()


def _limit(memory_bytes: int) -> None:
    """Hold this process to its address space, and never write a core: it would contain pages."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS has the name and refuses the call
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_with_parent() -> None:
    """End the process when the other end of its socket is gone, even in the middle of a call into pdfium."""
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    poll.poll()
    os._exit(0)


def main() -> None:
    requests, replies = sys.stdin.buffer, os.fdopen(0, "wb", closefd=False)  # standard input is a socket: both ways
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(int(sys.argv[1]))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # from here on, standard error could quote a document
    reader = _Reader(Substitutes(sys.argv[2:]))
    _send(replies, {})
    actions: dict[str, Action] = {"open": reader.open, "render": reader.render}
    while len(start := requests.read(FRAME.size)) == FRAME.size:
        header_bytes, payload_bytes = FRAME.unpack(start)
        header, payload = json.loads(requests.read(header_bytes)), requests.read(payload_bytes)
        try:
            reply, data = actions[header["do"]](header, payload)
        except _RefusedError as refusal:
            reply, data = {"refused": str(refusal)}, b""
        except pdfium.PdfiumError:
            reply, data = {"refused": "page"}, b""
        _send(replies, reply, data)


if __name__ == "__main__":
    main()

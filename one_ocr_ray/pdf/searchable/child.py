"""The program that may die. It puts text layers on the pages of one PDF and writes a copy.

Run by `writer` as `python -m one_ocr_ray.pdf.searchable.child MEMORY_BYTES`; frames are those of `pdf/child.py`. qpdf
reads hostile files, so everything that touches it lives here and in the parts of this program: `content` and `font`.

    open    {path, password} -> {page_count, encrypted, signed, may_change} or {refused: "password" | "corrupt"}
    picture {path, kind} + JSON of the pages' sizes in points -> {page_count} or {refused: "picture"}
    page    {page_number, width, height, rotate, beside_visible} + text operators -> {written} or {refused: "page"}
    save    {path} + JSON of characters with spare codes -> {size_bytes} or {refused: "save"}
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary

from one_ocr_ray.pdf.drawing import RefusedError
from one_ocr_ray.pdf.frames import Header, begin, serve
from one_ocr_ray.pdf.kinds import DocumentKind
from one_ocr_ray.pdf.searchable.content import compressed, look_through, look_through_forms, shallow
from one_ocr_ray.pdf.searchable.font import add_font, set_characters
from one_ocr_ray.pdf.searchable.pictures import pdf_of_pictures
from one_ocr_ray.policy.writers.pdf_text import FONT

_MOST_DEPTH = 500  # of the tree of pages; qpdf reads no deeper one
_MOST_FIELDS = 20_000  # of a form that are searched for signatures
_LETTER = (0.0, 0.0, 612.0, 792.0)
# A page has a visible layer of its own where it shows half as many bytes of text as the layer would have.
_VISIBLE_SHARE = 0.5

_CODES = re.compile(rb"<([0-9A-F]+)>")

_Box = tuple[float, float, float, float]


class _Copy:
    """The open document; each action takes a request's header and payload and returns a reply's."""

    def __init__(self) -> None:
        self._pdf = pikepdf.new()
        self._font: Any = None

    def picture(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        self._font = None
        self._pdf.close()
        sizes_pt = {int(number): (size[0], size[1]) for number, size in json.loads(payload).items()}
        try:
            self._pdf = pdf_of_pictures(Path(header["path"]), DocumentKind(header["kind"]), sizes_pt)
        except (RefusedError, OSError, ValueError):
            return {"refused": "picture"}, b""
        return {"page_count": len(self._pdf.pages)}, b""

    def open(self, header: Header, _: bytes) -> tuple[Header, bytes]:
        self._font = None
        self._pdf.close()
        try:
            # By reading, not by mapping: a mapped file would count against the limit of this process.
            access = pikepdf.AccessMode.stream
            self._pdf = pikepdf.open(
                header["path"],
                password=header["password"] or "",
                access_mode=access,
                inherit_page_attributes=False,  # which would write them to each page
            )
            page_count = len(self._pdf.pages)
        except pikepdf.PasswordError:
            return {"refused": "password"}, b""
        except (pikepdf.PdfError, OSError, ValueError):
            return {"refused": "corrupt"}, b""
        encrypted = self._pdf.is_encrypted
        return {
            "page_count": page_count,
            "encrypted": encrypted,
            "signed": _is_signed(self._pdf),
            "may_change": not encrypted or self._pdf.owner_password_matched or self._pdf.allow.modify_other,
        }, b""

    def page(self, header: Header, body: bytes) -> tuple[Header, bytes]:
        try:
            return {"written": self._add(header, body)}, b""
        except (pikepdf.PdfError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            return {"refused": "page"}, b""  # the page is not what the specification says

    def _add(self, header: Header, body: bytes) -> bool:
        page = self._pdf.pages[header["page_number"] - 1].obj
        contents = page.get("/Contents")
        found = list(contents) if isinstance(contents, Array) else [contents]
        streams = [each for each in found if isinstance(each, pikepdf.Stream)]
        content = look_through(self._pdf, streams)
        resources = _inherited(page, "/Resources")
        resources = shallow(resources) if isinstance(resources, Dictionary) else Dictionary()
        in_forms, stripped = look_through_forms(self._pdf, resources)
        characters = sum(map(len, _CODES.findall(body))) // 4
        if not header["beside_visible"] and content.visible_bytes + in_forms >= _VISIBLE_SHARE * characters:
            return False
        if self._font is None:
            self._font = add_font(self._pdf)
        resources = resources if stripped is None else stripped
        fonts = resources.get("/Font")
        fonts = shallow(fonts) if isinstance(fonts, Dictionary) else Dictionary()
        fonts[f"/{FONT}"] = self._font
        resources["/Font"] = fonts
        page.Resources = resources
        if content.data is not None:
            streams = [compressed(self._pdf, content.data)]
        tagged = "/StructTreeRoot" in self._pdf.Root
        # What is shown of the page, in its own space: the part of the crop box that is in the media box.
        media = _rectangle(_inherited(page, "/MediaBox")) or _LETTER
        crop = _rectangle(_inherited(page, "/CropBox")) or media
        common = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
        box = common if common[2] > common[0] and common[3] > common[1] else media
        layer = b"%s/%s BMC\nq %s cm\nBT\n3 Tr\n%s\nET\nQ\nEMC" % (
            b"Q\n" * (1 + content.unclosed),
            b"Artifact" if tagged else FONT.encode(),
            _to_page(box, (header["width"], header["height"], header["rotate"] % 360)),
            body,
        )
        before = self._pdf.make_stream(b"q")
        page.Contents = Array([before, *streams, compressed(self._pdf, layer)])
        return True

    def save(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        target, encrypted = Path(header["path"]), self._pdf.is_encrypted
        try:
            if self._font is not None:
                set_characters(self._pdf, self._font, json.loads(payload))
            self._pdf.save(
                target,
                # Streams stay as they are, and so does the encryption with its passwords. A file with object streams is
                # compressed throughout; where these are not, it would grow by half.
                compress_streams=self._pdf.trailer.get("/Type") == "/XRef",
                stream_decode_level=None if encrypted else pikepdf.StreamDecodeLevel.none,  # refused with encryption
                object_stream_mode=pikepdf.ObjectStreamMode.preserve,
                fix_metadata_version=False,
                encryption=encrypted,
                deterministic_id=not encrypted,
            )
        except (pikepdf.PdfError, RuntimeError, ValueError, TypeError):
            return {"refused": "save"}, b""
        return {"size_bytes": target.stat().st_size}, b""


def _inherited(page: Any, name: str) -> Any:
    """A value of the page, or of the nearest node above it that has one."""
    node = page
    for _ in range(_MOST_DEPTH):
        if not isinstance(node, Dictionary):
            return None
        if name in node:
            return node[name]
        node = node.get("/Parent")
    return None


def _rectangle(value: Any) -> _Box | None:
    if not isinstance(value, Array) or len(value) != 4:
        return None
    x0, y0, x1, y1 = (float(each) for each in value)
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return box if box[2] > box[0] and box[3] > box[1] else None


def _to_page(box: _Box, displayed: tuple[float, float, int]) -> bytes:
    """The matrix from the displayed page, origin at the bottom left, to its own space."""
    left, bottom, right, top = box
    width, height, rotate = displayed
    across, up = right - left, top - bottom
    matrix: tuple[float, ...]
    match rotate:
        case 90:
            matrix = (0, up / width, -across / height, 0, right, bottom)
        case 180:
            matrix = (-across / width, 0, 0, -up / height, right, top)
        case 270:
            matrix = (0, -up / width, across / height, 0, left, top)
        case _:
            matrix = (across / width, 0, 0, up / height, left, bottom)
    return b" ".join(b"%.6f" % value for value in matrix)


def _is_signed(pdf: pikepdf.Pdf) -> bool:
    """True if a change breaks a signature: a signed field, a certified document, usage rights."""
    if "/Perms" in pdf.Root:
        return True
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, Dictionary):
        return False
    if int(form.get("/SigFlags", 0)) & 2:  # only appending keeps the signatures
        return True
    waiting = list(form.get("/Fields", []))[:_MOST_FIELDS]
    for _ in range(_MOST_FIELDS):
        if not waiting:
            break
        item = waiting.pop()
        if not isinstance(item, Dictionary):
            continue
        signature = item.get("/V")
        if isinstance(signature, Dictionary) and "/ByteRange" in signature:
            return True
        waiting += list(item.get("/Kids", []))[:_MOST_FIELDS]
    return False


def main() -> None:
    replies = begin(int(sys.argv[1]))
    copy = _Copy()
    serve({"open": copy.open, "picture": copy.picture, "page": copy.page, "save": copy.save}, replies)


if __name__ == "__main__":
    main()

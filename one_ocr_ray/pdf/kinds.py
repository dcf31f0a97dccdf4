"""What kind of file some bytes are, by how they begin. Names and endings are never asked.

The process that opens documents and its child use it: standard library only.
"""

from __future__ import annotations

import re
from enum import StrEnum

HEAD_BYTES = 1024  # where "%PDF-" must stand (Adobe's PDF Reference 1.7, appendix H, note 13)


class DocumentKind(StrEnum):
    """A kind of document. The value of a picture's kind is Pillow's name of its format."""

    PDF = "PDF"
    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WEBP"
    BMP = "BMP"
    GIF = "GIF"
    JPEG2000 = "JPEG2000"
    HEIF = "HEIF"
    ZIP = "ZIP"


_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\x89PNG\r\n\x1a\n", DocumentKind.PNG),
        (rb"\xff\xd8\xff", DocumentKind.JPEG),
        (rb"II[*+]\0|MM\0[*+]", DocumentKind.TIFF),
        (rb"RIFF.{4}WEBP", DocumentKind.WEBP),
        (rb"GIF8[79]a", DocumentKind.GIF),
        (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", DocumentKind.JPEG2000),
        (rb"PK(?:\x03\x04|\x05\x06)", DocumentKind.ZIP),
        (rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", DocumentKind.HEIF),
        # Two letters are too few: no file has other reserved bytes than zeros, or another size of the second header.
        (rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", DocumentKind.BMP),
    )
)


def kind_of(head: bytes) -> DocumentKind | None:
    """The kind of a file whose first `HEAD_BYTES` bytes are `head`. None if it cannot be read."""
    for pattern, kind in _SIGNATURES:
        if pattern.match(head):
            return kind
    return DocumentKind.PDF if b"%PDF-" in head[:HEAD_BYTES] else None

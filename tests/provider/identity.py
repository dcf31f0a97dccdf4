"""Pages that say who they are: PDFs whose every page carries its document and page number, and the reader of its image.

The marker is one row of black and white bars across the top of the page: 64 bits between two guards, at fixed fractions
of the page's width and height, so that it is found without searching in an image of any size. The reader decodes only
the top strip of the JPEG; a page of 300 KB costs about half a millisecond.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import random
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Fractions of the page: where the bars stand.
LEFT, RIGHT, TOP, BOTTOM = 0.10, 0.90, 0.03, 0.06
STRIP = 0.07  # of the height: all that the reader decodes
DATA_BITS = 64  # document 24, page 16, checksum 24
GUARD_LEFT, GUARD_RIGHT = "10", "01"
BARS = len(GUARD_LEFT) + DATA_BITS + len(GUARD_RIGHT)
MIN_CONTRAST = 64  # of 255, between the darkest and the brightest bar

_NAME = re.compile(r"doc-(\d{4,}) page (\d+)")
_WORDS = (
    "the",
    "sea",
    "report",
    "of",
    "north",
    "light",
    "table",
    "found",
    "under",
    "seven",
    "rivers",
    "every",
    "stone",
)


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Which page of which document; written `doc-0007 page 12`. Documents 0 to 2**24 - 1, pages 1 to 65,535."""

    document: int
    page: int

    def __str__(self) -> str:
        return f"doc-{self.document:04d} page {self.page}"

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Find the first identity in `text`; ValueError when there is none."""
        found = _NAME.search(text)
        if found is None:
            message = f"no page identity in {text[:60]!r}"
            raise ValueError(message)
        return cls(int(found[1]), int(found[2]))


def document_name(document: int) -> str:
    """File name of an identity document: `doc-0007.pdf`."""
    return f"doc-{document:04d}.pdf"


def bars_of(identity: Identity) -> str:
    """Return the marker as a string of `1` (black) and `0` (white), guards included."""
    payload = identity.document.to_bytes(3, "big") + identity.page.to_bytes(2, "big")
    number = int.from_bytes(payload + _checksum(payload), "big")
    return f"{GUARD_LEFT}{number:0{DATA_BITS}b}{GUARD_RIGHT}"


def identity_of(bars: str) -> Identity | None:
    """Return the page a marker names, None when guards or checksum say that this is no marker."""
    if not (bars.startswith(GUARD_LEFT) and bars.endswith(GUARD_RIGHT)):
        return None
    data = int(bars[len(GUARD_LEFT) : -len(GUARD_RIGHT)], 2).to_bytes(DATA_BITS // 8, "big")
    payload, checksum = data[:5], data[5:]
    if _checksum(payload) != checksum:
        return None
    return Identity(int.from_bytes(payload[:3], "big"), int.from_bytes(payload[3:], "big"))


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(4, "big")[:3]


# --- reading


def read_identity(jpeg: bytes) -> Identity | None:
    """Read the marker of a page image; None when it has none. Raises OSError for a broken or cut-off image."""
    with Image.open(io.BytesIO(_top_strip(jpeg))) as image:
        width, height = image.size
        page_height = _jpeg_height(jpeg)[1]
        image.draft("L", (256, 1))  # lets the JPEG decoder shrink the page to three pixels a bar or more
        scale = image.size[0] / width
        middle = (TOP + BOTTOM) / 2 * page_height * scale
        reach = (BOTTOM - TOP) / 4 * page_height * scale
        box = (LEFT * width * scale, middle - reach, RIGHT * width * scale, min(middle + reach, height * scale))
        row = image.convert("L").resize((3 * BARS, 1), Image.Resampling.BOX, box=box).tobytes()
    centres = row[1::3]
    darkest, brightest = min(centres), max(centres)
    if brightest - darkest < MIN_CONTRAST:
        return None
    return identity_of("".join("1" if value < (darkest + brightest) / 2 else "0" for value in centres))


def page_of_base64(data: bytes) -> str | None:
    """Name the page in a base64 JPEG: its identity, or None.

    The marker stands at the top, so an eighth of the data is nearly always enough; decoding base64 is what costs.
    """
    for share in (8, 2, 1):
        try:
            identity = read_identity(binascii.a2b_base64(data[: len(data) // (4 * share) * 4]))
        except (OSError, ValueError, IndexError):  # cut too short, or no image at all
            continue
        return str(identity) if identity else None
    return None


def digest_of_base64(data: bytes) -> str:
    """Name a page image by its bytes, for documents without markers: `sha256:` and 16 hex digits of the base64 text."""
    return "sha256:" + hashlib.sha256(data).hexdigest()[:16]


def _top_strip(jpeg: bytes) -> bytes:
    """Cut the JPEG to its top strip by the height in its frame header; a progressive one stays whole."""
    offset, height = _jpeg_height(jpeg)
    if jpeg[offset - 4] == 0xC2:
        return jpeg
    rows = max(1, round(height * STRIP))
    return jpeg[:offset] + rows.to_bytes(2, "big") + jpeg[offset + 2 :]


def _jpeg_height(jpeg: bytes) -> tuple[int, int]:
    """Return (offset of the height in the frame header, height in px). ITU T.81: segments from byte 2, SOF0 to SOF2."""
    offset = 2
    while jpeg[offset + 1] not in (0xC0, 0xC1, 0xC2):
        if jpeg[offset] != 0xFF:
            message = "not a JPEG"
            raise ValueError(message)
        offset += 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
    return offset + 5, int.from_bytes(jpeg[offset + 5 : offset + 7], "big")


# --- writing


def identity_pdf(
    document: int, pages: int | Iterable[int], *, size_pt: tuple[float, float] = (595.0, 842.0), lines: int = 12
) -> bytes:
    """Return a PDF whose pages carry marker, visible name and `lines` lines of text.

    `pages` is a number of pages, or the page numbers to write into the markers one by one. 60 lines make a page image
    of about 300 KB at a longest side of 1600 px.
    """
    numbers = range(1, pages + 1) if isinstance(pages, int) else list(pages)
    width, height = size_pt
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>"
        % (len(numbers), b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(numbers)))),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for index, number in enumerate(numbers):
        content = _page_content(Identity(document, number), width, height, lines)
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>"
            % (width, height, 5 + 2 * index)
        )
        objects.append(b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content))
    return _pdf_file(objects)


def write_identity_pdfs(folder: Path, documents: Iterable[int], pages: int, *, lines: int = 12) -> list[Path]:
    """Write one identity PDF per document number into `folder` (which must exist); return their paths."""
    paths = []
    for document in documents:
        path = folder / document_name(document)
        path.write_bytes(identity_pdf(document, pages, lines=lines))
        paths.append(path)
    return paths


def _page_content(identity: Identity, width: float, height: float, lines: int) -> bytes:
    bar = (RIGHT - LEFT) * width / BARS
    y, bar_height = height * (1 - BOTTOM), height * (BOTTOM - TOP)
    runs = re.finditer("1+", bars_of(identity))
    commands = [
        f"{LEFT * width + run.start() * bar:.3f} {y:.3f} {len(run[0]) * bar:.3f} {bar_height:.3f} re f" for run in runs
    ]
    left, size = LEFT * width, height / 35
    commands.append(f"BT /F {size:.2f} Tf {left:.2f} {height * 0.88:.2f} Td ({identity}) Tj ET")
    words = random.Random(str(identity))
    step = height * 0.78 / max(lines, 12)
    for line in range(lines):
        text = " ".join(words.choices(_WORDS, k=12))
        commands.append(f"BT /F {step * 0.7:.2f} Tf {left:.2f} {height * 0.84 - line * step:.2f} Td ({text}) Tj ET")
    return "\n".join(commands).encode()


def _pdf_file(objects: list[bytes]) -> bytes:
    parts, offsets, position = [b"%PDF-1.4\n"], [], len(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        offsets.append(position)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        position += len(parts[-1])
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table))
    parts.append(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, position))
    return b"".join(parts)

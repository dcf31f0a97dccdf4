"""Picture files for tests: a black bar at the top left of white paper, in many formats, modes and oddities; and bombs.

Every function returns the bytes of one file.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH_PX, HEIGHT_PX = 300, 200
BAR = (10, 10, 120, 40)  # black, at the top left of the upright picture
UNTURN = {  # by EXIF orientation: from the upright picture to what is stored
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
TURNED_TAG = 0x0112


def paper(mode: str = "RGB", size: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> Image.Image:
    """The picture in `mode`; in one of 16 bits, black is 2 and white 65,000."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle(BAR, fill="black")
    if mode.startswith("I;16") or mode in ("I", "F"):
        gray = image.convert("I").point(lambda level: level * 255)
        return gray.convert("F") if mode == "F" else gray if mode == "I" else _sixteen(gray, mode)
    return image.convert(mode)


def _sixteen(gray: Image.Image, mode: str) -> Image.Image:
    order = ">" if mode.endswith("B") else "<"
    levels = gray.tobytes("raw", "I")
    values = struct.unpack(f"={len(levels) // 4}i", levels)
    return Image.frombytes(mode, gray.size, struct.pack(f"{order}{len(values)}H", *values))


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def turned(file_format: str, orientation: int, *, dpi: tuple[int, int] = (100, 100)) -> bytes:
    """A picture that is stored another way up, and whose EXIF says so."""
    way = UNTURN[orientation]
    stored = paper() if way is None else paper().transpose(way)
    exif = Image.Exif()
    exif[TURNED_TAG] = orientation
    return saved(stored, file_format, exif=exif, dpi=dpi)


def transparent(mode: str = "RGBA") -> bytes:
    """A black bar on nothing, which is black where alpha is not heeded."""
    image = Image.new("RGBA", (WIDTH_PX, HEIGHT_PX), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle(BAR, fill=(0, 0, 0, 255))
    return saved(image.convert(mode), "PNG")


def transparent_palette() -> bytes:
    """A palette whose first colour, black, is transparent."""
    image = Image.new("P", (WIDTH_PX, HEIGHT_PX), 0)
    image.putpalette([0, 0, 0, 10, 10, 10])
    ImageDraw.Draw(image).rectangle(BAR, fill=1)
    return saved(image, "PNG", transparency=0)


def tiff(pages: Sequence[Image.Image], **options: Any) -> bytes:
    return saved(pages[0], "TIFF", save_all=True, append_images=list(pages[1:]), **options)


def fax(page_count: int, size: tuple[int, int] = (432, 280)) -> bytes:
    """A fax: two colours, twice as many dots across as down."""
    page = paper("1", size)
    return tiff([page] * page_count, compression="group4", dpi=(204, 102))


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A hundred kilobytes that say they are a picture of that size; they end before it does."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = zlib.compress(bytes((width + 7) // 8 + 1) * 1000)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", head) + _png_chunk(b"IDAT", row) + _png_chunk(b"IEND", b"")


def bmp_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A header alone."""
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def gif_bomb(side: int = 65_535) -> bytes:
    """A canvas of four gigapixels with one frame of it."""
    return (
        b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
        + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00;"
    )  # fmt: skip


def tiff_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """One strip of nothing."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 5), (262, 3, 1), (273, 4, 8), (278, 4, height)]
    tags += [(279, 4, 4), (277, 3, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags))
    return b"II*\0" + struct.pack("<I", 12) + b"\x80\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def tiff_loop() -> bytes:
    """A directory whose next one is itself."""
    data = bytearray(tiff_bomb(10, 10))
    data[-4:] = struct.pack("<I", 12)
    return bytes(data)

"""ZIP archives for tests: ordinary ones and hostile ones. Every function returns the bytes of one file."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of `files` in their order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def claiming(data: bytes, *, size_bytes: int | None = None, flags: int | None = None, crc: int | None = None) -> bytes:
    """The archive `data` with other words about each of its members in the directory."""
    out = bytearray(data)
    at = out.find(b"PK\x01\x02")
    while at >= 0:
        if flags is not None:
            struct.pack_into("<H", out, at + 8, flags)
        if crc is not None:
            struct.pack_into("<I", out, at + 16, crc)
        if size_bytes is not None:
            struct.pack_into("<I", out, at + 24, size_bytes)
        at = out.find(b"PK\x01\x02", at + 4)
    return bytes(out)


def overlapping(count: int, times: int = 1) -> bytes:
    """Many members that are the same few bytes of the file, each of which claims to be 64 MiB."""
    name = "0000.png"
    kernel = claiming(packed({name: bytes(1 << 10)}), size_bytes=64 << 20)
    start = kernel.find(b"PK\x01\x02")
    entry, end = kernel[start : kernel.find(b"PK\x05\x06")], bytearray(kernel[kernel.find(b"PK\x05\x06") :])
    entries = b"".join(entry.replace(name.encode(), f"{number:04}.png".encode()) for number in range(count))
    entries *= times
    struct.pack_into("<HHI", end, 8, count, count, len(entries))
    return kernel[:start] + entries + bytes(end)

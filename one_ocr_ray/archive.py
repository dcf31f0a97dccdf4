"""ZIP archives: what they hold, in bounds, and the bytes of a member. From an open file; no name becomes a path.

An archive is hostile input: its directory, the number of its members and what they unpack to are bounded before
anything is unpacked, and a member never gives more bytes than its directory says.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO

from one_ocr_ray.policy.input_names import is_archive, is_document

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DIRECTORY_BYTES = 8 << 20
MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 512 << 20  # unpacked, in memory
# A white page packs a thousandfold; what unpacks to more than these bytes must not pack as well as that.
FREE_BYTES, FREE_MEMBER_BYTES = 1 << 30, 64 << 20
MAX_RATIO = 200

_HEADER = struct.Struct("<4s22xHH")  # of a member in front of its bytes: signature, lengths of name and extra field
_HEADER_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 0x1
_OFFICE = frozenset({"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"})
_DIGITS = re.compile(r"(\d+)")


class ArchiveFault(StrEnum):
    """Why an archive or a member of it is not read."""

    DAMAGED = "damaged"
    EMPTY = "empty"
    NOTHING = "nothing"
    TOO_MANY = "too_many"
    BOMB = "bomb"
    ENCRYPTED = "encrypted"
    METHOD = "method"
    NESTED = "nested"
    OFFICE = "office"


class ArchiveError(Exception):
    """The archive or the member cannot be read, for a `fault`."""

    def __init__(self, fault: ArchiveFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive, as the archive's directory describes it."""

    name: str
    size_bytes: int
    packed_bytes: int
    offset: int
    crc: int
    is_deflated: bool
    fault: ArchiveFault | None = None  # why it is not read

    @classmethod
    def of(cls, entry: zipfile.ZipInfo) -> Member:
        is_bomb = entry.file_size > MAX_MEMBER_BYTES or entry.compress_size > MAX_MEMBER_BYTES
        is_bomb = is_bomb or entry.file_size > max(FREE_MEMBER_BYTES, MAX_RATIO * entry.compress_size)
        faults = {
            ArchiveFault.NESTED: is_archive(entry.filename),
            ArchiveFault.ENCRYPTED: bool(entry.flag_bits & _ENCRYPTED),
            ArchiveFault.METHOD: entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
            ArchiveFault.BOMB: is_bomb,
        }
        fault = next((each for each, holds in faults.items() if holds), None)
        return cls(
            entry.filename,
            entry.file_size,
            entry.compress_size,
            entry.header_offset,
            entry.CRC,
            is_deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
            fault=fault,
        )


def members_of(file: BinaryIO, archive_bytes: int) -> list[Member]:
    """The members that are documents, or archives that are not read, by name. Raises ArchiveError.

    Of two members of one name the later counts, as when the archive is unpacked. What macOS adds is left out.
    """
    try:
        with zipfile.ZipFile(_Directory(file)) as archive:
            entries = {each.filename: each for each in archive.infolist()}
    except ArchiveError:
        raise
    except Exception as error:  # zipfile raises what a damaged directory leads it to
        raise ArchiveError(ArchiveFault.DAMAGED) from error
    if len(entries) > MAX_MEMBERS:
        raise ArchiveError(ArchiveFault.TOO_MANY)
    if not _OFFICE.isdisjoint(entries):
        raise ArchiveError(ArchiveFault.OFFICE)
    if sum(each.file_size for each in entries.values()) > max(FREE_BYTES, MAX_RATIO * archive_bytes):
        raise ArchiveError(ArchiveFault.BOMB)
    wanted = [each for name, each in entries.items() if _is_wanted(name)]
    if not wanted:
        raise ArchiveError(ArchiveFault.NOTHING if entries else ArchiveFault.EMPTY)
    return sorted((Member.of(each) for each in wanted), key=lambda member: member.name)


def read_member(file: BinaryIO, member: Member) -> bytes:
    """The bytes of `member`. Raises ArchiveError."""
    if member.fault is not None:
        raise ArchiveError(member.fault)
    file.seek(member.offset)
    head = file.read(_HEADER.size)
    try:
        signature, name_bytes, extra_bytes = _HEADER.unpack(head)
    except struct.error as error:
        raise ArchiveError(ArchiveFault.DAMAGED) from error
    file.seek(member.offset + _HEADER.size + name_bytes + extra_bytes)
    data = file.read(member.packed_bytes)
    try:
        if member.is_deflated:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size_bytes + 1)
    except zlib.error as error:
        raise ArchiveError(ArchiveFault.DAMAGED) from error
    if (signature, len(data), zlib.crc32(data)) != (_HEADER_SIGNATURE, member.size_bytes, member.crc):
        raise ArchiveError(ArchiveFault.DAMAGED)
    if data.startswith(_HEADER_SIGNATURE):
        raise ArchiveError(ArchiveFault.NESTED)
    return data


def natural_order(members: Iterable[Member]) -> list[Member]:
    """Members in the order in which people number pages: 2 before 10."""

    def key(member: Member) -> list[Any]:  # text and digits take turns
        parts = _DIGITS.split(member.name.casefold())
        return [(len(part := each.lstrip("0")), part) if at % 2 else each for at, each in enumerate(parts)]

    return sorted(members, key=key)


class _Directory:
    """A file that gives `zipfile` no larger piece than the directory may be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(MAX_DIRECTORY_BYTES + 1 if size < 0 else min(size, MAX_DIRECTORY_BYTES + 1))
        if len(data) > MAX_DIRECTORY_BYTES:
            raise ArchiveError(ArchiveFault.TOO_MANY)
        return data


def _is_wanted(name: str) -> bool:
    path = name.replace("\\", "/")
    is_of_macos = path.startswith("__MACOSX/") or path.rpartition("/")[2].startswith("._")
    return not is_of_macos and (is_document(path) or is_archive(path))

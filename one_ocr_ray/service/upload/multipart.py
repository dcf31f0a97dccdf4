"""Reads a multipart body into files while it arrives.

One megabyte of it is in memory; hashing and writing happen in a thread.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from one_ocr_ray.service.names import client_filename
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.upload.options import FORM_OPTIONS
from one_ocr_ray.service.upload.spool import storage_full

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from one_ocr_ray.model import Failure
    from one_ocr_ray.service.upload.spool import Spool

FILE_FIELDS = frozenset({"files", "file"})
_TEXT_FIELDS = frozenset({"options", *FORM_OPTIONS})
# What clients without a file send: no body at all, or a form of plain fields.
_WITHOUT_FILES = frozenset({b"", b"application/x-www-form-urlencoded"})
_TEXT_BYTES = 64 << 10
_HEADER_BYTES = 16 << 10
_BATCH_BYTES = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True)
class SpooledFile:
    """One file of the request. `name` is the client's own. The bytes of a file that is too large are not kept."""

    path: Path
    name: str
    size_bytes: int = 0
    too_large: bool = False
    failure: Failure | None = None  # of a member of an archive that cannot be unpacked
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def document_id(self) -> str:
        """The id that the content gives the file."""
        return f"sha256:{self.digest.hexdigest()}"


@dataclass(slots=True)
class Form:
    """The fields of the request."""

    files: list[SpooledFile] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


async def read_form(
    content_type: str,
    body: AsyncIterator[bytes],
    request_dir: Path,
    spool: Spool,
    *,
    max_files: int,
    max_file_bytes: int,
) -> Form:
    """Read the form in `body`, its files into `request_dir`. Raises Problem for another form, or too much of it."""
    kind, options = parse_options_header(content_type)
    if kind in _WITHOUT_FILES:
        raise Problem("no_files", "The request has no file: send multipart/form-data with PDFs in fields named files.")
    if kind != b"multipart/form-data":
        raise Problem("unsupported_media_type", "Send a form: multipart/form-data with fields named files.")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 256:
        raise _not_a_form()
    reader = _Reader(boundary, request_dir, max_files, max_file_bytes)
    pending = bytearray()
    try:
        async for chunk in body:
            pending += chunk
            if len(pending) >= _BATCH_BYTES:
                spool.check_space(len(pending))
                await asyncio.to_thread(reader.take, bytes(pending))
                pending.clear()
        await asyncio.to_thread(reader.take, bytes(pending))
        reader.check_whole()
    except FormParserError as error:
        raise _not_a_form() from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise storage_full() from error
        raise
    finally:
        reader.close()
    return reader.form


class _Reader:
    """The parser's callbacks. They know which part is being read and where it goes."""

    def __init__(self, boundary: bytes, request_dir: Path, max_files: int, max_file_bytes: int) -> None:
        self.form = Form()
        self._request_dir = request_dir
        self._max_files = max_files
        self._max_file_bytes = max_file_bytes
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._text: bytearray | None = None
        self._text_name = ""
        self._file: SpooledFile | None = None
        self._out: BinaryIO | None = None
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": lambda data, start, end: self._add_header(self._header_name, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_header(self._header_value, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._write(data[start:end]),
                "on_part_end": self.close,
                "on_end": partial(setattr, self, "_whole", True),
            },
        )

    def take(self, data: bytes) -> None:
        self._parser.write(data)

    def check_whole(self) -> None:
        """Raise Problem when the body ended before the form did."""
        if not self._whole:
            raise _not_a_form()

    def close(self) -> None:
        """End the part that is being read."""
        self._disposition = b""
        if self._out is not None:
            self._out.close()
            self._out = None
        if self._text is not None:
            try:
                self.form.texts[self._text_name] = self._text.decode()
            except UnicodeDecodeError as error:
                raise Problem("invalid_options", "The field options is not UTF-8.") from error
            self._text = None
        self._file = None

    def _add_header(self, part: bytearray, data: bytes) -> None:
        part += data
        if len(part) > _HEADER_BYTES:
            raise _not_a_form()

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if name in FILE_FIELDS:
            if len(self.form.files) == self._max_files:
                raise Problem("too_many_files", f"One upload holds at most {self._max_files} files.")
            path = self._request_dir / f"{len(self.form.files)}.pdf"
            self._file = SpooledFile(path, client_filename(self._disposition, options.get(b"filename")))
            self._out = path.open("xb")
            self.form.files.append(self._file)
        elif name in _TEXT_FIELDS and name not in self.form.texts and b"filename" not in options:
            self._text, self._text_name = bytearray(), name
        else:
            raise Problem("invalid_options", "A form has fields named files, PDFs or images, and one named options.")

    def _write(self, data: bytes) -> None:
        if self._text is not None:
            self._text += data
            if len(self._text) > _TEXT_BYTES:
                raise Problem("invalid_options", f"The field options is longer than {_TEXT_BYTES:,} bytes.")
        elif self._file is not None and self._out is not None:
            self._file.size_bytes += len(data)
            if self._file.size_bytes > self._max_file_bytes:
                self._file.too_large = True
                self._out.truncate(0)
                return
            self._file.digest.update(data)
            self._out.write(data)


def _not_a_form() -> Problem:
    return Problem("invalid_request", "The body is not a whole multipart form.")

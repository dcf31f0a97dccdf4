"""Turns what the child process says into the failure of a document or a page."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from one_ocr_ray.archive import ArchiveFault
from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.pdf.kinds import HEAD_BYTES, DocumentKind
from one_ocr_ray.policy.input_names import is_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_TAIL_BYTES = 2048
_END = re.compile(rb"startxref\s+(\d{1,15})\s+%%EOF[\s\0]*\Z")
_CROSS_REFERENCE = re.compile(rb"\s*(xref|\d+\s+\d+\s+obj)\b")  # a table, or the object that holds a stream

ABSENT = Failure(ErrorCode.PDF_NOT_FOUND, "The file is not there or cannot be read.")
TOO_LARGE = Failure(ErrorCode.TOO_LARGE, "The document does not fit the memory of the process that reads it.")
CRASHED = Failure(
    ErrorCode.RENDER_CRASHED, "The process that draws pages died on this one: out of memory, or an internal error."
)
NOT_REOPENED = Failure(ErrorCode.RENDER_CRASHED, "The file did not open again after one of its pages had failed.")
_UNLOADABLE = Failure(ErrorCode.RENDER_FAILED, "The PDF library cannot load this page.")
_OF_PAGE = {  # by what the child calls them
    "page": _UNLOADABLE,
    "aspect": Failure(ErrorCode.IMAGE_TOO_LARGE, "One side of the page is over 100 times as long as the other."),
    "pixels": Failure(ErrorCode.IMAGE_TOO_LARGE, "The image of the page would have over 64 million pixels."),
    "picture": Failure(ErrorCode.RENDER_FAILED, "The picture is damaged: it cannot be decoded."),
    "packed_page": Failure(ErrorCode.RENDER_FAILED, "The archive is damaged here, or packed in an unknown way."),
    "picture_pixels": Failure(ErrorCode.IMAGE_TOO_LARGE, "The picture has over 140 million pixels."),
}
_CORRUPT_PDF = Failure(ErrorCode.PDF_CORRUPT, "The PDF is damaged: the PDF library cannot open it.")
_CORRUPT_PICTURE = Failure(ErrorCode.PDF_CORRUPT, "The picture is damaged: it cannot be opened.")
_OF_ARCHIVE = {
    ArchiveFault.DAMAGED: (ErrorCode.PDF_CORRUPT, "The archive, or this file in it, is damaged."),
    ArchiveFault.EMPTY: (ErrorCode.PDF_EMPTY, "The archive is empty."),
    ArchiveFault.NOTHING: (ErrorCode.UNSUPPORTED_FILE, "The archive holds no document that can be read."),
    ArchiveFault.TOO_MANY: (
        ErrorCode.TOO_LARGE,
        "The archive has over 50,000 files, or a directory over 8 MiB; unpack it.",
    ),
    ArchiveFault.BOMB: (ErrorCode.TOO_LARGE, "This unpacks to over 512 MiB a file, or over 200 times its size."),
    ArchiveFault.ENCRYPTED: (
        ErrorCode.PDF_ENCRYPTED,
        "This file in an archive is encrypted; unpack the archive first.",
    ),
    ArchiveFault.METHOD: (
        ErrorCode.UNSUPPORTED_FILE,
        "This file in an archive is packed in an unknown way; unpack the archive.",
    ),
    ArchiveFault.NESTED: (
        ErrorCode.UNSUPPORTED_FILE,
        "An archive in an archive is not read; unpack the outer one first.",
    ),
    ArchiveFault.OFFICE: (
        ErrorCode.UNSUPPORTED_FILE,
        "This is an Office document or an e-book; convert it to PDF first.",
    ),
}
_HEIC = Failure(
    ErrorCode.UNSUPPORTED_FILE, "HEIC needs the extra `heic`: pip install 'one-ocr-ray[heic]' where pages are drawn."
)


def unknown_kind(name: str) -> Failure:
    """The failure of a file that is of no known kind. One without a name is held to be meant as a PDF."""
    if not name or name.lower().endswith(".pdf"):
        return Failure(ErrorCode.NOT_PDF, "The file is not a PDF.")
    return Failure(ErrorCode.UNSUPPORTED_FILE, "The file is neither a PDF nor a picture of a kind that can be read.")


def unanswered(timeout_s: float, *, timed_out: bool) -> Failure:
    """The failure of a page on which the child died or exceeded `timeout_s`."""
    message = f"This page took longer than {timeout_s:g} s to draw."
    return Failure(ErrorCode.RENDER_TIMEOUT, message) if timed_out else CRASHED


def of_archive(fault: ArchiveFault) -> Failure:
    """The failure of an archive, or of one of its members."""
    return Failure(*_OF_ARCHIVE[fault])


def of_page(refused: str) -> Failure:
    """The failure of a page that the child has refused to draw."""
    return _OF_PAGE.get(refused, _UNLOADABLE)


def corrupt(kind: DocumentKind) -> Failure:
    """The failure of a damaged document."""
    if kind is DocumentKind.ZIP:
        return of_archive(ArchiveFault.DAMAGED)
    return _CORRUPT_PDF if kind is DocumentKind.PDF else _CORRUPT_PICTURE


def of_opening(
    kind: DocumentKind, reply: dict[str, Any], stream_of: Callable[[], BinaryIO], name: str, *, with_password: bool
) -> Failure:
    """The failure of a document that the child cannot open, or that has no pages."""
    refused = reply.get("refused")
    if refused == "no_heif":
        return _HEIC
    if kind is DocumentKind.ZIP and refused in _OF_ARCHIVE:
        fault = ArchiveFault(refused)
        # What only begins as an archive does, or is one of another kind, is what its name says.
        is_meant = is_archive(name) or fault is ArchiveFault.OFFICE
        return of_archive(fault) if is_meant else unknown_kind(name)
    match reply.get("pdfium_error"):
        case 4 if not with_password:  # FPDF_ERR_PASSWORD
            return Failure(ErrorCode.PDF_ENCRYPTED, "The PDF is encrypted and needs a password.")
        case 4:
            return Failure(ErrorCode.PDF_BAD_PASSWORD, "The password does not open the PDF.")
        case 5:  # FPDF_ERR_SECURITY
            return Failure(ErrorCode.PDF_ENCRYPTED, "The PDF is encrypted in a way the PDF library does not support.")
    return corrupt(kind) if refused is not None or kind is not DocumentKind.PDF else _without_pages(stream_of)


def _without_pages(stream_of: Callable[[], BinaryIO]) -> Failure:
    """The failure of a PDF without pages: empty if it is whole, else damaged."""
    with contextlib.suppress(OSError), stream_of() as stream:
        header_at = stream.read(HEAD_BYTES).find(b"%PDF-")
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        end = _END.search(stream.read())
        if end is not None:
            stream.seek(header_at + int(end[1]))  # offsets count from the header, whatever stands before it
            if _CROSS_REFERENCE.match(stream.read(64)):
                return Failure(ErrorCode.PDF_EMPTY, "The PDF has no pages.")
    return _CORRUPT_PDF

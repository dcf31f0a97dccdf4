"""Writes searchable copies of PDFs through a child process with a memory limit and deadlines."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

import orjson

from one_ocr_ray.pdf.process import LostError, PdfProcess, minimal_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from one_ocr_ray.blocks import PageBox
    from one_ocr_ray.pdf.frames import Header
    from one_ocr_ray.pdf.kinds import DocumentKind

_PROGRAM = "one_ocr_ray.pdf.searchable.child"
_START_TIMEOUT_S = 60.0
_MEMORY_BYTES = 1536 << 20
_OPEN_TIMEOUT_S = 60.0
_PAGE_TIMEOUT_S = 20.0
_SAVE_TIMEOUT_S = 60.0
_SAVE_BYTES_PER_S = 5 << 20  # beyond the first minute


@dataclass(frozen=True, slots=True)
class CopyRefusal:
    """Why a searchable copy is not written: a code, and a sentence for a person."""

    code: str
    message: str


class Added(Enum):
    """What came of a page."""

    WRITTEN = auto()
    KEPT = auto()  # as it is: it shows text of its own
    DAMAGED = auto()  # its content cannot be read, so it stays as it is


CORRUPT = CopyRefusal("pdf_corrupt", "The PDF is damaged: it cannot be written again.")
_LOCKED = CopyRefusal("pdf_encrypted", "The PDF is encrypted and needs a password (--password-file).")
_WRONG_PASSWORD = CopyRefusal("pdf_bad_password", "The password does not open the PDF.")
_FORBIDDEN = CopyRefusal("pdf_encrypted", "The PDF forbids changes: its owner's password is needed (--password-file).")
_SLOW = CopyRefusal("render_timeout", "Writing the PDF again takes too long.")
_SIGNED = CopyRefusal("pdf_signed", "The PDF is signed, and a text layer would break the signature (--allow-signed).")


class SearchableWriter:
    """One child process with one open document at a time. A context manager; not thread-safe.

    Raises OneOcrError when the child program does not start at all.
    """

    def __init__(self, document_timeout_s: float = 1800.0) -> None:
        """`document_timeout_s`: from the opening of a document to its copy."""
        self._document_timeout_s = document_timeout_s
        self._deadline_s = 0.0
        self._process: PdfProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; `open` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def open(self, source: Path, password: str | None, *, allow_signed: bool) -> int | CopyRefusal:
        """Open the PDF at `source`; gives its number of pages."""
        self._begin()
        reply = self._call({"do": "open", "path": str(source.absolute()), "password": password}, b"", _OPEN_TIMEOUT_S)
        if isinstance(reply, CopyRefusal):
            return reply
        if "refused" in reply:
            locked = _LOCKED if password is None else _WRONG_PASSWORD
            return locked if reply["refused"] == "password" else CORRUPT
        if not reply["may_change"]:
            return _FORBIDDEN
        if reply["signed"] and not allow_signed:
            return _SIGNED
        page_count: int = reply["page_count"]
        return page_count

    def open_picture(
        self, source: Path, kind: DocumentKind, sizes_pt: Mapping[int, tuple[float, float]]
    ) -> int | CopyRefusal:
        """Make a PDF of the picture file at `source`, with pages of `sizes_pt`. Gives their number."""
        self._begin()
        header = {"do": "picture", "path": str(source.absolute()), "kind": kind}
        sizes = {str(number): size for number, size in sizes_pt.items()}
        reply = self._call(header, orjson.dumps(sizes), _OPEN_TIMEOUT_S)
        if isinstance(reply, CopyRefusal):
            return reply
        if "refused" in reply:
            return CopyRefusal("unsupported_file", "The picture cannot be decoded.")
        page_count: int = reply["page_count"]
        return page_count

    def add(self, page_number: int, box: PageBox, body: bytes, *, beside_visible: bool) -> Added | CopyRefusal:
        """Put the text operators `body` on a page, in place of a hidden layer.

        `beside_visible`: also where the page shows text of its own.
        """
        header = {
            "do": "page", "page_number": page_number, "beside_visible": beside_visible,
            "width": box.width, "height": box.height, "rotate": box.rotate,
        }  # fmt: skip
        reply = self._call(header, body, _PAGE_TIMEOUT_S)
        if isinstance(reply, CopyRefusal):
            return reply
        if "refused" in reply:
            return Added.DAMAGED
        return Added.WRITTEN if reply["written"] else Added.KEPT

    def save(self, target: Path, spare: Mapping[str, int], source_bytes: int) -> CopyRefusal | None:
        """Write the copy. `spare`: the characters with codes of other characters."""
        timeout_s = _SAVE_TIMEOUT_S + source_bytes / _SAVE_BYTES_PER_S
        reply = self._call({"do": "save", "path": str(target.absolute())}, orjson.dumps(spare), timeout_s)
        if isinstance(reply, CopyRefusal):
            return reply
        return CORRUPT if "refused" in reply else None

    def _begin(self) -> None:
        """Begin another document, in a new process where there is none."""
        self._deadline_s = time.monotonic() + self._document_timeout_s
        if self._process is None:
            self._process = PdfProcess.start(_MEMORY_BYTES, _START_TIMEOUT_S, minimal_environment(), program=_PROGRAM)

    def _call(self, request: Header, payload: bytes, timeout_s: float) -> Header | CopyRefusal:
        """One exchange. Where the child does not answer it is gone, and with it the open document."""
        process, self._process = self._process, None
        if process is None:
            return CORRUPT
        try:
            left_s = self._deadline_s - time.monotonic()
            reply, _ = process.call(request, payload, max(min(timeout_s, left_s), 0.001))
            self._process = process
        except LostError as lost:
            return _SLOW if lost.timed_out else CORRUPT
        finally:
            if self._process is None:
                process.kill()
        return reply

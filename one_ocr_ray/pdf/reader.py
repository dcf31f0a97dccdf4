"""Opens PDFs, counts, renders and reads their pages, and names a document by its bytes.

pdfium runs in a child process (`child`) with a memory limit and deadlines, which is killed and replaced if it exceeds
them: a hostile page harms only itself, never the calling process.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from one_ocr_ray.blocks import PageBox, TextLayer
from one_ocr_ray.model import ErrorCode, Failure, PageImage, PageUnrendered, RenderedPage
from one_ocr_ray.pdf import fonts
from one_ocr_ray.pdf.process import Header, LostError, PdfProcess, minimal_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

_CHUNK_BYTES = 1 << 20
_HEAD_BYTES = 1024  # where "%PDF-" must stand (Adobe's PDF Reference 1.7, appendix H, note 13)
_TAIL_BYTES = 2048
_END = re.compile(rb"startxref\s+(\d{1,15})\s+%%EOF[\s\0]*\Z")
_CROSS_REFERENCE = re.compile(rb"\s*(xref|\d+\s+\d+\s+obj)\b")  # a table, or the object that holds a stream

_UNLOADABLE = Failure(ErrorCode.RENDER_FAILED, "The PDF library cannot load this page.")
_CRASHED = Failure(ErrorCode.RENDER_CRASHED, "The PDF library died on this page: out of memory, or an internal error.")
_NOT_REOPENED = Failure(ErrorCode.RENDER_CRASHED, "The PDF did not open again after one of its pages had failed.")
_CORRUPT = Failure(ErrorCode.PDF_CORRUPT, "The PDF is damaged: the PDF library cannot open it.")
_REFUSALS = {  # by what the child calls them
    "page": _UNLOADABLE,
    "aspect": Failure(ErrorCode.IMAGE_TOO_LARGE, "One side of the page is over 100 times as long as the other."),
    "pixels": Failure(ErrorCode.IMAGE_TOO_LARGE, "The image of the page would have over 64 million pixels."),
}


@dataclass(frozen=True, slots=True)
class PdfLimits:
    """Limits of a child process. The memory is address space, which only Linux enforces."""

    memory_bytes: int = 1536 << 20
    start_timeout_s: float = 60.0
    open_timeout_s: float = 20.0
    page_timeout_s: float = 20.0


DEFAULT_LIMITS = PdfLimits()


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """How documents are opened and rendered in one run."""

    longest_side_px: int
    max_pages: int
    max_file_bytes: int
    password: SecretStr | None
    layer: bool = False  # bring the text layers of pages along

    @property
    def password_text(self) -> str | None:
        return self.password.get_secret_value() if self.password else None


@dataclass(frozen=True, slots=True)
class PdfInfo:
    """What opening a PDF shows. `page_count` is the file's own claim and may be far too high."""

    page_count: int
    encrypted: bool


class PdfChild:
    """One child process with one open document at a time. A context manager; not thread-safe.

    The process starts with the first document and is replaced when it dies, hangs, or may be confused by a failure.
    After a page has cost it, the next call opens the same document again: a page's failure stays that page's.
    Raises OneOcrError when the child program does not start at all.
    """

    def __init__(
        self,
        limits: PdfLimits = DEFAULT_LIMITS,
        environment: Mapping[str, str] | None = None,
        font_folders: Sequence[str] | None = None,
    ) -> None:
        self._limits = limits
        self._font_folders = fonts.font_folders() if font_folders is None else font_folders
        self._environment = minimal_environment() if environment is None else environment
        self._process: PdfProcess | None = None
        self._opened: tuple[Path | bytes, str | None] | None = None  # with its password
        self._page_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the document and end the process; `inspect` starts another."""
        self._opened = None
        self._discard()

    def inspect(self, source: Path | bytes, password: str | None = None) -> PdfInfo | Failure:
        """Open `source` for the methods below, in place of the last one; a failure has a document's code.

        Takes at most twice the time of `open_timeout_s`: a failure in a used process is confirmed in a fresh one, for
        pdfium remembers errors of earlier files.
        """
        self._opened = None
        if (refusal := self._refuse_unopened(source)) is not None:
            return refusal
        if self._page_failed:
            self._discard()
        fresh = self._process is None
        info = self._open(source, password)
        if isinstance(info, Failure) and not fresh:
            info = self._open(source, password)
        if isinstance(info, PdfInfo):
            self._opened = source, password
        return info

    def render(self, page_number: int, longest_side_px: int, *, layer: bool = False) -> RenderedPage:
        """Draw page `page_number` (1-based) of the open document, scaled to `longest_side_px` exactly.

        `layer`: bring its text layer along. Takes at most `page_timeout_s`, and `open_timeout_s` before it where the
        process had to be replaced.
        """
        started = time.perf_counter()
        request = {"do": "render", "page_number": page_number, "longest_side_px": longest_side_px, "layer": layer}
        answer = self._ask_page(request)
        render_ms = round((time.perf_counter() - started) * 1000)
        if isinstance(answer, Failure):
            return PageUnrendered(page_number, answer, render_ms)
        header, payload = answer
        box = PageBox(*header.pop("page_box"))
        jpeg_bytes, text = header.pop("jpeg_bytes"), None
        if layer:
            ink_at = jpeg_bytes + header.pop("layer_bytes")
            text = TextLayer(payload[jpeg_bytes:ink_at], payload[ink_at:], header.pop("ink_columns"))
            payload = payload[:jpeg_bytes]
        sha256 = hashlib.sha256(payload).hexdigest()
        return PageImage(
            page_number, data=payload, sha256=sha256, render_ms=render_ms, page_box=box, layer=text, **header
        )

    def _refuse_unopened(self, source: Path | bytes) -> Failure | None:
        """Refuse what is no PDF by its first bytes, without pdfium."""
        if isinstance(source, bytes) and len(source) > self._limits.memory_bytes // 2:
            return Failure(ErrorCode.TOO_LARGE, "The document does not fit the memory of the process that reads PDFs.")
        try:
            with _stream_of(source) as stream:
                head = stream.read(_HEAD_BYTES)
        except OSError:
            return Failure(ErrorCode.PDF_NOT_FOUND, "The file is not there or cannot be read.")
        return None if b"%PDF-" in head else Failure(ErrorCode.NOT_PDF, "The file is not a PDF.")

    def _open(self, source: Path | bytes, password: str | None) -> PdfInfo | Failure:
        """Open in the current process; after a failure there is none."""
        path = str(source.absolute()) if isinstance(source, Path) else None
        payload = source if isinstance(source, bytes) else b""
        request = {"do": "open", "path": path, "password": password}
        try:
            reply, _ = self._ask(request, payload, self._limits.open_timeout_s)
        except LostError:
            return _CORRUPT
        if reply.get("page_count", 0) > 0:
            return PdfInfo(reply["page_count"], reply["encrypted"])
        self._discard()
        return _locked(reply, password) or (_CORRUPT if "refused" in reply else _without_pages(source))

    def _ask_page(self, request: Header) -> tuple[Header, bytes] | Failure:
        if self._opened is None:
            raise RuntimeError("no document is open")
        if self._process is None and isinstance(self._open(*self._opened), Failure):
            return _NOT_REOPENED
        try:
            reply, payload = self._ask(request, b"", self._limits.page_timeout_s)
        except LostError as lost:
            message = f"The PDF library took longer than {self._limits.page_timeout_s:g} s for this page."
            return Failure(ErrorCode.RENDER_TIMEOUT, message) if lost.timed_out else _CRASHED
        if "refused" in reply:
            self._page_failed = True  # this document's other pages may all fail: only the next gets a new process
            return _REFUSALS.get(reply["refused"], _UNLOADABLE)
        return reply, payload

    def _ask(self, request: Header, payload: bytes, timeout_s: float) -> tuple[Header, bytes]:
        """One exchange, with a process started for it if there is none. Without an answer there is none afterwards.

        That holds for an interrupt as well: a late answer must never pass for the answer to another question.
        """
        process = self._process or PdfProcess(
            self._limits.memory_bytes, self._limits.start_timeout_s, self._environment, self._font_folders
        )
        self._process = None
        try:
            answer = process.ask(request, payload, timeout_s)
            self._process = process
            return answer
        finally:
            if self._process is None:
                process.kill()

    def _discard(self) -> None:
        self._page_failed = False
        if self._process is not None:
            self._process.kill()
            self._process = None


def document_id_of(source: Path | bytes) -> str | None:
    """`sha256:<hex>` of a document's bytes; None if the file is missing or cannot be read."""
    digest = hashlib.sha256()
    try:
        with _stream_of(source) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}"


def _stream_of(source: Path | bytes) -> BinaryIO:
    """Open `source`. Raise OSError unless it is a readable regular file: a named pipe would never end."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not source.is_file():
        raise FileNotFoundError
    return source.open("rb")


def _locked(reply: Header, password: str | None) -> Failure | None:
    match reply.get("pdfium_error"):
        case 4 if password is None:  # FPDF_ERR_PASSWORD
            return Failure(ErrorCode.PDF_ENCRYPTED, "The PDF is encrypted and needs a password.")
        case 4:
            return Failure(ErrorCode.PDF_BAD_PASSWORD, "The password does not open the PDF.")
        case 5:  # FPDF_ERR_SECURITY
            return Failure(ErrorCode.PDF_ENCRYPTED, "The PDF is encrypted in a way the PDF library does not support.")
    return None


def _without_pages(source: Path | bytes) -> Failure:
    """The failure of a PDF without pages: empty if it is whole, damaged if its end is missing or wrong."""
    with contextlib.suppress(OSError), _stream_of(source) as stream:
        header_at = stream.read(_HEAD_BYTES).find(b"%PDF-")
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        end = _END.search(stream.read())
        if end is not None:
            stream.seek(header_at + int(end[1]))  # offsets count from the header, whatever stands before it
            if _CROSS_REFERENCE.match(stream.read(64)):
                return Failure(ErrorCode.PDF_EMPTY, "The PDF has no pages.")
    return _CORRUPT

"""Opens documents, counts, renders and reads their pages, and names a document by its bytes.

pdfium and the decoders of pictures run in a child process (`child`) with a memory limit and deadlines, which is killed
and replaced if it exceeds them: a hostile page harms only itself, never the calling process.
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from one_ocr_ray.blocks import PageBox, TextLayer
from one_ocr_ray.model import Failure, PageImage, PageUnrendered, RenderedPage
from one_ocr_ray.pdf import failures, fonts
from one_ocr_ray.pdf.kinds import HEAD_BYTES, DocumentKind, kind_of
from one_ocr_ray.pdf.process import LostError, PdfProcess, minimal_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

    from one_ocr_ray.pdf.frames import Header

_CHUNK_BYTES = 1 << 20


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
        self._opened: tuple[DocumentKind, Path | bytes, str | None] | None = None  # with its password
        self._page_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the document and end the process; `inspect` starts another."""
        self._opened = None
        self._discard()

    def inspect(self, source: Path | bytes, password: str | None = None, name: str = "") -> PdfInfo | Failure:
        """Open `source` for the methods below, in place of the last one. A failure has a document's code.

        The file's `name` tells what one of no known kind was meant as. Takes at most twice the time of
        `open_timeout_s`: where a used process has failed on a PDF or has died, a fresh one confirms the failure, for
        pdfium remembers errors of earlier files.
        """
        self._opened = None
        name = name or (source.name if isinstance(source, Path) else "")
        if isinstance(source, bytes) and len(source) > self._limits.memory_bytes // 2:
            return failures.TOO_LARGE
        try:  # the kind by the first bytes, which are looked at before any library gets them
            with _stream_of(source) as stream:
                kind = kind_of(stream.read(HEAD_BYTES))
        except OSError:
            return failures.ABSENT
        if kind is None:
            return failures.unknown_kind(name)
        if self._page_failed:
            self._discard()
        fresh = self._process is None
        info = self._open(kind, source, password, name)
        if isinstance(info, Failure) and not fresh and self._process is None:
            info = self._open(kind, source, password, name)
        if isinstance(info, PdfInfo):
            self._opened = kind, source, password
        return info

    def render(self, page_number: int, longest_side_px: int, *, layer: bool = False) -> RenderedPage:
        """Draw page `page_number` (1-based) of the open document, scaled to `longest_side_px` exactly.

        `layer`: bring its text layer along, if it is a page of a PDF. Takes at most `page_timeout_s`, and
        `open_timeout_s` before it where the process had to be replaced.
        """
        started = time.perf_counter()
        request = {"do": "render", "page_number": page_number, "longest_side_px": longest_side_px, "layer": layer}
        answer = self._call_for_page(request)
        render_ms = round((time.perf_counter() - started) * 1000)
        if isinstance(answer, Failure):
            return PageUnrendered(page_number, answer, render_ms)
        header, payload = answer
        box = PageBox(*header.pop("page_box"))
        jpeg_bytes, text = header.pop("jpeg_bytes"), None
        if "layer_bytes" in header:
            ink_at = jpeg_bytes + header.pop("layer_bytes")
            text = TextLayer(payload[jpeg_bytes:ink_at], payload[ink_at:], header.pop("ink_columns"))
            payload = payload[:jpeg_bytes]
        sha256 = hashlib.sha256(payload).hexdigest()
        return PageImage(
            page_number, data=payload, sha256=sha256, render_ms=render_ms, page_box=box, layer=text, **header
        )

    def _open(
        self, kind: DocumentKind, source: Path | bytes, password: str | None, name: str = ""
    ) -> PdfInfo | Failure:
        """Open in the current process; after the failure of a PDF there is none."""
        path = str(source.absolute()) if isinstance(source, Path) else None
        payload = source if isinstance(source, bytes) else b""
        request = {"do": "open", "kind": kind.value, "path": path, "password": password}
        try:
            reply, _ = self._call(request, payload, self._limits.open_timeout_s)
        except LostError:
            return failures.corrupt(kind)
        if reply.get("page_count", 0) > 0:
            return PdfInfo(reply["page_count"], reply["encrypted"])
        if kind is DocumentKind.PDF:
            self._discard()
        return failures.of_opening(kind, reply, lambda: _stream_of(source), name, with_password=password is not None)

    def _call_for_page(self, request: Header) -> tuple[Header, bytes] | Failure:
        if self._opened is None:
            raise RuntimeError("no document is open")
        if self._process is None and isinstance(self._open(*self._opened), Failure):
            return failures.NOT_REOPENED
        try:
            reply, payload = self._call(request, b"", self._limits.page_timeout_s)
        except LostError as lost:
            return failures.unanswered(self._limits.page_timeout_s, timed_out=lost.timed_out)
        if "refused" in reply:
            # pdfium may be confused now. The document's other pages may all fail: only the next gets a new process.
            self._page_failed = self._opened[0] is DocumentKind.PDF
            return failures.of_page(reply["refused"])
        return reply, payload

    def _call(self, request: Header, payload: bytes, timeout_s: float) -> tuple[Header, bytes]:
        """One exchange, with a process started for it if there is none. Without an answer there is none afterwards.

        That holds for an interrupt as well: a late answer must never pass for the answer to another question.
        """
        process = self._process or PdfProcess.start(
            self._limits.memory_bytes, self._limits.start_timeout_s, self._environment, self._font_folders
        )
        self._process = None
        try:
            answer = process.call(request, payload, timeout_s)
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

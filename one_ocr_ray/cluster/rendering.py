"""Ray tasks that touch PDFs: `inspect_files` before planning, `render_slice` for reading.

Each Ray worker process that runs them keeps one long-lived child process, which alone loads pdfium; see `pdf.py`.
A slice's page sequence depends on its arguments only, because Ray tells yields apart by their position.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, PageUnrendered
from one_ocr_ray.pdf import PdfChild, document_id_of
from one_ocr_ray.storage.inputs import local_version, read_input
from one_ocr_ray.storage.objects import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr
    from ray import ObjectRef, ObjectRefGenerator
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from one_ocr_ray.model import RenderedPage
    from one_ocr_ray.policy.plan import RenderItem, RenderSlice
    from one_ocr_ray.storage.inputs import InputFile

# Rendering is a hundredth of a page's cost, and OCR engines take three quarters of each CPU: a quarter is left for it.
RENDER_CPUS = 0.25
# A yield costs about a millisecond; four pages of 200 KB share it and are still early for a page that waits.
PAGES_PER_YIELD = 4
YIELD_BYTES = 2 << 20
# How many yields may lie ready before the task waits for its reader.
YIELDS_AHEAD = 4


_CHANGED = Failure(ErrorCode.RENDER_FAILED, "The file has changed or gone since the run began.")


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """How documents are opened and rendered in this run."""

    longest_side_px: int
    max_pages: int
    max_file_bytes: int
    password: SecretStr | None

    @property
    def password_text(self) -> str | None:
        return self.password.get_secret_value() if self.password else None


@dataclass(frozen=True, slots=True)
class Rendered:
    """One page of a slice on its way: which item of the slice it belongs to, and the image or why there is none."""

    item: int
    page: RenderedPage


@cache
def _child() -> PdfChild:
    """The child process of this Ray worker process; it ends with it."""
    return PdfChild()


def inspect_files(files: list[InputFile], options: PdfOptions) -> list[DocumentRef]:
    """Open each file once: its id, page count, or why it cannot be read."""
    return [_inspect(file, options) for file in files]


def render_slice(slice_: RenderSlice, options: PdfOptions) -> Iterator[list[Rendered]]:
    """The pages of a slice in order, a few at a time; every page asked for comes once, as an image or as a failure."""
    batch: list[Rendered] = []
    size_bytes = 0
    for number, item in enumerate(slice_):
        for page in _render(item, options):
            batch.append(Rendered(number, page))
            size_bytes += 0 if isinstance(page, PageUnrendered) else len(page.data)
            if len(batch) >= PAGES_PER_YIELD or size_bytes >= YIELD_BYTES:
                yield batch
                batch, size_bytes = [], 0
    if batch:
        yield batch


_inspect_task = ray.remote(inspect_files)
_render_task = ray.remote(render_slice)


def start_inspection(files: list[InputFile], options: PdfOptions) -> ObjectRef[list[DocumentRef]]:
    """`inspect_files` as a task. It may run twice: opening a file costs nothing but time."""
    return _inspect_task.options(num_cpus=RENDER_CPUS, name="inspect").remote(files, options)


def start_render(slice_: RenderSlice, options: PdfOptions, where: NodeAffinitySchedulingStrategy) -> ObjectRefGenerator:
    """`render_slice` as a streaming task at `where`. Not retried by Ray, whose yields would mix two attempts."""
    return _render_task.options(
        num_cpus=RENDER_CPUS,
        name="render",
        max_retries=0,
        scheduling_strategy=where,
        _generator_backpressure_num_objects=YIELDS_AHEAD,
    ).remote(slice_, options)


def _inspect(file: InputFile, options: PdfOptions) -> DocumentRef:
    def failed(code: ErrorCode, message: str, document_id: str | None = None) -> DocumentRef:
        identity = document_id or f"uri-sha256:{hashlib.sha256(file.uri.encode()).hexdigest()}"
        failure = Failure(code, message)
        return DocumentRef(identity, file.uri, file.name, file.size_bytes, file.version, None, failure)

    if file.version is None:
        return failed(ErrorCode.PDF_NOT_FOUND, "There is no such file.")
    if file.size_bytes > options.max_file_bytes:
        return failed(
            ErrorCode.TOO_LARGE, f"The file is larger than {options.max_file_bytes} bytes (--max-file-bytes)."
        )
    source = _source(file.uri)
    document_id = document_id_of(source) if source is not None else None
    if source is None or document_id is None:
        return failed(ErrorCode.PDF_NOT_FOUND, "The file cannot be read.")
    info = _child().inspect(source, options.password_text)
    if isinstance(info, Failure):
        return DocumentRef(document_id, file.uri, file.name, file.size_bytes, file.version, None, info)
    if info.page_count > options.max_pages:
        message = f"The document has {info.page_count} pages, more than {options.max_pages} (--max-pages)."
        return failed(ErrorCode.TOO_MANY_PAGES, message, document_id)
    return DocumentRef(document_id, file.uri, file.name, file.size_bytes, file.version, info.page_count)


def _render(item: RenderItem, options: PdfOptions) -> Iterator[RenderedPage]:
    child = _child()
    source = _unchanged_source(item.document)
    opened = child.inspect(source, options.password_text) if source is not None else _CHANGED
    for number in item.pages:
        if isinstance(opened, Failure):
            yield PageUnrendered(number, Failure(ErrorCode.RENDER_FAILED, opened.message), render_ms=0)
        else:
            yield child.render(number, options.longest_side_px)


def _source(uri: str) -> Path | bytes | None:
    """What to open: a local path, or an object's bytes; None when the object is not there."""
    return read_input(uri) if is_remote(uri) else Path(uri)


def _unchanged_source(document: DocumentRef) -> Path | bytes | None:
    """The document's source as it was planned; None when it has other bytes now: pages of two files must not mix."""
    source = _source(document.uri)
    if isinstance(source, Path):
        return source if local_version(source) == document.version else None
    return source if source is not None and document_id_of(source) == document.document_id else None

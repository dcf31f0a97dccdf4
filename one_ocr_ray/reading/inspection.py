"""Opens input files: to plan them by id and page count, and to render them.

pdfium runs in the killable child processes of `pdf.py`; nothing is rendered here.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from one_ocr_ray.archive import ArchiveError
from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, PageUnrendered
from one_ocr_ray.pdf.failures import of_archive as failure_of_archive
from one_ocr_ray.pdf.reader import PdfChild, PdfOptions, document_id_of
from one_ocr_ray.policy.input_names import holds_documents, split_member
from one_ocr_ray.storage.archives import member_bytes, members
from one_ocr_ray.storage.inputs import is_folder, read_input, stat_input
from one_ocr_ray.storage.store.uris import is_remote, local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.model import RenderedPage
    from one_ocr_ray.storage.inputs import InputFile


_UNREADABLE = Failure(ErrorCode.PDF_NOT_FOUND, "The file cannot be read.")
CHANGED = Failure(
    ErrorCode.RENDER_FAILED,
    "The file has gone, or has other bytes than when it was planned; those are a document of their own. "
    "With the old file in its place, --retry-failed reads this page.",
)


def inspect_all(files: Iterable[InputFile], options: PdfOptions, *, children: int) -> Iterator[DocumentRef]:
    """`inspect` each of `files`, in order, with `children` child processes, two files a child ahead."""
    idle: SimpleQueue[PdfChild] = SimpleQueue()

    def with_idle_child(file: InputFile) -> DocumentRef:
        child = idle.get()
        try:
            return inspect(file, options, child)
        finally:
            idle.put(child)

    with ExitStack() as stack:
        for _ in range(children):
            idle.put(stack.enter_context(PdfChild()))
        threads = stack.enter_context(ThreadPoolExecutor(children, thread_name_prefix="inspect"))
        under_way: deque[Future[DocumentRef]] = deque()
        for file in files:
            under_way.append(threads.submit(with_idle_child, file))
            if len(under_way) >= 2 * children:
                yield under_way.popleft().result()
        for future in under_way:
            yield future.result()


def inspect(file: InputFile, options: PdfOptions, child: PdfChild) -> DocumentRef:
    """Open `file` once in `child`: its id, page count, or why it cannot be read."""
    if file.version is None:
        return _failed(file, ErrorCode.PDF_NOT_FOUND, file.fault or "There is no such file.")
    if _holds_listed(file):  # which can be listed by now: a row without pages, for its files have rows of their own
        identity = hashlib.sha256(f"{file.uri} {file.version}".encode()).hexdigest()
        return DocumentRef(f"uri-sha256:{identity}", file.uri, file.name, 0, file.version, page_count=0)
    if file.size_bytes > options.max_file_bytes:
        message = f"The file is larger than {options.max_file_bytes} bytes (--max-file-bytes)."
        return _failed(file, ErrorCode.TOO_LARGE, message)
    source = source_of(file.uri)
    if isinstance(source, Failure):
        return _failed(file, source.code, source.message)
    return inspect_source(file, source, options, child)


def inspect_source(file: InputFile, source: Path | bytes, options: PdfOptions, child: PdfChild) -> DocumentRef:
    """Open the bytes of `file`, or the local file at a path, in `child`."""
    document_id = document_id_of(source)
    if document_id is None:
        return _failed(file, _UNREADABLE.code, _UNREADABLE.message)
    info = child.inspect(source, options.password_text, file.name)
    if isinstance(info, Failure):
        return DocumentRef(document_id, file.uri, file.name, file.size_bytes, file.version, None, info)
    if info.page_count > options.max_pages:
        message = f"The document has {info.page_count} pages, more than {options.max_pages} (--max-pages)."
        return _failed(file, ErrorCode.TOO_MANY_PAGES, message, document_id)
    return DocumentRef(document_id, file.uri, file.name, file.size_bytes, file.version, info.page_count)


def _holds_listed(file: InputFile) -> bool:
    """True for a folder or archive that can be listed now but not when planned."""
    if is_folder(file.uri) or file.version is None or not holds_documents(file.uri):
        return is_folder(file.uri)
    try:
        return bool(members(file.uri, file.size_bytes, file.version))
    except ArchiveError:
        return False


def _failed(file: InputFile, code: ErrorCode, message: str, document_id: str | None = None) -> DocumentRef:
    identity = document_id or f"uri-sha256:{hashlib.sha256(file.uri.encode()).hexdigest()}"
    failure = Failure(code, message)
    return DocumentRef(identity, file.uri, file.name, file.size_bytes, file.version, None, failure)


class Opener:
    """A child process that keeps a document open. Its slices fetch and check it once.

    What tells a document is its bytes, never its etag or mtime: a copy or a backup brings new ones of those.
    """

    def __init__(self, child: PdfChild) -> None:
        self.child = child
        self._open: tuple[str | None, ...] | None = None  # what is open, as `_key` tells it

    def inspect(self, file: InputFile, options: PdfOptions) -> DocumentRef:
        """`inspect` in the child process."""
        self._open = None
        return inspect(file, options, self.child)

    def open(self, document: DocumentRef, options: PdfOptions) -> Failure | None:
        """Open `document` in the child process. Gives a failure when that cannot be, or its bytes have changed."""
        now = None if _is_read_whole(document.uri) else stat_input(document.uri)
        key = _key(document, now, options)
        if key == self._open:
            return None
        self._open = None
        source = source_of(document.uri)
        planned = now is not None and (now.version, now.size_bytes) == (document.version, document.size_bytes)
        if isinstance(source, Failure) or not (planned or document_id_of(source) == document.document_id):
            return CHANGED
        opened = self.child.inspect(source, options.password_text)
        if isinstance(opened, Failure):
            return opened
        self._open = key
        return None


def drawn(child: PdfChild, page_number: int, document_id: str, options: PdfOptions) -> RenderedPage:
    """The image of a page of the open document, with its text layer if wanted."""
    page = child.render(page_number, options.longest_side_px, layer=options.layer)
    if isinstance(page, PageUnrendered):
        # Another try without the layer may help: a crash may not be the page's doing, unless it comes again.
        slow = options.layer and page.failure.code is ErrorCode.RENDER_TIMEOUT
        if slow or page.failure.code is ErrorCode.RENDER_CRASHED:
            page = child.render(page_number, options.longest_side_px)
    if isinstance(page, PageUnrendered) or page.layer is None:
        return page
    return replace(page, layer=replace(page.layer, document_id=document_id))


def _key(document: DocumentRef, now: InputFile | None, options: PdfOptions) -> tuple[str | None, ...]:
    """What tells whether the open document is still the same. A local file may change under the child process."""
    version = None if now is None else f"{now.version} {now.size_bytes}"
    return document.document_id, document.uri, version, options.password_text


def source_of(uri: str) -> Path | bytes | Failure:
    """A local path, or the bytes of an object or archive member."""
    if not _is_read_whole(uri):
        return Path(local_path(uri))
    data = None
    try:
        if (member := split_member(uri)) is None:
            data = read_input(uri)
        elif (archive := stat_input(member[0])).version is not None:
            found = members(member[0], archive.size_bytes, archive.version).get(member[1])
            data = None if found is None else member_bytes(member[0], found)
    except ArchiveError as error:
        return failure_of_archive(error.fault)
    return _UNREADABLE if data is None else data


def _is_read_whole(uri: str) -> bool:
    return is_remote(uri) or split_member(uri) is not None

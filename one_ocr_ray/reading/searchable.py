"""Searchable copies of input files: the same PDFs, with invisible text on scanned pages."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.model import Failure
from one_ocr_ray.pdf.kinds import HEAD_BYTES, DocumentKind, kind_of
from one_ocr_ray.pdf.reader import document_id_of
from one_ocr_ray.pdf.searchable.writer import CORRUPT, Added, CopyRefusal, SearchableWriter
from one_ocr_ray.policy.dataset.export import ExportReport, FileNames
from one_ocr_ray.policy.route.own_layer import LayerWish, layer_wish
from one_ocr_ray.policy.writers.pdf_text import PdfText
from one_ocr_ray.policy.writers.placed import placed_page
from one_ocr_ray.reading.inspection import source_of
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.dataset.export import writing_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import SecretStr

    from one_ocr_ray.model import DocumentResult, PageResult

_GONE = CopyRefusal("pdf_not_found", "The file is not there any more.")
_CHANGED = CopyRefusal("pdf_changed", "The file has other bytes than when it was read; read it again with a new run.")
_NO_PDF = CopyRefusal("not_pdf", "The file is neither a PDF nor a picture.")


@dataclass(frozen=True, slots=True)
class SearchableOptions:
    """How searchable copies are made."""

    allow_signed: bool = False
    password: SecretStr | None = None


@dataclass(slots=True)
class SearchableReport:
    """Counts the pages of a searchable copy: with a new layer, guessed places, damage."""

    written: int = 0
    guessed: int = 0
    damaged: int = 0


def write_searchable(
    writer: SearchableWriter, source: Path, target: Path, pages: Sequence[PageResult], options: SearchableOptions
) -> SearchableReport | CopyRefusal:
    """Write the PDF at `source` with the text of `pages` to `target`. A refusal leaves no file.

    Where no page gets a layer, the copy has the same bytes.
    """
    page_count = _open(writer, source, pages, options)
    if isinstance(page_count, CopyRefusal):
        return page_count
    if any(page.page_number > page_count for page in pages):
        return CORRUPT
    report, text = SearchableReport(), PdfText()
    for page in pages:
        wish = layer_wish(page)
        placed = placed_page(page) if wish is not LayerWish.NONE else None
        if placed is None or not (body := text.body(placed)):
            continue
        added = writer.add(placed.number, placed.box, body, beside_visible=wish is LayerWish.ALWAYS)
        if isinstance(added, CopyRefusal):
            return added
        report.written += added is Added.WRITTEN
        report.guessed += added is Added.WRITTEN and placed.is_guessed
        report.damaged += added is Added.DAMAGED
    if not report.written and _kind(source) is DocumentKind.PDF:
        shutil.copyfile(source, target)
        return report
    return writer.save(target, text.spare, source.stat().st_size) or report


def _open(
    writer: SearchableWriter, source: Path, pages: Sequence[PageResult], options: SearchableOptions
) -> int | CopyRefusal:
    kind = _kind(source)
    if kind is None or kind is DocumentKind.ZIP:
        return _NO_PDF
    if kind is DocumentKind.PDF:
        password = options.password.get_secret_value() if options.password else None
        return writer.open(source, password, allow_signed=options.allow_signed)
    sizes_pt = {page.page_number: (page.page_box.width, page.page_box.height) for page in pages if page.page_box}
    # What OCR has turned is turned back: the page is to be shown as the picture is.
    turned = {page.page_number for page in pages if (page.rotation or 0) % 180}
    shown = {number: size[::-1] if number in turned else size for number, size in sizes_pt.items()}
    return writer.open_picture(source, kind, shown)


def _kind(source: Path) -> DocumentKind | None:
    with source.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def export_searchable(
    output: str, folder: Path, options: SearchableOptions, say: Callable[[str], object]
) -> ExportReport:
    """Write a searchable copy of each document in the dataset at `output`. `say` hears why one was not written.

    Raises UsageError when there is no dataset or no such folder can be, StorageError when files cannot be written.
    """
    source = committed_documents(output)
    report = ExportReport(lacking="pages")
    names = FileNames(".pdf")
    with writing_to(folder), SearchableWriter() as writer:
        for shard in source.shards:
            for document, pages in source.with_pages(shard):
                name = document.source_name
                made = _export(writer, document, pages, folder / names.next(name), options)
                if isinstance(made, CopyRefusal):
                    say(f"{name}: {made.code}: {made.message}")
                    report.refused += 1
                    continue
                report.documents += 1
                if document.pages_failed:
                    say(f"{name}: {document.pages_failed} failed pages have no text layer.")
                if made.damaged:
                    say(f"{name}: {made.damaged} damaged pages stay as they are.")
                if made.guessed:
                    say(f"{name}: no places are known of {made.guessed} pages; their text is spread over the page.")
    return report


def _export(
    writer: SearchableWriter,
    document: DocumentResult,
    pages: Sequence[PageResult],
    target: Path,
    options: SearchableOptions,
) -> SearchableReport | CopyRefusal:
    """One document, in the place of what stood at `target` once the copy is whole."""
    if document.failure is not None:
        return CopyRefusal(document.failure.code, document.failure.message)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".one-ocr-") as scratch:
        source = source_of(document.source_uri)
        if isinstance(source, bytes):  # of an object
            fetched = Path(scratch) / "original"
            fetched.write_bytes(source)
            source = fetched
        found = None if isinstance(source, Failure) else document_id_of(source)
        if isinstance(source, Failure) or found is None:
            return _GONE
        if found != document.document_id:
            return _CHANGED
        made = write_searchable(writer, source, Path(scratch) / "copy.pdf", pages, options)
        if not isinstance(made, CopyRefusal):
            (Path(scratch) / "copy.pdf").replace(target)
    return made

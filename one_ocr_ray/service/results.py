"""Results of a task or a batch as a file of one format. Blocks; routes call it in a thread."""

from __future__ import annotations

import io
import zipfile
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

import orjson

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.export import ExportFormat, FileNames, page_blocks, page_tables, placed_text_of
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.dataset.schema import page_row
from one_ocr_ray.policy.document import PAGE_JOINT
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.writers.cells import to_csv
from one_ocr_ray.policy.writers.html import to_html_document
from one_ocr_ray.policy.writers.text import to_text
from one_ocr_ray.service.api.schemas import TaskStatus
from one_ocr_ray.storage.dataset.parquet import encode_pages, write_pages
from one_ocr_ray.storage.dataset.workbook import Sheet, sheets_of, write_workbook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.storage.tasks.task_store import TaskStore

_JSON = orjson.OPT_UTC_Z


class Format(StrEnum):
    """The formats of a result."""

    MD = "md"
    TXT = "txt"
    HTML = "html"
    PDF = "pdf"  # the upload, searchable
    CSV = "csv"  # the tables, one after the other with an empty line between them
    XLSX = "xlsx"  # the tables, a sheet for each
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"
    HOCR = "hocr"
    ALTO = "alto"
    ZIP = "zip"

    @property
    def suffix(self) -> str:
        """The end of a file's name."""
        return "alto.xml" if self is Format.ALTO else self.value


class BatchFormat(StrEnum):
    """The formats of a batch: a folder per task, or rows of all pages."""

    ZIP = "zip"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.MD: "text/markdown; charset=utf-8",
    Format.TXT: "text/plain; charset=utf-8",
    Format.HTML: "text/html; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.JSON: "application/json",
    Format.JSONL: "application/jsonl",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.PDF: "application/pdf",
    Format.HOCR: "text/vnd.hocr+html; charset=utf-8",
    Format.ALTO: "application/xml",
    Format.ZIP: "application/zip",
}


def result_of(store: TaskStore, view: TaskView, form: Format) -> bytes:
    """The result of one task."""
    if form is not Format.ZIP:
        return _file(store, view, store.pages(view.record.task_id), form)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, store, view, "", FileNames("").next(view.record.filename))
    return out.getvalue()


def write_results(store: TaskStore, views: Sequence[TaskView], form: BatchFormat, out: BinaryIO) -> None:
    """Write the results of all tasks into `out`. The pages of one task are in memory at a time."""
    if form is BatchFormat.PARQUET:
        write_pages((page for view in views for page in store.pages(view.record.task_id)), {}, out)
        return
    folders = FileNames("")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for view in views:
            name = folders.next(view.record.filename)
            _add(archive, store, view, f"{name}/", name)


def _add(archive: zipfile.ZipFile, store: TaskStore, view: TaskView, folder: str, name: str) -> None:
    pages = store.pages(view.record.task_id)
    for form in (Format.MD, Format.TXT, Format.HTML, Format.JSON, Format.JSONL):
        archive.writestr(f"{folder}{name}.{form}", _file(store, view, pages, form))
    archive.writestr(f"{folder}pages.parquet", _file(store, view, pages, Format.PARQUET))
    document = store.files(view.record.task_id, "documents")
    if document is not None:
        archive.writestr(f"{folder}documents.parquet", document)


def _file(store: TaskStore, view: TaskView, pages: Sequence[PageResult], form: Format) -> bytes:
    match form:
        case Format.MD | Format.TXT | Format.HTML | Format.HOCR | Format.ALTO:
            return _text(view, pages, form).encode()
        case Format.CSV:
            texts = (to_csv(sheet.rows) for sheet in sheets_of(page_tables(pages)))
            return "\r\n".join(texts).encode("utf-8-sig")
        case Format.XLSX:
            # The tables of the pages; a workbook must have a sheet, so one without tables has an empty one.
            out = io.BytesIO()
            write_workbook(out, sheets_of(page_tables(pages)) or [Sheet("no tables", [])], view.record.created_at)
            return out.getvalue()
        case Format.JSON:
            body = {"task": TaskStatus.of(view).model_dump(mode="json"), "pages": [page_row(page) for page in pages]}
            return orjson.dumps(body, option=_JSON | orjson.OPT_INDENT_2)
        case Format.JSONL:
            return b"".join(orjson.dumps(page_row(page), option=_JSON | orjson.OPT_APPEND_NEWLINE) for page in pages)
        case _:
            committed = store.files(view.record.task_id, "pages") if view.state.terminal else None
            return committed or encode_pages(pages, {})


def _text(view: TaskView, pages: Sequence[PageResult], form: Format) -> str:
    """All pages as one text of a format that people read."""
    if form is Format.HTML:
        return to_html_document(view.record.filename, [page_blocks(page) for page in pages])
    if form is Format.MD:
        return markdown_of(pages)
    if form in (Format.HOCR, Format.ALTO):
        return placed_text_of(view.record.filename, pages, ExportFormat(form))
    texts = (
        to_text(unpack(page.blocks)) if page.blocks else plain_text(page.markdown) for page in pages if page.markdown
    )
    return PAGE_JOINT.join(texts).rstrip("\n") + "\n"


def page_markdown(page: PageResult) -> str:
    """The Markdown of a page. For a failed one it is an HTML comment that says so."""
    if page.status is PageStatus.FAILED:
        return f"<!-- page {page.page_number} failed: {page.failure.code if page.failure else 'unknown'} -->"
    return page.markdown or ""


def markdown_of(pages: Sequence[PageResult]) -> str:
    """All pages in order, ending in a line break; failed pages are comments."""
    return PAGE_JOINT.join(text for page in pages if (text := page_markdown(page))).rstrip("\n") + "\n"

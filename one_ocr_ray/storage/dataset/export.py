"""Exports a dataset: files of documents or tables, or one of JSON lines. One shard is in memory at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.policy.dataset.export import (
    ExportFormat,
    ExportReport,
    FileNames,
    json_line,
    page_blocks,
    page_tables,
    placed_text_of,
    text_of,
)
from one_ocr_ray.policy.writers.cells import to_csv
from one_ocr_ray.policy.writers.html import to_html_document
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.dataset.workbook import sheets_of, write_workbook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.storage.dataset.committed import CommittedDocuments

SUFFIXES = {ExportFormat.ALTO: ".alto.xml"}
_LINES = {ExportFormat.JSONL: "documents.jsonl", ExportFormat.DOLMA: "dolma.jsonl"}


def export(output: str, folder: Path, kind: ExportFormat) -> ExportReport:
    """Write the dataset at `output` into `folder` as `kind`, replacing files of the same names.

    Documents that could not be opened have no file of their own; in JSON lines they have a line that says why.
    Raise UsageError if there is no dataset or `folder` cannot be a folder, StorageError if files cannot be written.
    """
    source = committed_documents(output)
    with writing_to(folder):
        if kind in _LINES:
            return _write_lines(source, folder / _LINES[kind], kind)
        if kind in (ExportFormat.CSV, ExportFormat.XLSX):
            return _write_tables(source, folder, kind)
        return _write_documents(source, folder, kind)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Make `folder` for files that are written in the block.

    Raise UsageError if it cannot be a folder, StorageError if files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--to: {folder} is not a folder.") from error
    except OSError as error:
        raise StorageError(f"Files cannot be written to {folder}: {error.strerror}.") from error


def _write_documents(source: CommittedDocuments, folder: Path, kind: ExportFormat) -> ExportReport:
    report = ExportReport()
    names = FileNames(SUFFIXES.get(kind, f".{kind.value}"))
    for shard in source.shards:
        if kind in (ExportFormat.HOCR, ExportFormat.ALTO):
            placed = source.with_pages(shard)
            texts = ((document, placed_text_of(document.source_name, pages, kind)) for document, pages in placed)
        elif kind is ExportFormat.HTML:
            written = source.with_pages(shard)
            texts = ((each, to_html_document(each.source_name, map(page_blocks, pages))) for each, pages in written)
        else:
            texts = ((document, text_of(document, kind)) for document in source.documents(shard))
        for document, text in texts:
            if document.markdown is None:
                report.left_out += 1
                continue
            (folder / names.next(document.source_name)).write_text(text, encoding="utf-8")
            report.documents += 1
    return report


def _write_tables(source: CommittedDocuments, folder: Path, kind: ExportFormat) -> ExportReport:
    """A CSV file for each table, or a workbook for each document. A document without tables has none."""
    report = ExportReport(lacking="tables", pieces=0)
    names = FileNames("")
    for shard in source.shards:
        for document, pages in source.with_pages(shard):
            tables = page_tables(pages)
            if not tables:
                report.left_out += 1
                continue
            name = names.next(document.source_name)
            sheets = sheets_of(tables)
            if kind is ExportFormat.XLSX:
                write_workbook(folder / f"{name}.xlsx", sheets, document.finished_at)
            else:
                for table, sheet in zip(tables, sheets, strict=True):
                    file = folder / f"{name}-p{table.page_number}-t{table.number}.csv"
                    # With a byte order mark, without which spreadsheet programs take UTF-8 for something else.
                    file.write_text(to_csv(sheet.rows), encoding="utf-8-sig", newline="")
            report.documents += 1
            report.pieces = (report.pieces or 0) + len(tables)
    return report


def _write_lines(source: CommittedDocuments, file: Path, kind: ExportFormat) -> ExportReport:
    report = ExportReport()
    with file.open("wb") as out:
        for shard in source.shards:
            for document, pages in source.with_pages(shard):
                if kind is ExportFormat.DOLMA and document.markdown is None:
                    report.left_out += 1
                    continue
                out.write(json_line(document, pages, kind))
                report.documents += 1
    return report

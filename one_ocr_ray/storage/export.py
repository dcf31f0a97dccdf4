"""Exports a dataset: a file per document, or one file of JSON lines. One shard is in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.policy.dataset.export import ExportFormat, FileNames, json_line, text_of
from one_ocr_ray.storage.committed import committed_documents

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.storage.committed import CommittedDocuments

_LINES = {ExportFormat.JSONL: "documents.jsonl", ExportFormat.DOLMA: "dolma.jsonl"}


@dataclass(slots=True)
class ExportReport:
    """How many documents were written, and how many had no text."""

    documents: int = 0
    without_text: int = 0


def export(output: str, folder: Path, kind: ExportFormat) -> ExportReport:
    """Write the dataset at `output` into `folder` as `kind`, replacing files of the same names.

    Documents that could not be opened have no file of their own; in JSON lines they have a line that says why.
    Raise UsageError if there is no dataset or `folder` cannot be a folder, StorageError if files cannot be written.
    """
    source = committed_documents(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kind in (ExportFormat.MD, ExportFormat.TXT):
            return _write_texts(source, folder, kind)
        return _write_lines(source, folder / _LINES[kind], kind)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--to: {folder} is not a folder.") from error
    except OSError as error:
        raise StorageError(f"Files cannot be written to {folder}: {error.strerror}.") from error


def _write_texts(source: CommittedDocuments, folder: Path, kind: ExportFormat) -> ExportReport:
    report = ExportReport()
    names = FileNames(f".{kind.value}")
    for shard in source.shards:
        for document in source.documents(shard):
            if document.markdown is None:
                report.without_text += 1
                continue
            (folder / names.next(document.source_name)).write_text(text_of(document, kind), encoding="utf-8")
            report.documents += 1
    return report


def _write_lines(source: CommittedDocuments, file: Path, kind: ExportFormat) -> ExportReport:
    report = ExportReport()
    with file.open("wb") as out:
        for shard in source.shards:
            for document, pages in source.with_pages(shard):
                if kind is ExportFormat.DOLMA and document.markdown is None:
                    report.without_text += 1
                    continue
                out.write(json_line(document, pages, kind))
                report.documents += 1
    return report

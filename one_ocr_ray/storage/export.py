"""Writing files from a dataset: a file per document, or one file of JSON lines. One shard is in memory at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.policy.dataset.export import ExportFormat, FileNames, json_line, text_of
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import DocumentResult, PageResult, Shard

_LINES = {ExportFormat.JSONL: "documents.jsonl", ExportFormat.DOLMA: "dolma.jsonl"}


@dataclass(slots=True)
class ExportReport:
    """How many documents were written, and how many had no text to write."""

    documents: int = 0
    without_text: int = 0


def export(output: str, folder: Path, kind: ExportFormat) -> ExportReport:
    """Write the dataset at `output` into `folder` as `kind`, replacing files of the same names.

    Documents that could not be opened have no file of their own; in JSON lines they have a line that says why.
    Raises UsageError when there is no dataset or no such folder can be, StorageError when files cannot be written.
    """
    root = root_of(output)
    if not is_remote(root) and not Path(root).is_dir():
        raise UsageError(f"There is no dataset at {output}.")
    source = _Source(Objects(root))
    if not source.shards:
        raise UsageError(f"There is no finished document in {output} yet.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kind in (ExportFormat.MD, ExportFormat.TXT):
            return _write_texts(source, folder, kind)
        return _write_lines(source, folder / _LINES[kind], kind)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--to: {folder} is not a folder.") from error
    except OSError as error:
        raise StorageError(f"Files cannot be written to {folder}: {error.strerror}.") from error


class _Source:
    """The committed shards of a dataset, in planning order."""

    def __init__(self, output: Objects) -> None:
        self._dataset = Dataset(output, config={})
        committed = self._dataset.committed()
        planned = [shard for batch in RunDirectory(output).plan() for shard in batch]
        # A shard whose files were mended stands in several batches: the last of them holds, in the place of the first.
        latest = {shard.shard_id: shard for shard in planned}
        self.shards = [shard for shard in latest.values() if shard.shard_id in committed]
        self._home = {
            each.document_id: shard.shard_id for shard in planned if not shard.copies for each in shard.documents
        }

    def documents(self, shard: Shard) -> list[DocumentResult]:
        return self._dataset.documents(shard.shard_id)

    def with_pages(self, shard: Shard) -> Iterator[tuple[DocumentResult, list[PageResult]]]:
        """Each document of `shard` with its pages, which for a copy stand in the shard of the first such file."""
        pages: dict[str, list[PageResult]] = defaultdict(list)
        for shard_id in sorted({self._home[each.document_id] for each in shard.documents}):
            for page in self._dataset.pages(shard_id):
                pages[page.document_id].append(page)
        for document in self.documents(shard):
            yield document, pages[document.document_id]


def _write_texts(source: _Source, folder: Path, kind: ExportFormat) -> ExportReport:
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


def _write_lines(source: _Source, file: Path, kind: ExportFormat) -> ExportReport:
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

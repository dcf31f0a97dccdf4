"""`one_ocr_ray.export`, `verify` and `evaluate`: what the commands of these names do with a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.dataset.export import ExportFormat
from one_ocr_ray.reading.figures import export_figures
from one_ocr_ray.reading.searchable import SearchableOptions, export_searchable
from one_ocr_ray.storage.dataset import evaluate as evaluation
from one_ocr_ray.storage.dataset import export as files
from one_ocr_ray.storage.dataset import verify as checks
from one_ocr_ray.storage.store.uris import folder_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from one_ocr_ray.policy.dataset.export import ExportReport
    from one_ocr_ray.policy.evaluation.report import EvalReport


def export(
    output: str | Path,
    to: str | Path,
    file_format: str = "md",
    *,
    allow_signed: bool = False,
    password: str | None = None,
    say: Callable[[str], None] | None = None,
) -> ExportReport:
    """Write files from the dataset at `output` into the folder `to`.

    `file_format` is one of `one-ocr export --format`. For `pdf`: `allow_signed` writes signed files too, `password`
    opens encrypted ones, and `say` hears why a file is not written. Raises UsageError when there is no dataset or no
    such folder can be, StorageError when files cannot be written.
    """
    if file_format not in list(ExportFormat):
        raise UsageError(f"There is no format {file_format}: give one of {', '.join(ExportFormat)}.")
    kind, folder = ExportFormat(file_format), folder_of(str(to), "--to")
    if kind is ExportFormat.PDF:
        wanted = SearchableOptions(allow_signed, None if password is None else SecretStr(password))
        return export_searchable(str(output), folder, wanted, say or (lambda _: None))
    if kind is ExportFormat.FIGURES:
        return export_figures(str(output), folder)
    return files.export(str(output), folder, kind)


def verify(output: str | Path) -> list[str]:
    """Everything that is wrong with the dataset at `output`, a sentence each. Raises UsageError if there is none."""
    return list(checks.verify(str(output)))


def evaluate(output: str | Path, truth: str | Path) -> EvalReport:
    """Compare the dataset at `output` with `truth`, a folder of texts or another dataset.

    `as_json()` of the report has all figures. Raises UsageError when there is no dataset, or nothing to compare.
    """
    return evaluation.evaluate(str(output), str(truth))

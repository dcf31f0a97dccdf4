"""`one_ocr_ray.PageReader`: a stage of somebody's own Ray Data pipeline, from files to rows of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageResult, PageStatus
from one_ocr_ray.policy.route.chain import models_of
from one_ocr_ray.python.loop_thread import LoopThread
from one_ocr_ray.python.reading import DocumentReader, ReaderLimits, settings_of_reading
from one_ocr_ray.setup.job import route_of
from one_ocr_ray.storage.dataset.parquet import pages_table
from one_ocr_ray.storage.inputs import InputFile, find_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from one_ocr_ray.model import DocumentRef

_NAMES = ("path", "uri")


class PageReader:
    """For `ds.map_batches(ocr.PageReader, fn_constructor_kwargs={...}, concurrency=2)`, or an instance in its place.

    A batch has a column `bytes`, with the files' names in `path` or `uri` if there are any; or one of these two alone,
    whose files are then read where the stage runs. It gives a row for each page, with the columns of the dataset's
    `pages` and all other columns of the file's row. A file that cannot be opened gives one failed row, `page_number` 0.

    Settings are those of `one-ocr run`. With an LLM engine all stages, jobs and services of the cluster share one rate
    limiter for each account.
    """

    def __init__(self, **settings: Any) -> None:
        """Raises UsageError for a wrong setting."""
        if settings_of_reading(settings).max_cost is not None:
            raise UsageError("max_cost is a ceiling for a whole run: use ocr.run, or ocr.read for one file.")
        self._given = settings
        self._running: _Running | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_given": self._given, "_running": None}  # another process starts its own

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """The rows of the pages of a batch. Raises StoppedError where an account stops everything."""
        self._running = self._running or _Running(self._given)
        files = list(_files(batch))
        read = self._running.read([(file, data) for _, file, data in files])
        results: list[PageResult] = []
        of_row: list[int] = []
        for (row, _, _), (document, pages) in zip(files, read, strict=True):
            results += pages if document.failure is None else [_unopened(document)]
            of_row += [row] * (len(results) - len(of_row))
        table = pages_table(results)
        for name in batch:
            if name != "bytes" and name not in table.column_names:
                table = table.append_column(name, pa.array(batch[name]).take(pa.array(of_row, pa.int64())))
        return table


class _Running:
    """The reader of this process, in an event loop that lives as long."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._loop = LoopThread("page-reader")
        self._reader = self._loop.wait_for(self._start(given))

    def read(self, files: Sequence[tuple[InputFile, bytes | None]]) -> list[tuple[DocumentRef, list[PageResult]]]:
        return self._loop.wait_for(self._reader.read(files))

    async def _start(self, given: dict[str, Any]) -> DocumentReader:
        chosen = settings_of_reading(given)
        if not models_of(route_of(chosen)):
            return DocumentReader(chosen)
        from one_ocr_ray.cluster.engine_setup import limiter_on_node  # noqa: PLC0415 - loads Ray
        from one_ocr_ray.cluster.ray_data import stage_identity  # noqa: PLC0415

        return DocumentReader(chosen, ReaderLimits(*stage_identity(), limiter_on_node))


def _files(batch: Mapping[str, Any]) -> Iterator[tuple[int, InputFile, bytes | None]]:
    """The files of a batch: their row numbers, and their bytes if it has them."""
    named = next((batch[name] for name in _NAMES if name in batch), None)
    if "bytes" in batch:
        for row, data in enumerate(batch["bytes"]):
            name = "" if named is None else str(named[row])
            yield row, InputFile(name, len(data), "bytes"), bytes(data)
    elif named is not None:
        for row, name in enumerate(named):
            yield from ((row, file, None) for file in find_inputs([str(name)]))
    else:
        raise UsageError("The batch has no column bytes, path or uri.")


def _unopened(document: DocumentRef) -> PageResult:
    """The row of a document that cannot be opened."""
    now = datetime.now(UTC)
    return PageResult(
        document_id=document.document_id,
        page_number=0,
        page_count=0,
        source_uri=document.uri,
        source_name=document.name,
        status=PageStatus.FAILED,
        engine="",
        model="",
        started_at=now,
        finished_at=now,
        run_id="",
        config_id="",
        failure=document.failure,
    )

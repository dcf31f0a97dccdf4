"""Rows of the dataset as Parquet files, in memory or on disk, and back."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import json as arrow_json

from one_ocr_ray.policy.dataset.fingerprint import SCHEMA_VERSION
from one_ocr_ray.policy.dataset.schema import DOCUMENTS, PAGES, document_result, document_row, page_result, page_row
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult

ROW_GROUP_ROWS = 5_000
ZSTD_LEVEL = 3
_ROWS_AT_ONCE = 250  # rows as Python objects are five times their size in Arrow
_TEXTS = ("markdown", "data", "blocks")


def encode_pages(results: Iterable[PageResult], config: Mapping[str, Any]) -> bytes:
    """A whole Parquet file of `pages` rows in the given order. `config` must hold no secret."""
    return _encode((page_row(result) for result in results), PAGES, "pages", config)


def write_pages(results: Iterable[PageResult], config: Mapping[str, Any], out: BinaryIO) -> None:
    """Like `encode_pages`, but into an open file, for more rows than fit into memory."""
    _write((page_row(result) for result in results), PAGES, "pages", config, out)


def pages_table(results: Sequence[PageResult]) -> pa.Table:
    """The rows of `results` as a table of `pages` in memory."""
    return _table([page_row(result) for result in results], PAGES) if results else PAGES.empty_table()


def encode_documents(results: Iterable[DocumentResult], config: Mapping[str, Any]) -> bytes:
    """A whole Parquet file of `documents` rows in the given order. `config` must hold no secret."""
    return _encode((document_row(result) for result in results), DOCUMENTS, "documents", config)


def decode_pages(data: bytes) -> list[PageResult]:
    """The rows of a Parquet file written by `encode_pages`."""
    file = pq.ParquetFile(pa.BufferReader(data))
    batches = file.iter_batches(_ROWS_AT_ONCE, use_threads=False)
    return [page_result(row) for batch in batches for row in batch.to_pylist()]


def decode_documents(data: bytes) -> list[DocumentResult]:
    """The rows of a Parquet file written by `encode_documents`."""
    return [document_result(row) for row in read_rows(data)]


def read_rows(data: bytes | Any, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a Parquet file, or only these columns. Nothing else of an open file is read."""
    rows: list[dict[str, Any]] = read_table(data, columns).to_pylist()
    return rows


def read_table(data: bytes | Any, columns: Sequence[str] | None = None) -> pa.Table:
    """The same as an Arrow table.

    Without Arrow's threads, which also fetch ahead: they may outlive the call and abort the interpreter at its exit.
    """
    file = pq.ParquetFile(pa.BufferReader(data) if isinstance(data, bytes) else data, pre_buffer=False)
    return file.read(columns=list(columns) if columns else None, use_threads=False)


def row_count(file: Any) -> int:
    """The number of rows of an open Parquet file; reads only its footer."""
    return int(pq.read_metadata(file).num_rows)


def _encode(rows: Iterable[dict[str, Any]], schema: pa.Schema, kind: str, config: Mapping[str, Any]) -> bytes:
    out = pa.BufferOutputStream()
    _write(rows, schema, kind, config, out)
    data: bytes = out.getvalue().to_pybytes()
    del out
    pa.default_memory_pool().release_unused()  # else Arrow keeps the memory of a long document's columns
    return data


def _write(rows: Iterable[dict[str, Any]], schema: pa.Schema, kind: str, config: Mapping[str, Any], out: Any) -> None:
    """Write `rows` into the open file `out`. One row group at a time is in memory."""
    footer = {
        "one_ocr_ray.schema": kind,
        "one_ocr_ray.schema_version": SCHEMA_VERSION,
        "one_ocr_ray.producer": f"one-ocr-ray {__version__}",
        "one_ocr_ray.config": orjson.dumps(dict(config), option=orjson.OPT_SORT_KEYS).decode(),
    }
    # No dictionary and no min/max statistics for long texts: they never repeat, so both would only store them again.
    short = [name for name in schema.names if name not in _TEXTS]
    with pq.ParquetWriter(
        out,
        schema.with_metadata(footer),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=short,
        write_statistics=short,
    ) as writer:
        remaining = iter(rows)
        tables = (_table(some, schema) for some in iter(lambda: list(islice(remaining, _ROWS_AT_ONCE)), []))
        while group := list(islice(tables, ROW_GROUP_ROWS // _ROWS_AT_ONCE)):
            writer.write_table(pa.concat_tables(group), row_group_size=ROW_GROUP_ROWS)


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows to Arrow through JSON. `Table.from_pylist` would import pandas: 50 MB and 0.4 s per worker."""
    lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    whole = arrow_json.ReadOptions(use_threads=False, block_size=len(lines))
    strict = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return arrow_json.read_json(pa.BufferReader(lines), whole, strict).cast(schema)

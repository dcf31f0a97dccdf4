"""The dataset's two tables: Arrow schemas, version 2 and 1, and the way from results to rows and back. No files here.

Column names, types and nullability are the public contract; `tests/unit/test_schema.py` holds them to it.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import json as arrow_json

from one_ocr_ray.blocks import PageBox
from one_ocr_ray.model import DocumentResult, ErrorCode, Failure, Outcome, PageResult, PageStatus, PageWarning
from one_ocr_ray.policy.dataset.fingerprint import SCHEMA_VERSION
from one_ocr_ray.policy.dataset.packing import as_json, pack_rows
from one_ocr_ray.policy.layout.places import turned
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROW_GROUP_ROWS = 5_000
ZSTD_LEVEL = 3
_ROWS_AT_ONCE = 250  # rows as Python objects are five times their size in Arrow
_TEXTS = ("markdown", "data", "blocks")

_TIME = pa.timestamp("us", tz="UTC")
_ERROR = pa.struct(
    [("code", pa.string()), ("message", pa.string()), ("retryable", pa.bool_()), ("http_status", pa.int16())]
)


_BOX = pa.struct([(side, pa.float32()) for side in ("x0", "y0", "x1", "y1")])
_PAGE_BOX = pa.struct([("width", pa.float32()), ("height", pa.float32()), ("rotate", pa.int16())])
_CELL = pa.struct(
    [
        *((name, pa.int16()) for name in ("row", "col", "row_span", "col_span")),
        ("box", _BOX),
        ("text", pa.string()),
        ("is_header", pa.bool_()),
    ]
)
_TABLE = pa.struct(
    [("rows", pa.int32()), ("cols", pa.int32()), ("header_rows", pa.int16()), ("cells", pa.list_(_CELL))]
)
_WORD = pa.struct([("text", pa.string()), ("box", _BOX), ("confidence", pa.float32()), ("space", pa.bool_())])
_LINE = pa.struct([("box", _BOX), ("angle", pa.float32()), ("words", pa.list_(_WORD))])
_BLOCK = pa.struct(
    [
        ("id", pa.int32()),
        ("kind", pa.string()),
        ("box", _BOX),
        ("text", pa.string()),
        ("level", pa.int8()),
        ("marker", pa.string()),
        ("table", _TABLE),
        ("parent", pa.int32()),
        ("continues", pa.bool_()),
        ("lines", pa.list_(_LINE)),
        ("source", pa.string()),
        ("confidence", pa.float32()),
    ]
)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


PAGES = pa.schema(
    [
        _required("document_id", pa.string()),
        _required("page_number", pa.int32()),
        _required("page_count", pa.int32()),
        _required("source_uri", pa.string()),
        _required("source_name", pa.string()),
        _required("status", pa.string()),
        ("markdown", pa.string()),
        ("data", pa.string()),
        ("error", _ERROR),
        _required("engine", pa.string()),
        _required("model", pa.string()),
        ("model_version", pa.string()),
        ("finish_reason", pa.string()),
        ("provider_request_id", pa.string()),
        _required("truncated", pa.bool_()),
        ("prompt_sha256", pa.string()),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
        ("rotation", pa.int32()),
        ("image_sha256", pa.string()),
        _required("attempts", pa.int32()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        ("confidence", pa.float64()),
        ("render_ms", pa.int64()),
        ("queue_ms", pa.int64()),
        ("latency_ms", pa.int64()),
        _required("started_at", _TIME),
        _required("finished_at", _TIME),
        _required("run_id", pa.string()),
        _required("config_id", pa.string()),
        _required("warnings", pa.list_(pa.string())),
        ("page_box", _PAGE_BOX),
        ("blocks", pa.list_(_BLOCK)),
    ]
)

DOCUMENTS = pa.schema(
    [
        _required("document_id", pa.string()),
        _required("source_uri", pa.string()),
        _required("source_name", pa.string()),
        _required("size_bytes", pa.int64()),
        ("page_count", pa.int32()),
        _required("pages_ok", pa.int32()),
        _required("pages_blank", pa.int32()),
        _required("pages_failed", pa.int32()),
        _required("outcome", pa.string()),
        ("error", _ERROR),
        ("markdown", pa.string()),
        ("page_ends", pa.list_(pa.int64())),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        _required("started_at", _TIME),
        _required("finished_at", _TIME),
        _required("run_id", pa.string()),
        _required("config_id", pa.string()),
    ]
)

_NEW_IN_2 = ("warnings", "page_box", "blocks")
_PAGES_V1 = pa.schema([column for column in PAGES if column.name not in _NEW_IN_2])

# By version and kind of table: what `read_rows` can be given.
SCHEMAS = {
    "1": {"pages": _PAGES_V1, "documents": DOCUMENTS},
    SCHEMA_VERSION: {"pages": PAGES, "documents": DOCUMENTS},
}


def encode_pages(results: Iterable[PageResult], config: Mapping[str, Any]) -> bytes:
    """A whole Parquet file of `pages` rows in the given order; `config` must hold no secret."""
    return _encode((page_row(result) for result in results), PAGES, "pages", config)


def write_pages(results: Iterable[PageResult], config: Mapping[str, Any], out: BinaryIO) -> None:
    """The same into an open file, for more rows than fit into memory."""
    _write((page_row(result) for result in results), PAGES, "pages", config, out)


def encode_documents(results: Iterable[DocumentResult], config: Mapping[str, Any]) -> bytes:
    """A whole Parquet file of `documents` rows in the given order; `config` must hold no secret."""
    return _encode((_row(result) for result in results), DOCUMENTS, "documents", config)


def decode_pages(data: bytes) -> list[PageResult]:
    """The rows of a Parquet file written by `encode_pages`."""
    file = pq.ParquetFile(pa.BufferReader(data))
    batches = file.iter_batches(_ROWS_AT_ONCE, use_threads=False)
    return [page_result(row) for batch in batches for row in batch.to_pylist()]


def decode_documents(data: bytes) -> list[DocumentResult]:
    """The rows of a Parquet file written by `encode_documents`."""
    return [_document_result(row) for row in read_rows(data)]


def read_rows(data: bytes | Any, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a Parquet file, or those columns of them, which is all that is read of an open file.

    Not `pq.read_table`: its threads may outlive the call and abort the interpreter while it ends.
    """
    file = pq.ParquetFile(pa.BufferReader(data) if isinstance(data, bytes) else data)
    rows: list[dict[str, Any]] = file.read(columns=list(columns) if columns else None, use_threads=False).to_pylist()
    return rows


def row_count(file: Any) -> int:
    """How many rows an open Parquet file has; only its end is read."""
    return int(pq.read_metadata(file).num_rows)


def _encode(rows: Iterable[dict[str, Any]], schema: pa.Schema, kind: str, config: Mapping[str, Any]) -> bytes:
    out = pa.BufferOutputStream()
    _write(rows, schema, kind, config, out)
    data: bytes = out.getvalue().to_pybytes()
    del out
    pa.default_memory_pool().release_unused()  # a long document's columns: it would keep them for the next one
    return data


def _write(rows: Iterable[dict[str, Any]], schema: pa.Schema, kind: str, config: Mapping[str, Any], out: Any) -> None:
    """Write `rows` into the open file `out`; of long documents a row group at a time is in memory."""
    footer = {
        "one_ocr_ray.schema": kind,
        "one_ocr_ray.schema_version": SCHEMA_VERSION,
        "one_ocr_ray.producer": f"one-ocr-ray {__version__}",
        "one_ocr_ray.config": orjson.dumps(dict(config), option=orjson.OPT_SORT_KEYS).decode(),
    }
    # A dictionary and the least and greatest of texts that never repeat are copies of the texts.
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
    """By way of JSON: `Table.from_pylist` imports pandas where there is one, 50 MB and 0.4 s of CPU in each worker."""
    lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    whole = arrow_json.ReadOptions(use_threads=False, block_size=len(lines))
    strict = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return arrow_json.read_json(pa.BufferReader(lines), whole, strict).cast(schema)


def _row(result: PageResult | DocumentResult) -> dict[str, Any]:
    row = {each.name: getattr(result, each.name) for each in fields(result)}
    failure: Failure | None = row.pop("failure")
    row["error"] = failure and {
        "code": failure.code.value,
        "message": failure.message,
        "retryable": failure.code.retryable,
        "http_status": failure.http_status,
    }
    return row


def page_row(result: PageResult) -> dict[str, Any]:
    """`result` as a row of `pages`. Raises ValueError for one that breaks the rule of failed pages."""
    failed = result.status is PageStatus.FAILED
    if (result.markdown is None) is not failed or (result.failure is not None) is not failed:
        raise ValueError(f"page {result.page_number}: failed pages have an error and no markdown, others the reverse")
    return _row(result) | {"blocks": as_json(result.blocks) if result.blocks else None}


def _failure(row: dict[str, Any]) -> Failure | None:
    error = row.pop("error")
    if error is None:
        return None
    return Failure(ErrorCode(error["code"]), error["message"], http_status=error["http_status"])


def page_result(row: dict[str, Any]) -> PageResult:
    """The result that `page_row` made `row` of, also in version 1."""
    blocks, page_box = row.get("blocks"), row.get("page_box")
    known = {
        "failure": _failure(row),
        "status": PageStatus(row["status"]),
        "warnings": tuple(PageWarning(code) for code in row.get("warnings", ())),
        "page_box": page_box and turned(PageBox(**page_box), 0),
        "blocks": None if blocks is None else pack_rows(blocks),
    }
    return PageResult(**{**row, **known})


def _document_result(row: dict[str, Any]) -> DocumentResult:
    failure = _failure(row)
    ends = tuple(row["page_ends"] or ())
    return DocumentResult(**{**row, "outcome": Outcome(row["outcome"]), "failure": failure, "page_ends": ends})

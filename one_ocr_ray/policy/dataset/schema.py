"""The dataset's two tables: Arrow schemas of both versions, and rows from results and back.

Column names, types and nullability are the public contract; `tests/unit/test_schema.py` holds them to it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pyarrow as pa

from one_ocr_ray.blocks import PageBox
from one_ocr_ray.model import DocumentResult, ErrorCode, Failure, Outcome, PageResult, PageStatus, PageWarning
from one_ocr_ray.policy.dataset.fingerprint import SCHEMA_VERSION
from one_ocr_ray.policy.dataset.packing import as_json, pack_rows
from one_ocr_ray.policy.layout.places import turned

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
        ("route_reason", pa.string()),
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

_NEW_IN_2 = ("warnings", "route_reason", "page_box", "blocks")
_PAGES_V1 = pa.schema([column for column in PAGES if column.name not in _NEW_IN_2])

# By version and kind of table.
SCHEMAS = {
    "1": {"pages": _PAGES_V1, "documents": DOCUMENTS},
    SCHEMA_VERSION: {"pages": PAGES, "documents": DOCUMENTS},
}


def document_row(result: DocumentResult) -> dict[str, Any]:
    """`result` as a row of `documents`."""
    return _row(result)


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
    """`result` as a row of `pages`. Raise ValueError if it breaks the rule of failed pages."""
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
    """The result of a row of `pages`, also of version 1."""
    blocks, page_box = row.get("blocks"), row.get("page_box")
    known = {
        "failure": _failure(row),
        "status": PageStatus(row["status"]),
        "warnings": tuple(PageWarning(code) for code in row.get("warnings", ())),
        "page_box": page_box and turned(PageBox(**page_box), 0),
        "blocks": None if blocks is None else pack_rows(blocks),
    }
    return PageResult(**{**row, **known})


def document_result(row: dict[str, Any]) -> DocumentResult:
    """The result of a row of `documents`."""
    failure = _failure(row)
    ends = tuple(row["page_ends"] or ())
    return DocumentResult(**{**row, "outcome": Outcome(row["outcome"]), "failure": failure, "page_ends": ends})

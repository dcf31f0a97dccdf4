"""The dataset's schema against the public contract, written out here a second time on purpose."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from io import BytesIO
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.blocks import (
    Block,
    BlockKind,
    BlockLine,
    BlockSource,
    BlockWord,
    Box,
    Cell,
    PageBox,
    Positions,
    TableGrid,
)
from one_ocr_ray.model import ErrorCode, Failure, PageStatus, PageWarning
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result
from one_ocr_ray.policy.dataset.journal import decode_segment, encode_segment
from one_ocr_ray.policy.dataset.packing import pack, unpack
from one_ocr_ray.storage.dataset.parquet import decode_documents, decode_pages, encode_documents, encode_pages
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from datetime import datetime

TIME = "timestamp[us, tz=UTC]"
ERROR = "struct<code: string, message: string, retryable: bool, http_status: int16>"
BOX = "struct<x0: float, y0: float, x1: float, y1: float>"
CELL = f"struct<row: int16, col: int16, row_span: int16, col_span: int16, box: {BOX}, text: string, is_header: bool>"
TABLE = f"struct<rows: int32, cols: int32, header_rows: int16, cells: list<element: {CELL}>>"
WORD = f"struct<text: string, box: {BOX}, confidence: float, space: bool>"
BLOCK = (
    f"struct<id: int32, kind: string, box: {BOX}, text: string, level: int8, marker: string, table: {TABLE}, "
    f"parent: int32, continues: bool, lines: list<element: struct<box: {BOX}, angle: float, "
    f"words: list<element: {WORD}>>>, source: string, confidence: float>"
)
GOLDEN_PAGES = {
    "document_id": "string*", "page_number": "int32*", "page_count": "int32*", "source_uri": "string*",
    "source_name": "string*", "status": "string*", "markdown": "string", "data": "string", "error": ERROR,
    "engine": "string*", "model": "string*", "model_version": "string", "finish_reason": "string",
    "provider_request_id": "string", "truncated": "bool*", "prompt_sha256": "string", "image_width": "int32",
    "image_height": "int32", "rotation": "int32", "image_sha256": "string", "attempts": "int32*",
    "input_tokens": "int64", "output_tokens": "int64", "cached_tokens": "int64", "cost_usd": "double",
    "confidence": "double", "render_ms": "int64", "queue_ms": "int64", "latency_ms": "int64",
    "started_at": f"{TIME}*", "finished_at": f"{TIME}*", "run_id": "string*", "config_id": "string*",
    "warnings": "list<element: string>*", "route_reason": "string",
    "page_box": "struct<width: float, height: float, rotate: int16>",
    "blocks": f"list<element: {BLOCK}>",
}  # fmt: skip
GOLDEN_DOCUMENTS = {
    "document_id": "string*", "source_uri": "string*", "source_name": "string*", "size_bytes": "int64*",
    "page_count": "int32", "pages_ok": "int32*", "pages_blank": "int32*", "pages_failed": "int32*",
    "outcome": "string*", "error": ERROR, "markdown": "string", "page_ends": "list<element: int64>",
    "input_tokens": "int64", "output_tokens": "int64", "cost_usd": "double",
    "started_at": f"{TIME}*", "finished_at": f"{TIME}*", "run_id": "string*", "config_id": "string*",
}  # fmt: skip


def spelled(schema: pa.Schema) -> dict[str, str]:
    """Column to type, a star where it is NOT NULL."""
    return {field.name: f"{field.type}{'' if field.nullable else '*'}" for field in schema}


PAPER = document(page_count=2)
SHEET = Box(10.01, 20.02, 300.3, 40.4)
WORDS = (BlockWord("Títle", SHEET, 0.9876), BlockWord("标题", SHEET, None, space=False))
BLOCKS = (
    Block(1, BlockKind.HEADING, "Títle 标题", SHEET, level=1, lines=(BlockLine(SHEET, WORDS, -1.25),), confidence=0.5),
    Block(2, BlockKind.LIST_ITEM, "one", level=1, marker="-", source=BlockSource.LLM, continues=True),
    Block(
        3,
        BlockKind.TABLE,
        "a\nb\tc",
        table=TableGrid(
            2, 2, (Cell(0, 0, "a", col_span=2, is_header=True), Cell(1, 0, "b", box=SHEET), Cell(1, 1, "c")), 1
        ),
        parent=2,
    ),
)
PAGES = [
    page(PAPER, 1, markdown="# Títle 标题", confidence=0.5, rotation=90, input_tokens=3, prompt_sha256="ab"),
    page(PAPER, 2, failure=Failure(ErrorCode.PROVIDER_UNAVAILABLE, "gone", http_status=503), attempts=5),
    page(PAPER, 3, warnings=(PageWarning.LINES_DROPPED, PageWarning.GLYPHS_MISSING)),
    page(PAPER, 4, blocks=pack(BLOCKS, Positions.WORDS), page_box=PageBox(595.28, 841.89, 90)),
    page(PAPER, 5, blocks=pack((), Positions.BLOCKS)),
]


def test_pages_file_has_the_contracts_schema_and_footer() -> None:
    """Columns, types, nullability and footer keys as published, read back from the file."""
    file = pq.ParquetFile(BytesIO(encode_pages(PAGES, {"engine": "local"})))
    assert spelled(file.schema_arrow) == GOLDEN_PAGES
    footer = file.schema_arrow.metadata
    assert footer[b"one_ocr_ray.schema"] == b"pages"
    assert footer[b"one_ocr_ray.schema_version"] == b"2"
    assert footer[b"one_ocr_ray.producer"].startswith(b"one-ocr-ray ")
    assert orjson.loads(footer[b"one_ocr_ray.config"]) == {"engine": "local"}
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_documents_file_has_the_contracts_schema_and_footer() -> None:
    """The same for documents."""
    row = document_result(PAPER, PAGES, RunIdentity("run", "config"), NOON)
    file = pq.ParquetFile(BytesIO(encode_documents([row], {})))
    assert spelled(file.schema_arrow) == GOLDEN_DOCUMENTS
    assert file.schema_arrow.metadata[b"one_ocr_ray.schema"] == b"documents"


def test_not_null_columns_are_required_in_parquet_itself() -> None:
    """Readers that do not know Arrow see the same nullability."""
    file = pq.ParquetFile(BytesIO(encode_pages(PAGES, {})))
    columns = [file.schema.column(n) for n in range(len(file.schema))]
    # A list counts a level for its repetition and one for its elements, which may be null.
    always = [each for each in columns if each.max_definition_level == 2 * each.max_repetition_level]
    required = {each.path.split(".")[0] for each in always}
    assert required == {name for name, kind in GOLDEN_PAGES.items() if kind.endswith("*")}


def test_results_come_back_as_they_were() -> None:
    """Rows and results are two forms of one value."""
    assert decode_pages(encode_pages(PAGES, {})) == PAGES
    rows = [document_result(PAPER, PAGES, RunIdentity("run", "config"), NOON)]
    assert decode_documents(encode_documents(rows, {})) == rows


@pytest.mark.parametrize("positions", list(Positions))
def test_blocks_come_back_as_they_were(positions: Positions) -> None:
    """By the dataset and by the journal, with what was asked for and nothing else."""
    row = page(PAPER, 1, blocks=pack(BLOCKS, positions))
    wanted = BLOCKS if positions is Positions.WORDS else tuple(replace(block, lines=None) for block in BLOCKS)
    for back in (decode_pages(encode_pages([row], {})), decode_segment(encode_segment([row], "c"), "c")):
        assert back is not None
        packed = back[0].blocks
        assert (packed is None) if positions is Positions.NONE else (packed is not None and unpack(packed) == wanted)


WHOLE = st.integers(-(2**63), 2**63 - 1)
AMOUNT = st.floats(allow_nan=False, allow_infinity=False)


@given(text=st.text(), name=st.text(), tokens=WHOLE, cost=AMOUNT, at=st.datetimes(timezones=st.just(UTC)))
def test_any_value_comes_back_as_it_was(text: str, name: str, tokens: int, cost: float, at: datetime) -> None:
    """What stands in a page or a provider's answer, quotes, NUL and line breaks too, does not change on its way."""
    row = page(PAPER, 1, markdown=text, source_name=name, output_tokens=tokens, cost_usd=cost, finished_at=at)
    assert decode_pages(encode_pages([row], {})) == [row]


def test_writing_does_not_import_pandas() -> None:
    """Every worker writes, and pandas costs each of them 50 MB and 0.4 s of CPU where it is installed."""
    probe = (
        "import sys; from tests.values import document, page; "
        "from one_ocr_ray.storage.dataset.parquet import encode_pages; "
        "encode_pages([page(document(), 1)], {}); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_retryable_follows_from_the_code() -> None:
    """The column says what the contract's list says."""
    table = pq.read_table(BytesIO(encode_pages(PAGES, {}))).to_pylist()
    assert table[1]["error"]["retryable"] is True
    retryable = {code.value for code in ErrorCode if code.retryable}
    assert retryable == {
        "provider_timeout", "provider_unavailable", "provider_bad_response", "render_timeout", "render_crashed",
    }  # fmt: skip


def test_row_groups_hold_five_thousand_rows() -> None:
    """Long documents stay readable in parts."""
    paper = document(page_count=5001)
    file = pq.ParquetFile(BytesIO(encode_pages((page(paper, n) for n in range(1, 5002)), {})))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [5000, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": PageStatus.FAILED, "markdown": "text", "failure": TIMED_OUT},
        {"status": PageStatus.FAILED, "markdown": None},
        {"status": PageStatus.OK, "markdown": None},
    ],
)
def test_markdown_is_null_exactly_for_failed_pages(wrong: dict[str, object]) -> None:
    """A row that breaks this rule is not written."""
    with pytest.raises(ValueError, match="failed"):
        encode_pages([replace(page(PAPER, 1), **wrong)], {})


def test_an_empty_file_is_valid() -> None:
    """A shard whose documents all failed to open has a pages file without rows."""
    assert decode_pages(encode_pages([], {})) == []

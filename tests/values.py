"""Ready-made nouns for tests: documents, pages and results with sensible values that a test overrides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, PageResult, PageStatus

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def document(number: int = 1, **changes: Any) -> DocumentRef:
    """Document `number`, of three pages unless `page_count` says otherwise."""
    base = DocumentRef(
        document_id=f"sha256:{number:064x}",
        uri=f"/pdfs/{number:05d}.pdf",
        name=f"{number:05d}.pdf",
        size_bytes=1000,
        version="1",
        page_count=3,
    )
    return replace(base, **changes)


def page(of: DocumentRef, number: int, **changes: Any) -> PageResult:
    """An ok page of `of`, or a failed one when `failure` is given."""
    if changes.get("failure") is not None:
        changes = {"status": PageStatus.FAILED, "markdown": None, **changes}
    base = PageResult(
        document_id=of.document_id,
        page_number=number,
        page_count=of.page_count or number,
        source_uri=of.uri,
        source_name=of.name,
        status=PageStatus.OK,
        markdown=f"text of page {number}",
        engine="local",
        model="some-model",
        attempts=1,
        cost_usd=0.0,
        started_at=NOON,
        finished_at=NOON,
        run_id="run",
        config_id="config",
    )
    return replace(base, **changes)


TIMED_OUT = Failure(ErrorCode.RENDER_TIMEOUT, "The page took longer than 20 s.")

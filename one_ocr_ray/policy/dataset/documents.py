"""Makes a document's row from its pages: counts, outcome, Markdown and page ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import DocumentResult, Outcome, PageStatus
from one_ocr_ray.policy.document import document_text
from one_ocr_ray.policy.known_sums import sum_known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from one_ocr_ray.model import DocumentRef, PageResult
    from one_ocr_ray.policy.document import DocumentText


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The run and the configuration that a row comes from."""

    run_id: str
    config_id: str


def document_result(
    document: DocumentRef,
    pages: Sequence[PageResult],
    identity: RunIdentity,
    now: datetime,
    text: DocumentText | None = None,
) -> DocumentResult:
    """The row of `document` from all its selected pages, in order. An unopened document has no pages.

    `now` replaces the times of a document without pages. `text`: that of the pages, where it is made already.
    """
    counts = {status: sum(page.status is status for page in pages) for status in PageStatus}
    text = text or document_text(pages)
    if document.failure is not None or counts[PageStatus.FAILED] == len(pages) > 0:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.PARTIAL if counts[PageStatus.FAILED] else Outcome.COMPLETE
    return DocumentResult(
        document_id=document.document_id,
        source_uri=document.uri,
        source_name=document.name,
        size_bytes=document.size_bytes,
        page_count=document.page_count,
        pages_ok=counts[PageStatus.OK],
        pages_blank=counts[PageStatus.BLANK],
        pages_failed=counts[PageStatus.FAILED],
        outcome=outcome,
        failure=document.failure,
        markdown=None if document.failure else text.markdown,
        page_ends=text.page_ends,
        input_tokens=sum_known(page.input_tokens for page in pages),
        output_tokens=sum_known(page.output_tokens for page in pages),
        cost_usd=sum_known(page.cost_usd for page in pages),
        started_at=min((page.started_at for page in pages), default=now),
        finished_at=max((page.finished_at for page in pages), default=now),
        run_id=identity.run_id,
        config_id=identity.config_id,
    )


def same_bytes_result(original: DocumentResult, copy: DocumentRef) -> DocumentResult:
    """The row of a file with the same bytes as `original`. Its pages were read once, so it costs nothing."""
    return replace(
        original,
        source_uri=copy.uri,
        source_name=copy.name,
        input_tokens=None if original.input_tokens is None else 0,
        output_tokens=None if original.output_tokens is None else 0,
        cost_usd=None if original.cost_usd is None else 0.0,
    )

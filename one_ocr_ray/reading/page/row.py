"""The row of a page, from the standing answer and what its requests have used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageResult, PageStatus, PageUnrendered
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.layout.places import turned
from one_ocr_ray.policy.page.blank import warnings_of

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer, DocumentRef, RenderedPage
    from one_ocr_ray.policy.cost.spending import PageUsage
    from one_ocr_ray.reading.page.loop import ReadContext
    from one_ocr_ray.reading.route.reader import Reader
    from one_ocr_ray.routing import RouteReason


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page that was read: the answer, its image, who gave it and why."""

    answer: Answer
    page: RenderedPage
    reader: Reader
    reason: RouteReason | None = None


def row_of(document: DocumentRef, read: PageRead, spent: PageUsage, context: ReadContext) -> PageResult:
    """The row of `document` that says what `read` has found and `spent` has taken."""
    answer, page, reader = read.answer, read.page, read.reader
    asked = spent.attempts > 0 or not reader.is_request
    is_timed = asked and (spent.recalled.requests == 0 or spent.spending.requests > 0)  # batches tell no times
    status = PageStatus.FAILED if answer.failure else PageStatus.OK if asked else PageStatus.BLANK
    extracts = reader.request.json_schema is not None
    result = PageResult(
        document_id=document.document_id,
        page_number=page.page_number,
        page_count=document.page_count or page.page_number,
        source_uri=document.uri,
        source_name=document.name,
        status=status,
        markdown=None if answer.failure else "" if extracts else answer.text,
        data=answer.text if extracts and status is PageStatus.OK else None,
        failure=answer.failure,
        engine=reader.called,
        model=reader.engine.model,
        model_version=answer.model_version,
        finish_reason=answer.finish_reason,
        provider_request_id=answer.provider_request_id,
        truncated=answer.truncated and answer.failure is None,
        prompt_sha256=reader.prompt_sha256,
        attempts=spent.attempts,
        input_tokens=spent.usage.input_tokens,
        output_tokens=spent.usage.output_tokens,
        cached_tokens=spent.usage.cached_tokens,
        cost_usd=spent.cost_usd,
        confidence=answer.confidence,
        route_reason=read.reason,
        warnings=warnings_of(answer, page) if status is PageStatus.OK else (),
        blocks=None if answer.failure else pack(answer.blocks, reader.request.positions),
        render_ms=page.render_ms,
        queue_ms=round(spent.queue_s * 1000) if is_timed or not asked else None,
        latency_ms=round(spent.latency_s * 1000) if is_timed else None,
        started_at=spent.started_at,
        finished_at=context.clock.utc(),
        run_id=context.identity.run_id,
        config_id=context.identity.config_id,
    )
    if isinstance(page, PageUnrendered):
        return result
    return replace(
        result,
        image_width=page.width_px,
        image_height=page.height_px,
        image_sha256=page.sha256,
        rotation=answer.rotation_deg,
        page_box=page.page_box and turned(page.page_box, answer.rotation_deg),
    )

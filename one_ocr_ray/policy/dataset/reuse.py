"""Which rows of an earlier dataset stand for pages: same image, prompt, model and schema. Decisions only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.fingerprint import config_difference
from one_ocr_ray.policy.route.chain import TEXT_LAYER
from one_ocr_ray.routing import RouteReason

if TYPE_CHECKING:
    from datetime import datetime

    from one_ocr_ray.model import DocumentRef, PageImage, PageResult
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint

# Who has answered: reader, model, and the digest of the prompt.
Answerer = tuple[str, str, str | None]


def why_not_reused(before: Fingerprint, now: Fingerprint) -> str | None:
    """What keeps all pages of an earlier dataset from being taken, in words. None if nothing does."""
    of_rows = ("engine", "model", "prompt_sha256", "longest_side_px", "pages", "route")  # told by rows, or their images
    return config_difference(replace(before, **{name: getattr(now, name) for name in of_rows}), now)


@dataclass(frozen=True, slots=True)
class ReuseRule:
    """`answerers`: the readers of the route, in order. `same_route`: the earlier dataset has the same one."""

    answerers: tuple[Answerer, ...]
    same_route: bool

    def takes(self, row: PageResult, document: DocumentRef, page: PageImage) -> bool:
        """True if `row` is what this run would get for the page.

        What an earlier reader of another route was content with might go on along this one. A text layer is not in the
        image, so its page must be of the same bytes.
        """
        answerer = row.engine, row.model, row.prompt_sha256
        if row.status is not PageStatus.OK or row.image_sha256 != page.sha256:
            return False
        if row.engine == TEXT_LAYER and (row.document_id, row.page_number) != (document.document_id, page.page_number):
            return False
        return answerer in self.answerers if self.same_route else answerer == self.answerers[-1]


def reused_row(
    row: PageResult, document: DocumentRef, page: PageImage, identity: RunIdentity, now: datetime
) -> PageResult:
    """`row` of an earlier dataset as one of this run, marked and without cost."""
    markdown = row.markdown
    if markdown is not None:  # names of figures hold the number of their page
        markdown = markdown.replace(f"(figures/p{row.page_number}-", f"(figures/p{page.page_number}-")
    return replace(
        row,
        document_id=document.document_id,
        page_number=page.page_number,
        page_count=document.page_count or page.page_number,
        source_uri=document.uri,
        source_name=document.name,
        markdown=markdown,
        route_reason=RouteReason.REUSED,
        attempts=0,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        cost_usd=0.0,
        render_ms=page.render_ms,
        queue_ms=0,
        latency_ms=None,
        started_at=now,
        finished_at=now,
        run_id=identity.run_id,
        config_id=identity.config_id,
    )

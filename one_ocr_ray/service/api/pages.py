"""Pages of a task: their list, a page in three formats, blocks and image."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from one_ocr_ray.model import Failure
from one_ocr_ray.policy.dataset.schema import page_row
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.service.api.openapi import BINARY, TEXT, problem_responses, responses_of
from one_ocr_ray.service.api.schemas import PageBlocks, PageList, PageSummary, json_response, page_body
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep
from one_ocr_ray.service.negotiation import best_type
from one_ocr_ray.service.page_images import LARGEST_SIDE_PX
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.results import page_markdown

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView

router = APIRouter(tags=["pages"])

_TYPES = ("application/json", "text/markdown", "text/html")

Accept = Annotated[str, Header(include_in_schema=False)]  # OpenAPI has media types instead
PageNumber = Annotated[int, Path(ge=1, le=10_000_000)]


@router.get(
    "/v1/tasks/{task_id}/pages", response_model=PageList, responses=problem_responses(400, 401, 404, 410, 429, 503)
)
async def pages(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """List the finished pages, without their text."""
    view = await service.task(owner, task_id)
    rows = await service.pages(view)
    return json_response(PageList(items=[PageSummary.of(row, task_id) for row in rows]))


@router.get(
    "/v1/tasks/{task_id}/pages/{page_number}",
    response_model=dict[str, Any],
    responses=responses_of({"text/markdown": TEXT, "text/html": TEXT}, 400, 401, 404, 406, 409, 410, 429, 503),
)
async def page(
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    page_number: PageNumber,
    accept: Accept = "*/*",
) -> Response:
    """One finished page as JSON, as Markdown, or as HTML that is safe to show."""
    kind = best_type(accept, _TYPES)
    if kind is None:
        raise Problem("not_acceptable", f"A page comes as {', '.join(_TYPES)}.")
    view = await service.task(owner, task_id)
    row = await finished_page(service, view, page_number)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    if kind == "application/json":
        return json_response(page_body(row, task_id), headers=headers)
    text = page_markdown(row)
    if kind == "text/html":
        text = await service.html(owner, text)
    return Response(text, 200, headers, f"{kind}; charset=utf-8")


@router.get(
    "/v1/tasks/{task_id}/pages/{page_number}/blocks",
    response_model=PageBlocks,
    responses=problem_responses(400, 401, 404, 409, 410, 429, 503),
)
async def blocks(service: ServiceDep, owner: Owner, task_id: str, page_number: PageNumber) -> Response:
    """The blocks of a finished page in reading order, with their places. Null where none are known."""
    row = page_row(await finished_page(service, await service.task(owner, task_id), page_number))
    return json_response({name: row[name] for name in PageBlocks.model_fields})


@router.get(
    "/v1/tasks/{task_id}/pages/{page_number}/image",
    response_class=Response,
    responses=responses_of({"image/jpeg": BINARY}, 400, 401, 404, 406, 410, 422, 429, 503),
)
async def image(  # noqa: PLR0917 - parameters of a request, given by name
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    page_number: PageNumber,
    w: Annotated[int, Query(ge=64, le=LARGEST_SIDE_PX, description="width in pixels")] = 1000,
    accept: Accept = "*/*",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The image of a page, drawn from the upload. It exists before the page is read."""
    if best_type(accept, ("image/jpeg",)) is None:
        raise Problem("not_acceptable", "A page's image comes as image/jpeg.")
    view = await service.task(owner, task_id)
    tag = hashlib.sha256(f"{view.record.document_id} {page_number} {w}".encode()).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, max-age=86400, immutable"}
    if tag in (if_none_match or ""):
        return Response(status_code=304, headers=headers)
    key = task_id, page_number, w
    jpeg = service.images.get(key)
    if jpeg is None:
        try:
            drawn = await service.pdfs.image(owner, task_id, page_number, w)
        except (FileNotFoundError, IndexError) as error:
            raise Problem("page_not_found", "The task has no such page.") from error
        if isinstance(drawn, Failure):
            raise Problem("render_failed", f"The page cannot be drawn. {drawn.message}")
        jpeg = drawn
        service.images.put(key, jpeg, len(jpeg))
    return Response(jpeg, 200, headers, "image/jpeg")


async def finished_page(service: Service, view: TaskView, page_number: int) -> PageResult:
    """The row of a finished page. Raises Problem: 409 while it is still to come, 404 where it will never be."""
    rows = await service.pages(view)
    row = next((row for row in rows if row.page_number == page_number), None)
    if row is not None:
        return row
    page_count = rows[0].page_count if rows else service.settings.max_pages
    selected = parse_selection(view.record.options.pages or "all").of(page_count)
    if view.state.terminal or page_number not in selected:
        raise Problem("page_not_found", "The task has no such page.")
    raise Problem("page_not_ready", "The page is not finished yet.", retry_after_s=2)

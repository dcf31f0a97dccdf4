"""The web pages: what people see of the service. Each works without scripts; scripts add what is live.

Forms change things by the functions of the HTTP interface and lead back to a page. What a page holds is built here and
in `shown.py`; how it looks is in `web/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from one_ocr_ray.policy.tasks.task import TaskState
from one_ocr_ray.service.api import batches, tasks
from one_ocr_ray.service.api.pages import PageNumber, finished_page
from one_ocr_ray.service.api.schemas import json_response, page_body
from one_ocr_ray.service.api.sessions import own_page
from one_ocr_ray.service.api.tasks import RetryRequest
from one_ocr_ray.service.dependencies import Owner, Parts, Service
from one_ocr_ray.service.negotiation import wants_html
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.results import Format, page_markdown
from one_ocr_ray.service.web.block_view import shown_blocks
from one_ocr_ray.service.web.task_view import shown_task
from one_ocr_ray.service.web.templates import Frame, StaticFolder, preferences_asked

if TYPE_CHECKING:
    from starlette.types import Scope

router = APIRouter(include_in_schema=False)

_RECENT = 5
_ROWS = 30


def add_pages(app: FastAPI) -> None:
    """Give `app` its pages and their files; what goes wrong becomes a page too, for browsers."""
    app.include_router(router)
    static = StaticFolder()
    app.mount("/static", static, name="static")
    app.state.frame = Frame(static.version)
    app.state.problem_page = problem_page


def problem_page(scope: Scope, problem: Problem) -> Response | None:
    """`problem` as a page, or the way to the login; None for clients that are not browsers."""
    request = Request(scope)
    if not wants_html(request.headers.get("accept", "")):
        return None
    if problem.code == "unauthorized" and request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
    return _page(request, "problem.html", {"problem": problem}, problem.status, problem.headers)


@router.get("/")
async def start(request: Request, service: Parts, owner: Owner) -> Response:
    """Upload, and what was uploaded last."""
    recent = await service.book.tasks(owner, None, None, _RECENT, "")
    engines = sorted({service.settings.engine, *service.settings.engines})
    return _page(request, "upload.html", {"recent": recent.items, "engines": engines})


@router.get("/tasks/{task_id}")
async def task(  # noqa: PLR0917 - parameters of a request, given by name
    request: Request, service: Parts, owner: Owner, task_id: str, page: int = 0, view: str = ""
) -> Response:
    """How a task is, and one of its pages."""
    found = await service.task(owner, task_id)
    what = await shown_task(service, found, page, view)
    return _page(request, "task.html", {"shown": what, "task": found, "formats": list(Format)})


@router.get("/tasks/{task_id}/pages/{page_number}")
async def page(request: Request, service: Parts, owner: Owner, task_id: str, page_number: PageNumber) -> Response:
    """One finished page for the script of the task page: what is said of it, and its text as HTML and as blocks."""
    row = await finished_page(service, await service.task(owner, task_id), page_number)
    text = page_markdown(row)
    blocks = await service.making.run(owner, lambda: shown_blocks(row))
    frame: Frame = request.app.state.frame
    html = await service.html(owner, text)
    shown = blocks and frame.render(request, service, "page_blocks.html", {"blocks": blocks})
    return json_response(page_body(row, task_id) | {"html": html, "blocks": shown})


@router.get("/tasks/{task_id}/delete")
async def ask_delete(request: Request, service: Parts, owner: Owner, task_id: str) -> Response:
    """Ask whether a task is to be deleted."""
    return _page(request, "delete.html", {"task": await service.task(owner, task_id)})


@router.post("/tasks/{task_id}/delete")
async def delete(service: Parts, owner: Owner, task_id: str) -> Response:
    """Delete a task."""
    await tasks.delete(service, owner, task_id)
    return RedirectResponse("/history", 303)


@router.post("/tasks/{task_id}/retry")
async def retry(service: Parts, owner: Owner, task_id: str, page: int | None = None) -> Response:
    """Read one failed page of a task again, or all."""
    order = RetryRequest(pages=[page]) if page is not None and page > 0 else None
    await tasks.retry(service, owner, task_id, order)
    return RedirectResponse(f"/tasks/{task_id}" + (f"?page={page}" if order else ""), 303)


@router.post("/tasks/{task_id}/cancel")
async def cancel(service: Parts, owner: Owner, task_id: str) -> Response:
    """Cancel a task."""
    await tasks.cancel(service, owner, task_id)
    return RedirectResponse(f"/tasks/{task_id}", 303)


@router.get("/batches/{batch_id}")
async def batch(request: Request, service: Parts, owner: Owner, batch_id: str) -> Response:
    """The files of one upload."""
    views = await batches.views_of(service, owner, batch_id)
    views.sort(key=lambda view: view.record.filename)
    return _page(request, "batch.html", {"batch": batches.batch_body(batch_id, views), "tasks": views})


@router.post("/batches/{batch_id}/cancel")
async def cancel_batch(service: Parts, owner: Owner, batch_id: str) -> Response:
    """Cancel what is still running of an upload."""
    await batches.cancel(service, owner, batch_id)
    return RedirectResponse(f"/batches/{batch_id}", 303)


@router.get("/history")
async def history(
    request: Request,
    service: Parts,
    owner: Owner,
    state: str = "",
    cursor: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """The caller's tasks, newest first."""
    wanted = TaskState(state) if state in TaskState.__members__ else None
    try:
        found = await service.book.tasks(owner, wanted, None, _ROWS, cursor)
    except ValueError:
        return RedirectResponse("/history", 303)
    values = {"tasks": found.items, "next_cursor": found.next_cursor, "wanted": wanted, "cursor": cursor}
    return _page(request, "history.html", {**values, "states": list(TaskState)})


@router.get("/login")
async def login(request: Request, service: Parts, next_page: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Ask for an API key."""
    if not service.keys:
        return RedirectResponse("/", 303)
    values = {"next_page": own_page(next_page), "failed": "failed" in request.query_params}
    return _page(request, "login.html", values)


def _page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    asked = preferences_asked(request)
    if asked is not None:
        return asked
    frame: Frame = request.app.state.frame
    service: Service = request.app.state.service
    text = frame.render(request, service, template, values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store", **(headers or {})})

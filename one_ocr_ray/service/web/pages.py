"""The routes of the web pages. Each page works without scripts; scripts add what is live.

Forms call the functions of the HTTP interface and lead back to a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from one_ocr_ray.policy.input_names import ENDINGS
from one_ocr_ray.policy.tasks.task import TaskState
from one_ocr_ray.service.api import batches, tasks
from one_ocr_ray.service.api.pages import PageNumber, finished_page
from one_ocr_ray.service.api.schemas import Batch, json_response, page_body
from one_ocr_ray.service.api.sessions import local_path
from one_ocr_ray.service.api.tasks import RetryRequest
from one_ocr_ray.service.api.usage import usage_of
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep
from one_ocr_ray.service.negotiation import wants_html
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.results import Format, page_markdown
from one_ocr_ray.service.upload.options import routes_from_cheap_to_dear
from one_ocr_ray.service.web.block_view import shown_blocks
from one_ocr_ray.service.web.task_view import readers_line, shown_task
from one_ocr_ray.service.web.templates import PageRenderer, VersionedStaticFiles, chosen_preferences, language

if TYPE_CHECKING:
    from starlette.types import Scope

router = APIRouter(include_in_schema=False)

_RECENT = 5
_ROWS = 30


def install_pages(app: FastAPI) -> None:
    """Add the pages and their files to `app`; for browsers, problems are pages too."""
    app.include_router(router)
    static = VersionedStaticFiles()
    app.mount("/static", static, name="static")
    app.state.renderer = PageRenderer(static.version)
    app.state.problem_page = problem_page


def problem_page(scope: Scope, problem: Problem) -> Response | None:
    """`problem` as a page, or a redirect to the login. None for clients that are no browsers."""
    request = Request(scope)
    if not wants_html(request.headers.get("accept", "")):
        return None
    if problem.code == "unauthorized" and request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
    return _page(request, "problem.html", {"problem": problem}, problem.status, problem.headers)


@router.get("/")
async def start(request: Request, service: ServiceDep, owner: Owner) -> Response:
    """The form for uploads, and the latest tasks."""
    recent = await service.manager.tasks(owner, None, None, _RECENT, "")
    engines = sorted({service.settings.engine, *service.settings.engines})
    values = {
        "recent": recent.items,
        "engines": engines,
        "accepted": ",".join(ENDINGS),
        "routes": routes_from_cheap_to_dear(service.settings),
    }
    return _page(request, "upload.html", values)


@router.get("/tasks/{task_id}")
async def task(  # noqa: PLR0917 - parameters of a request, given by name
    request: Request, service: ServiceDep, owner: Owner, task_id: str, page: int = 0, view: str = ""
) -> Response:
    """The status of a task, and one of its pages."""
    found = await service.task(owner, task_id)
    what = await shown_task(service, found, page, view)
    values = {"shown": what, "task": found, "formats": list(Format), "readers": readers_line(found, language(request))}
    return _page(request, "task.html", values)


@router.get("/tasks/{task_id}/readers")
async def readers(request: Request, service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """Who has read a task's pages, in the page's words, for its script."""
    return json_response({"text": readers_line(await service.task(owner, task_id), language(request))})


@router.get("/tasks/{task_id}/pages/{page_number}")
async def page(request: Request, service: ServiceDep, owner: Owner, task_id: str, page_number: PageNumber) -> Response:
    """One finished page for the task page's script: its row, its HTML, and its blocks."""
    row = await finished_page(service, await service.task(owner, task_id), page_number)
    text = page_markdown(row)
    blocks = await service.executor.run(owner, lambda: shown_blocks(row))
    renderer: PageRenderer = request.app.state.renderer
    html = await service.html(owner, text)
    shown = blocks and renderer.render(request, service, "page_blocks.html", {"blocks": blocks})
    return json_response(page_body(row, task_id) | {"html": html, "blocks": shown})


@router.get("/tasks/{task_id}/delete")
async def ask_delete(request: Request, service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """Ask before a task is deleted."""
    return _page(request, "delete.html", {"task": await service.task(owner, task_id)})


@router.post("/tasks/{task_id}/delete")
async def delete(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """Delete a task."""
    await tasks.delete(service, owner, task_id)
    return RedirectResponse("/history", 303)


@router.post("/tasks/{task_id}/retry")
async def retry(service: ServiceDep, owner: Owner, task_id: str, page: int | None = None) -> Response:
    """Read one failed page of a task again, or all of them."""
    order = RetryRequest(pages=[page]) if page is not None and page > 0 else None
    await tasks.retry(service, owner, task_id, order)
    return RedirectResponse(f"/tasks/{task_id}" + (f"?page={page}" if order else ""), 303)


@router.post("/tasks/{task_id}/cancel")
async def cancel(service: ServiceDep, owner: Owner, task_id: str) -> Response:
    """Cancel a task."""
    await tasks.cancel(service, owner, task_id)
    return RedirectResponse(f"/tasks/{task_id}", 303)


@router.get("/batches/{batch_id}")
async def batch(request: Request, service: ServiceDep, owner: Owner, batch_id: str) -> Response:
    """The files of one upload."""
    views = await batches.batch_tasks(service, owner, batch_id)
    views.sort(key=lambda view: view.record.filename)
    return _page(request, "batch.html", {"batch": Batch.of(batch_id, views), "tasks": views})


@router.post("/batches/{batch_id}/cancel")
async def cancel_batch(service: ServiceDep, owner: Owner, batch_id: str) -> Response:
    """Cancel the tasks of an upload that are still running."""
    await batches.cancel(service, owner, batch_id)
    return RedirectResponse(f"/batches/{batch_id}", 303)


@router.get("/history")
async def history(
    request: Request,
    service: ServiceDep,
    owner: Owner,
    state: str = "",
    cursor: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """The caller's tasks, newest first."""
    wanted = TaskState(state) if state in TaskState.__members__ else None
    try:
        found = await service.manager.tasks(owner, wanted, None, _ROWS, cursor)
    except ValueError:
        return RedirectResponse("/history", 303)
    values = {"tasks": found.items, "next_cursor": found.next_cursor, "wanted": wanted, "cursor": cursor}
    usage = await usage_of(service, owner)
    return _page(request, "history.html", {**values, "states": list(TaskState), "usage": usage})


@router.get("/login")
async def login(
    request: Request, service: ServiceDep, next_page: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Ask for an API key."""
    if not service.keys:
        return RedirectResponse("/", 303)
    values = {"next_page": local_path(next_page), "failed": "failed" in request.query_params}
    return _page(request, "login.html", values)


def _page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    asked = chosen_preferences(request)
    if asked is not None:
        return asked
    renderer: PageRenderer = request.app.state.renderer
    service: Service = request.app.state.service
    text = renderer.render(request, service, template, values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store", **(headers or {})})

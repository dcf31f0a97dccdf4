"""Errors of the HTTP interface: `application/problem+json` (RFC 9457) with a `code`. Codes and statuses live here.

A problem never holds a stack, a secret or what the client sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match

from one_ocr_ray.errors import StorageError
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.types import Scope

    Handler = Callable[[Request, Exception], Awaitable[Response]]

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "no_files": 400,
    "invalid_options": 400,
    "invalid_request": 400,
    "invalid_host": 400,
    "unauthorized": 401,
    "key_budget_reached": 402,
    "cross_site": 403,
    "local_only": 403,
    "not_found": 404,
    "task_not_found": 404,
    "batch_not_found": 404,
    "page_not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "upload_timeout": 408,
    "idempotency_in_progress": 409,
    "page_not_ready": 409,
    "task_not_finished": 409,
    "task_running": 409,
    "nothing_to_retry": 409,
    "task_expired": 410,
    "upload_too_large": 413,
    "too_many_files": 413,
    "not_pdf": 415,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "pdf_encrypted": 422,
    "pdf_bad_password": 422,
    "pdf_corrupt": 422,
    "pdf_empty": 422,
    "too_many_pages": 422,
    "render_failed": 422,
    "rate_limited": 429,
    "too_many_streams": 429,
    "internal": 500,
    "overloaded": 503,
    "storage_unavailable": 503,
    "storage_full": 507,
}
_OF_STATUS = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "upload_too_large"}


class Problem(Exception):  # noqa: N818 - the name the standard gives it
    """An answer other than the one asked for. `detail` is one sentence for a person."""

    def __init__(
        self, code: str, detail: str, *, retry_after_s: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return _STATUS[self.code]


def answer(scope: Scope, problem: Problem) -> Response:
    """The response that tells `problem` to the request of `scope`; to a browser as a page, where there are pages."""
    shown = _page(scope, problem)
    if shown is not None:
        return shown
    request_id = scope.get("state", {}).get("request_id")
    body: dict[str, Any] = {
        "type": f"urn:one-ocr:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    if request_id:
        body["instance"] = f"urn:one-ocr:request:{request_id}"
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(orjson.dumps(body), problem.status, headers, MEDIA_TYPE)


def _page(scope: Scope, problem: Problem) -> Response | None:
    page = getattr(scope["app"].state, "problem_page", None) if "app" in scope else None
    try:
        return cast("Response | None", page and page(scope, problem))
    except Exception:
        return None


def codes_of(status: int) -> list[str]:
    """The codes that come with `status`."""
    return [code for code, each in _STATUS.items() if each == status]


def unavailable() -> Problem:
    """For a task book that is being restarted."""
    return Problem("overloaded", "The service is starting or restarting; try again soon.", retry_after_s=2)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(Problem, _of(lambda error: error))
    app.add_exception_handler(RequestValidationError, _of(_invalid))
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(TaskManagerUnavailableError, _of(lambda _: unavailable()))
    app.add_exception_handler(StorageError, _of(_storage))


def _of(translate: Callable[[Any], Problem]) -> Handler:
    async def handler(request: Request, error: Exception) -> Response:
        return answer(request.scope, translate(error))

    return handler


def _invalid(error: RequestValidationError) -> Problem:
    """The first complaint with where it is, never with the value."""
    first = error.errors()[0] if error.errors() else {"loc": ("request",), "msg": "invalid"}
    known = [str(part) for part in first["loc"] if isinstance(part, str) and part.isidentifier()][:3]
    return Problem("invalid_request", f"The request is not valid at {'.'.join(known) or 'its body'}: {_said(first)}.")


def _said(complaint: Mapping[str, Any]) -> str:
    """A complaint in words, from its type and limits alone."""
    if complaint.get("type") in {"json_invalid", "value_error"}:
        return "it cannot be read"
    return str(complaint["msg"]).lower() if "input" not in str(complaint["msg"]).lower() else str(complaint["msg"])


async def _http(request: Request, error: Exception) -> Response:
    """What the framework refuses. Of several routes with one path it names the methods of the first; here are all."""
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    code = _OF_STATUS.get(status, "invalid_request" if status < 500 else "internal")
    headers = {"Allow": ", ".join(_allowed(request))} if status == 405 else {}
    return answer(request.scope, Problem(code, f"{HTTPStatus(status).phrase}.", headers=headers))


def _allowed(request: Request) -> list[str]:
    return [
        method
        for method in ("DELETE", "GET", "POST")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _storage(_: StorageError) -> Problem:
    return Problem("storage_unavailable", "The service's storage does not answer now; try again.", retry_after_s=5)

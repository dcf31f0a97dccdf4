"""Errors of the HTTP interface: `application/problem+json` (RFC 9457) with a `code`. Codes and statuses live here.

A problem never holds a stack trace, a secret or content of the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

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
    "pdf_signed": 409,
    "not_searchable": 409,
    "task_expired": 410,
    "upload_too_large": 413,
    "too_many_files": 413,
    "not_pdf": 415,
    "unsupported_file": 415,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "pdf_encrypted": 422,
    "pdf_bad_password": 422,
    "pdf_corrupt": 422,
    "pdf_empty": 422,
    "too_large": 422,
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
    """An error for the client. `detail` is one sentence for a person."""

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


def problem_response(scope: Scope, problem: Problem) -> Response:
    """`problem` as the response to the request of `scope`. A browser gets a page, where there are pages."""
    page = getattr(scope["app"].state, "problem_page", None) if "app" in scope else None
    with suppress(Exception):  # a page that fails must not hide the problem
        shown: Response | None = page and page(scope, problem)
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


def codes_with(status: int) -> list[str]:
    """The codes that have this HTTP status."""
    return [code for code, each in _STATUS.items() if each == status]


def unavailable() -> Problem:
    """The problem of a task manager that is restarting."""
    return Problem("overloaded", "The service is starting or restarting; try again soon.", retry_after_s=2)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.add_exception_handler(Problem, _of(lambda error: error))
    app.add_exception_handler(RequestValidationError, _of(_invalid))
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(TaskManagerUnavailableError, _of(lambda _: unavailable()))
    detail = "The service's storage does not answer now; try again."
    app.add_exception_handler(StorageError, _of(lambda _: Problem("storage_unavailable", detail, retry_after_s=5)))


def _of(translate: Callable[[Any], Problem]) -> Handler:
    async def handler(request: Request, error: Exception) -> Response:
        return problem_response(request.scope, translate(error))

    return handler


def _invalid(error: RequestValidationError) -> Problem:
    """The first error and its place, without the value."""
    first = error.errors()[0] if error.errors() else {"loc": ("request",), "msg": "invalid"}
    known = [str(part) for part in first["loc"] if isinstance(part, str) and part.isidentifier()][:3]
    message = str(first["msg"])
    if first.get("type") in {"json_invalid", "value_error"}:  # their messages may quote the value
        message = "it cannot be read"
    elif "input" not in message.lower():
        message = message.lower()
    return Problem("invalid_request", f"The request is not valid at {'.'.join(known) or 'its body'}: {message}.")


async def _http(request: Request, error: Exception) -> Response:
    """Translate a refusal of the framework. It lists the methods of one route of a path; we list those of all."""
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    code = _OF_STATUS.get(status, "invalid_request" if status < 500 else "internal")
    headers = {}
    if status == 405:
        tried = ((method, {**request.scope, "method": method}) for method in ("DELETE", "GET", "POST"))
        routes = request.app.routes
        allowed = [method for method, scope in tried if any(each.matches(scope)[0] is Match.FULL for each in routes)]
        headers = {"Allow": ", ".join(allowed)}
    return problem_response(request.scope, Problem(code, f"{HTTPStatus(status).phrase}.", headers=headers))

"""The outermost middleware: request ids, JSON log lines, and answers to unexpected errors.

A line holds ids, the route and numbers, never a file name, a key, a query or content.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import ClientDisconnect

from one_ocr_ray.service.problems import Problem, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("one_ocr_ray.service")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IDS = frozenset({"task_id", "batch_id"})
_TASK_ID = re.compile(r"[tb]_[A-Za-z0-9_-]{22}")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` gives its members."""

    def format(self, record: logging.LogRecord) -> str:
        """The line holds the fields and the constant text of the record, nothing else."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return orjson.dumps(line, default=str).decode()


def log_as_json() -> None:
    """Send the log of the service to standard error as lines of JSON. For the serving program, not for libraries."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every wrong byte of a client


class RequestLog:
    """Gives every request an id, in `x-request-id` and in `scope["state"]`, and logs how it ended.

    It keeps the id that a client or a proxy sent if that is a plain word.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        request_id = given if _REQUEST_ID.fullmatch(given) else token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = 101
            elif message["type"].endswith("http.response.start"):
                status = message["status"]
                if request_id != given:  # who sent it knows it, and a proxy returns its own to the client
                    id_header = b"x-request-id", request_id.encode()
                    message = {**message, "headers": [*message["headers"], id_header]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # nobody waits for an answer
        except Exception as error:
            # The type of an error and its place; not its text, which may quote content.
            frames = traceback.extract_tb(error.__traceback__)[-8:]
            fields = {
                "request_id": request_id,
                "error": type(error).__qualname__,
                "frames": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
            }
            log.error("unexpected error", extra={"fields": fields})  # noqa: TRY400 - a traceback may quote a page
            if not status:
                detail = "The service met an error of its own; its log has it under the id of this request."
                await problem_response(scope, Problem("internal", detail))(scope, receive, send_with_id)
        finally:
            elapsed_ms = round((time.monotonic() - started) * 1000, 1)
            route = getattr(scope.get("route"), "path", None) or "none"
            parameters = scope.get("path_params", {}).items()
            fields = {
                "request_id": request_id,
                "status": status,
                "duration_ms": elapsed_ms,
                "method": scope.get("method", "WEBSOCKET"),
                "route": route,
                **{name: value for name, value in parameters if name in _IDS and _TASK_ID.fullmatch(str(value))},
            }
            log.info("request", extra={"fields": fields})

"""The outermost middleware: a request id, one JSON log line per request, and an answer for what nobody expected.

A line holds ids, the route and numbers; never a file name, a key, a query or any content.
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

from one_ocr_ray.service.problems import Problem, answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("one_ocr_ray.service")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TASK_ID = re.compile(r"[tb]_[A-Za-z0-9_-]{22}")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` gives its members."""

    def format(self, record: logging.LogRecord) -> str:
        """Only what was said as a field or a constant text is in the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return orjson.dumps(line, default=str).decode()


def log_as_json() -> None:
    """Send what the service logs to standard error as lines of JSON. For the program that serves; not for libraries."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every byte that strangers get wrong


class RequestLog:
    """Gives every request an id, in `x-request-id` and in `scope["state"]`, and logs how it ended.

    The id is the one that the client or a proxy gave, where it is a plain word, else a new one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        request_id = given if _REQUEST_ID.fullmatch(given) else token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if request_id != given:  # who brought it knows it; a proxy tells its own to the client
                    told = b"x-request-id", request_id.encode()
                    message = {**message, "headers": [*message["headers"], told]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as error:
            fields = {"request_id": request_id, **_where(error)}
            log.error("unexpected error", extra={"fields": fields})  # noqa: TRY400 - a traceback may quote a page
            if not status:
                problem = Problem("internal", "The service met an error of its own; the log has it under this request.")
                await answer(scope, problem)(scope, receive, send_with_id)
        finally:
            elapsed_ms = round((time.monotonic() - started) * 1000, 1)
            fields = {"request_id": request_id, "status": status, "duration_ms": elapsed_ms, **_asked(scope)}
            log.info("request", extra={"fields": fields})


def _asked(scope: Scope) -> dict[str, str]:
    """Method, route as declared, and the ids in its path."""
    route = getattr(scope.get("route"), "path", None)
    ids = {
        name: value
        for name, value in scope.get("path_params", {}).items()
        if name in {"task_id", "batch_id"} and _TASK_ID.fullmatch(str(value))
    }
    return {"method": scope["method"], "route": route or "none", **ids}


def _where(error: BaseException) -> dict[str, Any]:
    """What kind of error it was and where; not its text, which may quote anything."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {
        "error": type(error).__qualname__,
        "frames": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }

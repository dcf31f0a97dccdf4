"""Middlewares for Ray Serve's HTTP proxy.

They limit request bodies, which it would otherwise buffer whole. They turn Serve's errors in plain text into problems,
and answer `/healthz`.

`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=one_ocr_ray.service.middleware.proxy_limit:middlewares` adds them, in the
environment of the nodes. `one-ocr serve` does so itself; for `serve run` and `serve deploy` set it before `ray start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from one_ocr_ray.service.middleware.auth import HostCheck
from one_ocr_ray.service.middleware.body_limit import BodyLimit, BodyLimits
from one_ocr_ray.service.problems import problem_response, unavailable
from one_ocr_ray.settings.run import ENV_PREFIX
from one_ocr_ray.settings.service import ServiceSettings, some_of_service

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# The proxy keeps in memory what the replica has not read yet. A client that does not say its length is cut here.
UNSIZED_BYTES = 20 << 20
_SETTINGS = ("max_request_bytes", "upload_timeout", "stall_timeout")
_SERVE_PATHS = "/-/"  # probes of Serve itself


class Health:
    """Answers `/healthz` in the proxy itself, before the application has started: this process answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/healthz" and scope["method"] in {"GET", "HEAD"}:
            await JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class ServeErrors:
    """Replaces Serve's errors in plain text by the problem 503. The application itself never answers in plain text.

    Serve sends them for a replica that is gone, a full queue, or an application that has not started.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_SERVE_PATHS):
            await self._app(scope, receive, send)
            return
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] >= 400:
                replaced = Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
                if replaced:
                    await problem_response(scope, unavailable())(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, send_or_replace)


def middlewares() -> list[Middleware]:
    """The middlewares that the proxy asks for at its start. Serve puts each around those before it."""
    settings = some_of_service(_SETTINGS)  # not all: a proxy does not know the flags of `one-ocr serve`
    limits = BodyLimits(
        request_bytes=settings["max_request_bytes"],
        unsized_bytes=min(UNSIZED_BYTES, settings["max_request_bytes"]),
        under_way_bytes=2 * settings["max_request_bytes"],
        stall_s=settings["stall_timeout"],
        whole_s=settings["upload_timeout"],
    )
    return [
        Middleware(ServeErrors),
        Middleware(Health),
        Middleware(BodyLimit, limits=limits),
        Middleware(HostCheck, hosts=None),
    ]


def variables(settings: ServiceSettings) -> dict[str, str]:
    """The environment variables that put the middlewares into a proxy, with the bounds of `settings`."""
    bounds = {ENV_PREFIX + name.upper(): str(getattr(settings, name)) for name in _SETTINGS}
    return {CALLBACK: f"{__name__}:{middlewares.__name__}", **bounds}

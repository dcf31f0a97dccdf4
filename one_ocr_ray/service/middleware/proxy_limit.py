"""What stands in Ray Serve's proxy: the body limit, for the proxy otherwise takes in whatever is sent, and problems in
place of Serve's own errors.

`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=one_ocr_ray.service.middleware.proxy_limit:middlewares` puts it there, in the
environment of the nodes. `one-ocr serve` does so itself; for `serve run` and `serve deploy` set it before `ray start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from one_ocr_ray.service.middleware.auth import HostAndHeaders
from one_ocr_ray.service.middleware.body_limit import BodyLimit, BodyLimits
from one_ocr_ray.service.problems import answer, unavailable
from one_ocr_ray.settings import ENV_PREFIX, ServiceSettings, some_of_service

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# The proxy keeps in memory what the replica has not read yet. A client that does not say how much it sends is cut here.
UNSIZED_BYTES = 20 << 20
_SETTINGS = ("max_request_bytes", "upload_timeout", "stall_timeout")
_OF_SERVE = "/-/"  # its own probes, which others than our clients ask


class ServeErrors:
    """Answers 503 as a problem where Serve has an error in plain text: for a replica that is gone, too many requests
    before it, or an application that is not there yet. The application itself never answers so.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OF_SERVE):
            await self._app(scope, receive, send)
            return
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_of_serve(message):
                replaced = True
                await answer(scope, unavailable())(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, send_or_replace)


def middlewares() -> list[Middleware]:
    """What the proxy calls at its start; Serve puts each around those before it."""
    settings = some_of_service(_SETTINGS)  # not all: those of the flags of `one-ocr serve` are not told to a proxy
    limits = BodyLimits(
        request_bytes=settings["max_request_bytes"],
        unsized_bytes=min(UNSIZED_BYTES, settings["max_request_bytes"]),
        under_way_bytes=2 * settings["max_request_bytes"],
        stall_s=settings["stall_timeout"],
        whole_s=settings["upload_timeout"],
    )
    return [Middleware(ServeErrors), Middleware(BodyLimit, limits=limits), Middleware(HostAndHeaders, hosts=None)]


def _is_of_serve(start: Message) -> bool:
    kind = next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    return start["status"] >= 400 and kind.startswith(b"text/plain")


def variables(settings: ServiceSettings) -> dict[str, str]:
    """The environment that puts the limit into a proxy, with the bounds of `settings`."""
    bounds = {ENV_PREFIX + name.upper(): str(getattr(settings, name)) for name in _SETTINGS}
    return {CALLBACK: f"{__name__}:{middlewares.__name__}", **bounds}

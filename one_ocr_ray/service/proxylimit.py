"""The body limit where bodies come in: Ray Serve's proxy, which otherwise takes in whatever is sent.

RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=one_ocr_ray.service.proxylimit:middlewares in the environment of the nodes
puts it there. `one-ocr serve` does so by itself; for `serve run` and `serve deploy` it is set before `ray start`.
"""

from __future__ import annotations

from starlette.middleware import Middleware

from one_ocr_ray.service.bodylimit import BodyLimit, BodyLimits
from one_ocr_ray.settings import ENV_PREFIX, ServiceSettings, load_service

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# The proxy keeps in memory what the replica has not read yet. A client that does not say how much it sends is cut here.
UNSIZED_BYTES = 20 << 20
_SETTINGS = ("max_request_bytes", "upload_timeout", "stall_timeout")


def middlewares() -> list[Middleware]:
    """What the proxy calls at its start."""
    settings = load_service({})
    limits = BodyLimits(
        request_bytes=settings.max_request_bytes,
        unsized_bytes=min(UNSIZED_BYTES, settings.max_request_bytes),
        under_way_bytes=2 * settings.max_request_bytes,
        stall_s=settings.stall_timeout,
        whole_s=settings.upload_timeout,
    )
    return [Middleware(BodyLimit, limits=limits)]


def variables(settings: ServiceSettings) -> dict[str, str]:
    """The environment that puts the limit into a proxy, with the bounds of `settings`."""
    bounds = {ENV_PREFIX + name.upper(): str(getattr(settings, name)) for name in _SETTINGS}
    return {CALLBACK: f"{__name__}:{middlewares.__name__}", **bounds}

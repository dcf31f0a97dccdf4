"""What stands in Ray Serve's proxy: limits before the body is taken in, problems in place of Serve's plain texts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.middleware.proxy_limit import UNSIZED_BYTES, middlewares
from one_ocr_ray.service.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


async def behind(request: Request) -> Response:
    """Stands for Serve and the application behind it: answers with the status and the type that the path says."""
    async for _ in request.stream():
        pass
    status, kind = int(request.path_params.get("status", 200)), request.path_params.get("kind", "problem")
    if kind == "plain":
        return PlainTextResponse("said by Serve", status, {"Retry-After": "77"})
    return Response(b"said by the application", status, {"X-Content-Type-Options": "kept"}, media_type=MEDIA_TYPE)


def asked(path: str, *, method: str = "GET", content: AsyncIterator[bytes] | bytes = b"") -> httpx.Response:
    """The answer that comes out of the proxy, whose middlewares stand around `behind`."""
    paths = ("/upload", "/{status}/{kind}", "/-/{status}/{kind}")
    app: object = Starlette(routes=[Route(each, behind, methods=["GET", "POST"]) for each in paths])
    for middleware in middlewares():
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)  # type: ignore[arg-type]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://one") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(ask())


@pytest.mark.parametrize("status", [404, 408, 429, 500, 503])
def test_what_serve_says_in_plain_text_becomes_a_problem(status: int) -> None:
    """A replica that is gone, or none yet, is 503 with a hint to come back, and a whole problem."""
    answer = asked(f"/{status}/plain")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["code"] == "overloaded"


@pytest.mark.parametrize(("path", "status"), [("/200/plain", 200), ("/500/problem", 500), ("/-/503/plain", 503)])
def test_everything_else_passes_as_it_is(path: str, status: int) -> None:
    """Good answers, the application's own problems, and what Serve's probes are told."""
    answer = asked(path)
    assert answer.status_code == status
    assert answer.text.startswith("said by")
    assert answer.headers.get("x-content-type-options") == ("kept" if "problem" in path else "nosniff")


def test_the_proxy_answers_health_itself() -> None:
    """Before there is an application behind it."""
    assert asked("/healthz").json() == {"status": "ok"}
    assert asked("/healthz", method="POST").status_code == 503


def test_a_body_that_is_cut_says_why() -> None:
    """One of no announced length is cut at the lower bound, and the answer tells what would help."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    answer = asked("/upload", method="POST", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert f"{UNSIZED_BYTES:,}" in answer.json()["detail"]
    assert "Content-Length" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_proxy_needs_no_more_than_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address in the environment and the keys by a flag, as `one-ocr serve` allows: no flag reaches a proxy."""
    monkeypatch.setenv("ONE_OCR_HOST", "0.0.0.0")
    monkeypatch.setenv("ONE_OCR_PORT", "any")
    monkeypatch.setenv("ONE_OCR_MAX_REQUEST_BYTES", "2000000")
    assert asked("/upload", method="POST", content=bytes(2_000_001)).status_code == 413
    assert asked("/upload", method="POST", content=bytes(2_000_000)).status_code == 200


def test_a_bound_of_the_proxy_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the setting."""
    monkeypatch.setenv("ONE_OCR_STALL_TIMEOUT", "-1")
    with pytest.raises(UsageError, match="stall_timeout"):
        middlewares()

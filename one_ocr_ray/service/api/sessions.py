"""`POST /login` and `/logout`: an API key becomes a session cookie, for browsers."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from one_ocr_ray.service.dependencies import ServiceDep
from one_ocr_ray.service.keys import expiry_of
from one_ocr_ray.service.middleware.auth import COOKIE, session_in
from one_ocr_ray.service.negotiation import wants_html
from one_ocr_ray.service.problems import Problem

router = APIRouter(include_in_schema=False)  # for browsers; programs send their key

_BODY_BYTES = 4096


@router.post("/login")
async def login(request: Request, service: ServiceDep) -> Response:
    """Exchange an API key for a session cookie."""
    values = await _values(request)
    html = wants_html(request.headers.get("accept", ""))
    owner = service.keys.owner_of(values.get("key", "").strip()) if service.keys else None
    if service.keys and owner is None:
        if html:
            return RedirectResponse("/login?failed=1", 303)
        raise Problem("unauthorized", "That is not an API key of this service.")
    response = RedirectResponse(local_path(values.get("next", "/")), 303) if html else Response(status_code=204)
    if owner is not None:
        lifetime_s = round(service.settings.session_hours * 3600)
        session = service.keys.session(owner, time.time() + lifetime_s)
        response.set_cookie(
            COOKIE, session, max_age=lifetime_s, path="/", httponly=True, samesite="strict", secure=_https(request)
        )
    return response


@router.post("/logout")
async def logout(request: Request, service: ServiceDep) -> Response:
    """End the session and delete its cookie."""
    session = session_in(request.headers)
    if session and service.keys.owner_of_session(session, time.time()) is not None:
        await service.ended.end(session, expiry_of(session))
    html = wants_html(request.headers.get("accept", ""))
    response = RedirectResponse("/login", 303) if html else Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_https(request))
    return response


def local_path(target: str) -> str:
    """`target` if it is a path of this service, else the start page."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"


async def _values(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise Problem("upload_too_large", "That is too long for a login.", headers={"Connection": "close"})
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            values = orjson.loads(bytes(body))
            if isinstance(values, dict) and all(isinstance(value, str) for value in values.values()):
                return values
        else:
            return {name: each[-1] for name, each in parse_qs(body.decode(), max_num_fields=10).items()}
    except ValueError as error:
        raise Problem("invalid_request", "The login is neither a form nor JSON.") from error
    raise Problem("invalid_request", 'The login is JSON such as {"key": "..."}.')


def _https(request: Request) -> bool:
    """True also behind a proxy that ends TLS. A forged header only makes the cookie stricter."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}

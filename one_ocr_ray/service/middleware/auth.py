"""Middlewares that decide who may pass: host names, security headers, keys, sessions, cross-site requests, rates.

Every path needs a key except those in `_OPEN_PATHS` and the static files: a new route is closed until someone opens it.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from one_ocr_ray.policy.ratelimit.token_bucket import TokenBucket
from one_ocr_ray.service.keys import ANONYMOUS, ApiKeys
from one_ocr_ray.service.problems import Problem, problem_response

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from one_ocr_ray.service.ended_sessions import EndedSessionCache

COOKIE = "one_ocr_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})  # called by address, often, and by programs without a key
_OPEN_PATHS = frozenset({*_PROBES, "/login", "/logout", "/favicon.ico", "/robots.txt"})
_BURST_S = 2.0  # a caller may send the requests of this many seconds at once
_CALLERS = 10_000  # whose rates are kept

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class HostCheck:
    """Answers only known host names (None: all), and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts
        self._headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = [header for header in self._headers if header[0] not in given]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        host = Headers(scope=scope).get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]  # of an IPv6 address too
        if self._hosts is not None and name not in self._hosts and scope["path"] not in _PROBES:
            problem = Problem("invalid_host", "This service does not answer to that host name.")
            await problem_response(scope, problem)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


class Authentication:
    """Finds the caller, puts it into `scope["state"]["owner"]`, and refuses callers without access."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, ended: EndedSessionCache, requests_per_second: float) -> None:
        self._app = app
        self._keys = keys
        self._ended = ended
        self._rates = _RateLimits(requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        session = session_in(Headers(scope=scope)) if self._keys else None
        owner = self._keys.owner_of_session(session, time.time()) if session else None
        if session is not None and owner is not None and await self._ended.has(session):
            owner = None
        try:
            self._check(scope, owner)
        except Problem as problem:
            await problem_response(scope, problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, session_owner: str | None) -> None:
        """Raise Problem for a request that must not pass."""
        headers = Headers(scope=scope)
        # The keys that a program sent, in headers that browsers do not send by themselves.
        given = headers.getlist("x-api-key")
        for value in headers.getlist("authorization"):
            scheme, _, token = value.partition(" ")
            if scheme.lower() != "basic":
                given.append(token.strip() if scheme.lower() == "bearer" else "")
        if not given and scope.get("method") not in _SAFE_METHODS:  # any site may open a WebSocket and read it
            refuse_cross_site(headers, must_tell=COOKIE in headers.get("cookie", ""))
        if scope["path"] in _PROBES:
            return
        if not self._keys and not _is_local(scope):
            raise Problem("local_only", "Without API keys this service answers its own machine only.")
        owners = {self._keys.owner_of(key) for key in given} or {session_owner}
        owner = owners.pop() if len(owners) == 1 else None  # two keys that disagree are none
        owner = owner if self._keys else ANONYMOUS
        state = scope.setdefault("state", {})
        state["owner"] = owner
        client = scope.get("client")
        self._rates.take(owner or f"client {client[0] if client else 'unknown'}")
        if owner is None and scope["path"] not in _OPEN_PATHS and not scope["path"].startswith("/static/"):
            raise Problem(
                "unauthorized",
                "Give an API key as Authorization: Bearer or X-Api-Key, or log in.",
                headers={"WWW-Authenticate": 'Bearer realm="one-ocr"'},
            )


class _RateLimits:
    """A token bucket for each of the latest callers."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second * _BURST_S)
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request. Raises Problem where the bucket of `caller` is empty."""
        now = time.monotonic()
        bucket = self._buckets.pop(caller, None) or TokenBucket(self._per_second, self._burst, now)
        self._buckets[caller] = bucket
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        wait_s = bucket.wait_s(1, now)
        if wait_s > 0:
            raise Problem("rate_limited", "Too many requests; slow down.", retry_after_s=math.ceil(wait_s))
        bucket.take(1, now)


def refuse_cross_site(headers: Headers, *, must_tell: bool) -> None:
    """Raise Problem for a request that another site made a browser send.

    Browsers say where a request comes from; other programs need not. `must_tell` refuses a request that does not say.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        allowed = site in {"same-origin", "none"}
    elif origin is not None:
        allowed = origin.partition("://")[2] == headers.get("host", "")
    else:
        allowed = not must_tell
    if not allowed:
        raise Problem("cross_site", "A request that changes something must come from the service's own pages.")


def session_in(headers: Headers) -> str | None:
    """The session in the cookie of a request."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    return cookies[COOKIE].value if COOKIE in cookies else None


def _is_local(scope: Scope) -> bool:
    """True for a request from this machine, or through a Unix socket.

    Ray Serve listens where its own configuration says, which the settings of the application do not know.
    """
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address is None or (mapped or address).is_loopback

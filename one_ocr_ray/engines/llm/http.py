"""HTTP under the LLM engines: `HttpSender` sends a request and returns a reply or a `Failure`.

It retries nothing and follows no redirect. Only this module translates aiohttp's exceptions, by type. Their texts may
hold the URL with its query, so no message repeats them.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from one_ocr_ray.engines.llm.wire import lower_names
from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from aiohttp.abc import AbstractStreamWriter

    from one_ocr_ray.engines.llm.wire import HttpRequest

    _Body = aiohttp.Payload | aiohttp.FormData | None
    _Read = Callable[[aiohttp.ClientResponse], Awaitable["HttpReply | Failure"]]

CHECK_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 10.0
REPLY_MAX_BYTES = 32 << 20
# vLLM's server (uvicorn) closes an idle connection after 5 s. We close it first, so that no request meets a closed one.
_KEEP_ALIVE_S = 4.0
# Large bodies go out in pieces, so that the event loop handles other pages' answers in between.
_PIECE_BYTES = 1 << 20


def _unavailable(sentence: str) -> Failure:
    return Failure(ErrorCode.PROVIDER_UNAVAILABLE, sentence, Action.RETRY)


NO_SUCH_HOST = _unavailable("The provider's host name cannot be resolved.")
NO_TLS = _unavailable("The provider's TLS certificate is not accepted.")
NO_CONNECTION = _unavailable("The provider's server cannot be reached.")
BROKEN = replace(_unavailable("The connection to the provider broke before the reply was complete."), answer_lost=True)
# Failures that the first request proves permanent. A broken connection may be chance.
UNREACHABLE = frozenset({NO_SUCH_HOST, NO_TLS, NO_CONNECTION})


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One reply. Header names are in lower case, and `date` is always there."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpSender:
    """Sends requests to one host over one session, which the first request opens."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._proxy: URL | None = None

    async def send(self, request: HttpRequest, *, timeout_s: float | None = None) -> HttpReply | Failure:
        """Send `request` once: a POST when it has a body, else a GET. `timeout_s` lasts until the last byte."""
        method = request.method or ("GET" if request.body is None else "POST")
        data = None if request.body is None else _OneShotPayload(request.body)
        exchange = self._exchange(method, request.url, request.headers, data, _reply, timeout_s=timeout_s)
        del request  # so that its body, the largest object here, is freed once it is sent
        return await exchange

    async def send_form(
        self, request: HttpRequest, fields: Mapping[str, str], file: Path, *, timeout_s: float
    ) -> HttpReply | Failure:
        """Send a multipart form with `fields` and the bytes of `file`, piece by piece."""
        form = aiohttp.FormData()
        for name, value in fields.items():
            form.add_field(name, value)
        with file.open("rb") as opened:
            form.add_field("file", opened, filename=file.name, content_type="application/jsonl")
            return await self._exchange("POST", request.url, request.headers, form, _reply, timeout_s=timeout_s)

    async def download(self, request: HttpRequest, file: Path, *, timeout_s: float) -> HttpReply | Failure:
        """Write the body of a 200 to `file`, piece by piece. The reply then has none."""

        async def to_file(response: aiohttp.ClientResponse) -> HttpReply | Failure:
            if response.status != 200:
                return await _reply(response)
            with file.open("wb") as out:
                async for piece in response.content.iter_chunked(_PIECE_BYTES):
                    out.write(piece)
            return HttpReply(200, lower_names(response.headers), b"")

        return await self._exchange("GET", request.url, request.headers, None, to_file, timeout_s=timeout_s)

    async def _exchange(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        data: _Body,
        read: _Read,
        *,
        timeout_s: float | None,
    ) -> HttpReply | Failure:
        total_s, url = self._timeout_s if timeout_s is None else timeout_s, URL(address, encoded=True)
        if self._session is None:
            # aiohttp's own `trust_env` reads ~/.netrc too, refuses the request when it finds an entry beside our key,
            # and costs two thread switches per request.
            proxy = getproxies().get(url.scheme)
            self._proxy = URL(proxy) if proxy and not proxy_bypass(url.host or "") else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"one-ocr-ray/{__version__}"},
            )
        exchange = self._session.request(
            method,
            url,
            data=data,
            headers={**headers, "X-Client-Request-Id": uuid.uuid4().hex},
            timeout=aiohttp.ClientTimeout(total=total_s, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            allow_redirects=False,  # a redirect would carry the key to another host
            proxy=self._proxy,
        )
        del data
        try:
            async with exchange as response:
                return await read(response)
        except (aiohttp.ClientError, OSError) as error:
            known = (failure for kind, failure in _BY_TYPE if isinstance(error, kind))
            if isinstance(error, TimeoutError):
                late = Failure(ErrorCode.PROVIDER_TIMEOUT, f"No reply within {total_s:g} s.", Action.RETRY)
                return next(known, late)
            return next(known, BROKEN)  # reset, closed, a body cut short, a reply that is not HTTP

    async def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _OneShotPayload(aiohttp.Payload):
    """A body that is freed once it is sent. While the provider works, a page holds its image and no larger copy.

    Nothing below this module sends a POST twice, redirects included.
    """

    _autoclose = True

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return ""  # page content stays out of logs

    async def write(self, writer: AbstractStreamWriter) -> None:
        body, self._value = memoryview(self._value), b""
        for start in range(0, len(body), _PIECE_BYTES):
            await writer.write(body[start : start + _PIECE_BYTES])


async def _reply(response: aiohttp.ClientResponse) -> HttpReply | Failure:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > REPLY_MAX_BYTES:
            message = "The reply is far too large."
            return Failure(ErrorCode.PROVIDER_BAD_RESPONSE, message, Action.RETRY, response.status)
    # A `Retry-After` that is a date counts from `date`; ours stands in where the server sends none.
    headers = {"date": formatdate(time.time(), usegmt=True)} | lower_names(response.headers)
    return HttpReply(response.status, headers, bytes(body))


# The first match counts, so subclasses stand before their base classes.
_BY_TYPE: tuple[tuple[type[Exception], Failure], ...] = (
    (aiohttp.ConnectionTimeoutError, NO_CONNECTION),
    (aiohttp.ClientConnectorDNSError, NO_SUCH_HOST),
    (aiohttp.ClientConnectorCertificateError, NO_TLS),
    (aiohttp.ClientConnectorSSLError, NO_TLS),
    (aiohttp.ClientConnectorError, NO_CONNECTION),
)

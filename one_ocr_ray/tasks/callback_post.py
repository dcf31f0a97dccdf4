"""The seam to the servers of callbacks: one signed POST to a checked address. aiohttp lives here alone.

The address that is checked is the one that is connected to: DNS is asked once for each POST. Redirects are not
followed, answers are not read. No sentence holds the URL, whose query may be secret.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from one_ocr_ray.policy.tasks.callback import SIGNATURE, is_address, is_public, signature_of
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
PRIVATE = "its host has no public address; --callback-private allows others"


class _PrivateAddressError(OSError):
    """The host has no address that may be connected to."""


class _CheckedResolver(AbstractResolver):
    """Gives the public addresses of a host, or all with `private_too`."""

    def __init__(self, inner: AbstractResolver, *, private_too: bool) -> None:
        self._inner = inner
        self._private_too = private_too

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if self._private_too or is_public(each["host"])]
        if not allowed:
            raise _PrivateAddressError
        return allowed

    async def close(self) -> None:
        await self._inner.close()


async def post(
    url: str, body: bytes, secret: bytes, *, private_too: bool = False, resolver: AbstractResolver | None = None
) -> str | None:
    """POST `body` to `url` once. Gives why its server does not have it, None if it has."""
    target = URL(url)
    if not private_too and is_address(target.raw_host or "") and not is_public(target.raw_host or ""):
        return PRIVATE
    checked = _CheckedResolver(resolver or aiohttp.ThreadedResolver(), private_too=private_too)
    headers = {
        SIGNATURE: signature_of(body, secret),
        "Content-Type": "application/json",
        "User-Agent": f"one-ocr-ray/{__version__}",
    }
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=checked, use_dns_cache=False, force_close=True),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.post(target, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return None if answer.ok and answer.status < 300 else f"its server answered {answer.status}"
    except aiohttp.ClientConnectorDNSError as error:
        private = isinstance(error.os_error, _PrivateAddressError)
        return PRIVATE if private else "its host name cannot be resolved"
    except TimeoutError:
        return f"its server did not answer within {TIMEOUT_S:g} s"
    except aiohttp.ClientSSLError:
        return "the TLS certificate of its server is not accepted"
    except (aiohttp.ClientError, OSError):
        return "its server cannot be reached"

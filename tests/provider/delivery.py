"""How a reply is put on the wire, whole or broken: the only place that touches sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from tests.provider.replies import Delivery, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLUSH_S = 0.05  # for headers to reach the client before a reset overtakes them
_WHOLE = {Delivery.WHOLE, Delivery.STALL_AFTER_HEADERS, Delivery.TRICKLE}


async def deliver(request: web.Request, reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send `reply`; whatever breaks on purpose has broken when this returns."""
    if reply.delivery is Delivery.RESET_BEFORE_HEADERS:
        _reset(request)
        return web.Response()
    if reply.delivery is Delivery.WHOLE:
        await asyncio.sleep(reply.pause_s)
    response = web.StreamResponse(status=reply.status, headers={**headers, **reply.headers})
    response.content_length = len(reply.body)
    response.headers["Content-Type"] = reply.content_type
    await response.prepare(request)
    await _send_body(request, response, reply)
    return response


def arrives_whole(reply: Reply) -> bool:
    """True if this delivery ends with a complete body."""
    return reply.delivery in _WHOLE


async def _send_body(request: web.Request, response: web.StreamResponse, reply: Reply) -> None:
    body = reply.body
    if reply.delivery is Delivery.CUT:
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return
    if reply.delivery is Delivery.RESET_AFTER_HEADERS:
        await response.write(body[:1])
        await asyncio.sleep(_FLUSH_S)
        _reset(request)
        return
    if reply.delivery is Delivery.STALL_AFTER_HEADERS:
        await response.write(body[:1])
        await asyncio.sleep(reply.pause_s)
        body = body[1:]
    elif reply.delivery is Delivery.TRICKLE:
        for index in range(len(body) - 1):
            await response.write(body[index : index + 1])
            await asyncio.sleep(reply.pause_s)
        body = body[-1:]
    await response.write(body)
    await response.write_eof()


def _reset(request: web.Request) -> None:
    """Close with RST instead of FIN: a socket that lingers for no time at all."""
    transport = request.transport
    if transport is None:
        return
    with socket.fromfd(transport.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

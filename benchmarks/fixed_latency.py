"""A provider of fixed latency that costs next to nothing: it reads a chat completion's bytes and answers the same text.

    python -m benchmarks.fixed_latency --latency 1.0      prints its port, then serves until it is ended

`GET /stats` tells when the first request came and the last answer left (seconds of the monotonic clock), and how many
there were. It judges nothing: the provider of the tests does that, at a price in CPU that would drown what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from dataclasses import asdict, dataclass

import uvloop

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "\n".join(f"Line {n} of a page." for n in range(40)),
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1500, "completion_tokens": 400, "total_tokens": 1900},
    }
).encode()
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass
class Stats:
    """Times in seconds of the machine's monotonic clock."""

    requests: int = 0
    first_s: float | None = None
    last_s: float | None = None
    in_flight: int = 0
    peak_in_flight: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time on it."""

    def __init__(self, stats: Stats, latency_s: float) -> None:
        self._stats = stats
        self._latency_s = latency_s
        self._head = b""
        self._missing = 0  # bytes of the body
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvloop has one kind
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, found, body = self._head.partition(HEAD_END)
            if not found:
                return
            self._head = b""
            if head.startswith(b"GET"):
                self._reply(json.dumps(asdict(self._stats)).encode())
                return
            lines = head.lower().split(b"\r\n")
            length = next(int(line[len(LENGTH) :]) for line in lines if line.startswith(LENGTH))
            self._missing = length - len(body)
        if self._missing == 0:
            self._begin()

    def _begin(self) -> None:
        stats, now = self._stats, time.monotonic()
        stats.requests += 1
        stats.first_s = now if stats.first_s is None else stats.first_s
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        asyncio.get_running_loop().call_later(self._latency_s, self._end)

    def _end(self) -> None:
        self._stats.in_flight -= 1
        self._stats.last_s = time.monotonic()
        self._reply(ANSWER)

    def _reply(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def serve(latency_s: float) -> None:
    """Listen on a free port of loopback until SIGTERM."""
    loop = asyncio.get_running_loop()
    stats = Stats()
    server = await loop.create_server(lambda: Connection(stats, latency_s), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds from a request's last byte to its answer")
    uvloop.run(serve(parser.parse_args().latency))

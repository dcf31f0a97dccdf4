"""Bounds request bodies: each in bytes and time, and all of this process in bytes.

It stands in the application and in Ray Serve's proxy. The proxy keeps in memory what its replica has not read yet:
there `unsized_bytes` bounds a body without a length, and `under_way_bytes` all bodies together.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from one_ocr_ray.service.problems import Problem, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


UPLOAD = "/upload"  # the only path whose bodies go to disk while they arrive
# Every other body is parsed in the event loop, which all requests share: this much takes a few milliseconds.
PARSED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds for one body, and for all bodies in one process."""

    request_bytes: int  # of an upload
    unsized_bytes: int  # a body without Content-Length
    under_way_bytes: int
    stall_s: float
    whole_s: float

    def of(self, path: str) -> BodyLimits:
        """The bounds of a request to `path`."""
        if path == UPLOAD:
            return self
        return replace(
            self,
            request_bytes=min(PARSED_BYTES, self.request_bytes),
            unsized_bytes=min(PARSED_BYTES, self.unsized_bytes),
        )


class BodyLimit:
    """Answers 413, 408 or 503 for the application, and reads no more body."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits
        self._under_way_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = self._limits.of(scope["path"])
        length = Headers(scope=scope).get("content-length")
        is_number = length is not None and length.isdecimal() and len(length) < 20
        announced = None if length is None else int(length) if is_number else -1
        problem = self._refusal(limits, announced)
        if problem is not None:
            await problem_response(scope, problem)(scope, receive, send)
            return
        reserved = announced or 0
        self._under_way_bytes += reserved
        try:
            await _Body(scope, receive, send, limits, announced).run(self._app)
        finally:
            self._under_way_bytes -= reserved

    def _refusal(self, limits: BodyLimits, announced: int | None) -> Problem | None:
        if announced is None:
            return None
        if announced < 0:
            return _closing("invalid_request", "The header Content-Length is not a number.")
        if announced > limits.request_bytes:
            return too_large(limits.request_bytes)
        if announced and self._under_way_bytes + announced > limits.under_way_bytes:
            return _closing("overloaded", "Too many uploads are under way; try again soon.", retry_after_s=5)
        return None


class _Body:
    """The body of one request, and the refusal that may replace the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits, announced: int | None) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limits = limits
        self._announced = announced is not None
        self._most_bytes = limits.request_bytes if self._announced else limits.unsized_bytes
        self._has_body = bool(announced) or any(name == b"transfer-encoding" for name, _ in scope["headers"])
        self._deadline = time.monotonic() + limits.whole_s
        self._taken_bytes = 0
        self._complete = False
        self._answering = False
        self._refused = False

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:
            if not self._refused:  # else the disconnect that we sent has caused it
                raise

    async def receive(self) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        if self._complete or self._answering:
            return await self._receive()
        patience_s = min(self._limits.stall_s, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, patience_s))
        except TimeoutError:
            return await self._refuse(_closing("upload_timeout", "The request's body came too slowly."))
        self._taken_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._taken_bytes > self._most_bytes:
            if self._announced or self._most_bytes == self._limits.request_bytes:
                return await self._refuse(too_large(self._most_bytes))
            most = f"{self._most_bytes:,} bytes"
            detail = f"A request without the header Content-Length may have at most {most}; send it with that header."
            return await self._refuse(_closing("upload_too_large", detail))
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start" and self._has_body and not self._complete:
            # Nobody reads the rest of the body; without this the server would read it and throw it away.
            others = [header for header in message["headers"] if header[0] != b"connection"]
            message = {**message, "headers": [*others, (b"connection", b"close")]}
        self._answering = True
        await self._send(message)

    async def _refuse(self, problem: Problem) -> Message:
        self._refused = True
        await problem_response(self._scope, problem)(self._scope, self._receive, self._send)
        return {"type": "http.disconnect"}


def too_large(most_bytes: int) -> Problem:
    """The refusal of a body of more than `most_bytes`."""
    return _closing("upload_too_large", f"The request is larger than {most_bytes:,} bytes.")


def _closing(code: str, detail: str, retry_after_s: int | None = None) -> Problem:
    """A problem that closes the connection: the rest of the body is not read."""
    return Problem(code, detail, retry_after_s=retry_after_s, headers={"Connection": "close"})

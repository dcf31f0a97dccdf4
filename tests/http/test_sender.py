"""The sender and the engines against real sockets on 127.0.0.1: what breaks there comes back as a value."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from one_ocr_ray.engines.llm.http import BROKEN, NO_CONNECTION, NO_SUCH_HOST, HttpReply, HttpSender
from one_ocr_ray.engines.llm.wire import HttpRequest
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest
from tests.http.local_servers import http_server, raw_server
from tests.unit.wire_samples_reader import llm_engine, page_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "sk-canary-0123456789abcdef"
GOOD = {"choices": [{"message": {"content": "text"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}}


@asynccontextmanager
async def sender(timeout_s: float = 10.0) -> AsyncIterator[HttpSender]:
    """A sender that is closed in the end."""
    opened = HttpSender(timeout_s=timeout_s)
    yield opened
    await opened.close()


async def send_once(url: str, body: bytes | None = b"{}", timeout_s: float = 10.0) -> HttpReply | Failure:
    """One request to `url`."""
    async with sender(timeout_s) as http:
        return await http.send(HttpRequest(url, {"Authorization": f"Bearer {KEY}"}, body))


async def test_a_reply_comes_back_whole() -> None:
    """Status, lower-case header names and bytes, and every request has an id of its own."""
    ids: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        ids.append(request.headers["X-Client-Request-Id"])
        return web.Response(status=418, headers={"X-Request-Id": "r"}, body=await request.read())

    async with http_server(handler) as url, sender() as http:
        for _ in range(2):
            reply = await http.send(HttpRequest(url, {}, b'{"a": 1}'))
            assert isinstance(reply, HttpReply)
            assert (reply.status, reply.body, reply.headers["x-request-id"]) == (418, b'{"a": 1}', "r")
    assert len(set(ids)) == 2


async def test_connections_are_kept() -> None:
    """Twenty requests one after the other need one connection."""
    ports: set[Any] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with http_server(handler) as url, sender() as http:
        for _ in range(20):
            await http.send(HttpRequest(url, {}, b"{}"))
    assert len(ports) == 1


async def test_two_hundred_requests_at_once() -> None:
    """No hidden limit on connections holds a request back: all are at the server together."""
    everybody = asyncio.Barrier(200)

    async def handler(_: web.Request) -> web.Response:
        await everybody.wait()
        return web.Response()

    async with http_server(handler) as url, sender(30.0) as http:
        replies = await asyncio.gather(*(http.send(HttpRequest(url, {}, b"{}")) for _ in range(200)))
    assert all(isinstance(reply, HttpReply) for reply in replies)


@pytest.mark.parametrize("size", [1_000, 400_000, 3_000_000])
async def test_bodies_of_any_size_arrive_whole(size: int) -> None:
    """Large bodies go out in pieces, with their length said."""
    body = bytes(range(256)) * (size // 256)

    async def handler(request: web.Request) -> web.Response:
        assert request.content_length == len(body)
        return web.json_response(await request.read() == body)

    async with http_server(handler) as url:
        reply = await send_once(url, body)
    assert isinstance(reply, HttpReply)
    assert reply.body == b"true"


async def test_a_stalled_server_times_out() -> None:
    """The time-out is a value of its own: the request may have been billed."""

    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with http_server(handler) as url:
        failure = await send_once(url, timeout_s=0.2)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.action) == (ErrorCode.PROVIDER_TIMEOUT, Action.RETRY)


async def test_a_stall_in_the_middle_of_a_body_times_out() -> None:
    """The time-out covers the last byte too."""

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(30)

    async with raw_server(handler) as url:
        failure = await send_once(url, timeout_s=0.2)
    assert isinstance(failure, Failure)
    assert failure.code is ErrorCode.PROVIDER_TIMEOUT


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["nothing", "half headers", "half body", "half chunks", "no gzip", "no http"],
)
async def test_broken_replies(said: bytes) -> None:
    """Whatever breaks on the way can be tried again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with raw_server(handler) as url:
        assert await send_once(url) == BROKEN


async def test_a_reset_connection() -> None:
    """The peer's RST is no exception."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with raw_server(handler) as url:
        assert await send_once(url) == BROKEN


async def test_nobody_there() -> None:
    """A refused connection and an unknown host are told apart; neither names the address."""
    async with raw_server(lambda _, __: asyncio.sleep(0)) as url:
        pass
    assert await send_once(url) == NO_CONNECTION
    assert await send_once("http://no-such-host.invalid/") == NO_SUCH_HOST


async def test_redirects_are_not_followed() -> None:
    """The key goes to the host it was meant for, and nowhere else."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with http_server(handler) as url:
        reply = await send_once(f"{url}/here")
    assert isinstance(reply, HttpReply)
    assert (reply.status, asked) == (307, ["/here"])


async def test_an_endless_reply_is_cut_off() -> None:
    """A reply has a greatest size, however it is packed."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(40):
            await response.write(b"x" * (1 << 20))
        return response

    async with http_server(handler) as url:
        failure = await send_once(url)
    assert isinstance(failure, Failure)
    assert failure.code is ErrorCode.PROVIDER_BAD_RESPONSE


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Companies reach providers through a proxy that stands in the environment."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers["Host"])
        return web.Response()

    async with http_server(handler) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "direct.invalid")
        assert isinstance(await send_once("http://provider.invalid/v1"), HttpReply)
        assert await send_once("http://direct.invalid/v1") == NO_SUCH_HOST
    assert asked == ["provider.invalid"]


async def test_a_closed_sender_opens_again() -> None:
    """Closing twice is fine, and so is a request afterwards."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async with http_server(handler) as url, sender() as http:
        await http.send(HttpRequest(url, {}, b"{}"))
        await http.close()
        await http.close()
        assert isinstance(await http.send(HttpRequest(url, {}, b"{}")), HttpReply)


# --- engines


async def ask_openai(base_url: str) -> Answer:
    """One page through the engine `openai`."""
    engine = llm_engine("openai", key=KEY, base_url=f"{base_url}/v1", timeout_s=5)
    try:
        return await engine.analyze_image_async(page_image(), PageRequest(prompt="Read."))
    finally:
        await engine.close()


async def test_openai_engine_reads_a_page() -> None:
    """Request and reply meet."""

    async def handler(request: web.Request) -> web.Response:
        assert (request.path, request.headers["Authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
        return web.json_response(GOOD, headers={"x-request-id": "req_1"})

    async with http_server(handler) as url:
        answer = await ask_openai(url)
    assert (answer.text, answer.failure, answer.provider_request_id) == ("text", None, "req_1")


async def test_a_retry_after_date_counts_from_now_where_the_server_says_no_time() -> None:
    """The reply's missing date is filled in, so that the hint is not lost."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(handler) as url:
        answer = await ask_openai(url)
    assert answer.failure is not None
    assert (answer.failure.retry_after_s or 0) > 1e8


async def test_an_unreachable_server_is_a_failed_answer() -> None:
    """The engine never raises, and the failure names neither key nor address."""
    async with raw_server(lambda _, __: asyncio.sleep(0)) as url:
        pass
    answer = await ask_openai(url)
    assert answer.failure == NO_CONNECTION
    assert KEY not in repr(answer)


async def test_gemini_engine_reads_a_page() -> None:
    """Request and reply meet."""

    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/v1beta/models/gemini-3.8-flash:generateContent"
        assert request.headers["x-goog-api-key"] == KEY
        parts = [{"text": json.loads(await request.read())["contents"][0]["parts"][1]["text"]}]
        return web.json_response({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})

    async with http_server(handler) as url:
        engine = llm_engine("gemini", model="gemini-3.8-flash", key=KEY, base_url=url)
        answer = await engine.analyze_image_async(page_image(), PageRequest(prompt="Read."))
        await engine.close()
    assert (answer.text, answer.failure) == ("Read.", None)


# --- pre-flight

NOT_FOUND = {"error": {"message": "x", "type": "invalid_request_error", "code": "model_not_found"}}
NO_SCOPE = {"error": {"message": "You have insufficient permissions. Missing scopes: api.model.read", "code": None}}
GOOGLE_KEY = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}
GOOGLE_404 = {"error": {"code": 404, "status": "NOT_FOUND"}}


async def preflight(engine: str, model: tuple[int, Any], listing: tuple[int, Any] = (404, "none")) -> ErrorCode | None:
    """The code that `check` gives where GET model and GET models answer so."""

    async def handler(request: web.Request) -> web.Response:
        assert request.method == "GET"
        status, body = listing if request.path.endswith("/models") else model
        return web.json_response(body, status=status)

    async with http_server(handler) as url:
        reader = llm_engine(engine, key=KEY, base_url=f"{url}/v1" if engine == "openai" else url)
        failure = await reader.check()
        await reader.close()
    return failure.code if failure else None


@pytest.mark.parametrize(
    ("model", "listing", "code"),
    [
        ((200, {"id": "m"}), (500, ""), None),
        ((401, {"error": {"code": "invalid_api_key"}}), (500, ""), ErrorCode.AUTH),
        ((403, {"error": {"message": "no"}}), (500, ""), ErrorCode.AUTH),
        ((403, NO_SCOPE), (500, ""), None),
        ((404, NOT_FOUND), (200, {"data": [{"id": "other"}]}), ErrorCode.MODEL_NOT_FOUND),
        ((404, NOT_FOUND), (200, {"data": [{"id": "m"}]}), None),
        ((404, "no such route"), (404, "no such route"), None),
        ((404, "no such route"), (200, {"data": []}), None),
        ((429, {"error": {"code": "insufficient_quota"}}), (500, ""), ErrorCode.BILLING),
        ((429, {"error": {"code": "rate_limit_exceeded"}}), (500, ""), None),
        ((500, "broken"), (500, ""), None),
        ((405, "method"), (500, ""), None),
    ],
)
async def test_openai_preflight(model: tuple[int, Any], listing: tuple[int, Any], code: ErrorCode | None) -> None:
    """Only what is certain stops a run: a server that lacks the route must go on working."""
    assert await preflight("openai", model, listing) is code


@pytest.mark.parametrize(
    ("model", "listing", "code"),
    [
        ((200, {"name": "models/m"}), (500, ""), None),
        ((400, GOOGLE_KEY), (500, ""), ErrorCode.AUTH),
        ((403, {"error": {"status": "PERMISSION_DENIED"}}), (500, ""), ErrorCode.AUTH),
        ((404, GOOGLE_404), (200, {"models": [{"name": "models/other"}]}), ErrorCode.MODEL_NOT_FOUND),
        ((404, "no such route"), (404, "no such route"), None),
        ((503, {"error": {"status": "UNAVAILABLE"}}), (500, ""), None),
    ],
)
async def test_gemini_preflight(model: tuple[int, Any], listing: tuple[int, Any], code: ErrorCode | None) -> None:
    """Only what is certain stops a run."""
    assert await preflight("gemini", model, listing) is code


async def test_preflight_finds_nobody_there() -> None:
    """A wrong address is told before anything is rendered."""
    async with raw_server(lambda _, __: asyncio.sleep(0)) as url:
        pass
    engine = llm_engine("openai", key=None, base_url=f"{url}/v1")
    assert await engine.check() == NO_CONNECTION
    await engine.close()


async def test_checks_at_one_time_are_one_request() -> None:
    """Many jobs that look for one server do not ask it many times."""
    asked = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"id": "m"})

    async with http_server(handler) as url:
        engine = llm_engine("openai", key=KEY, base_url=f"{url}/v1")
        assert await asyncio.gather(*(engine.check() for _ in range(20))) == [None] * 20
        await engine.close()
    assert asked == 1


async def test_preflight_forgives_a_broken_connection() -> None:
    """One reset is chance, not a wrong address."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with raw_server(handler) as url:
        engine = llm_engine("openai", key=None, base_url=f"{url}/v1")
        assert await engine.check() is None
        await engine.close()

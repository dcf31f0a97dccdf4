"""Callbacks: each end of a task is told, signed, to hosts that the operator allows, and to public addresses alone."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.tasks.callback import SIGNATURE, signature_of
from one_ocr_ray.service.api.schemas import status_body
from one_ocr_ray.settings.service import ServiceSettings
from one_ocr_ray.tasks.callback_post import PRIVATE, post
from one_ocr_ray.tasks.callbacks import Callbacks
from tests.http.local_servers import http_server
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.scripted_manager import ScriptedManager
from tests.service.site import Site, problem
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    import socket
    from pathlib import Path

SECRET = "a-secret-of-the-tests"
HOST = "hooks.example"  # which no DNS knows


class Receiver:
    """A server that answers with `statuses` in turn, then with 204, and keeps what came."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, Any]] = []
        self.came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        data = await request.read()
        assert request.headers[SIGNATURE] == signature_of(data, SECRET.encode())
        self.bodies.append(json.loads(data))
        self.came.set()
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def until(self, count: int) -> list[dict[str, Any]]:
        """What came, as soon as it is `count`."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.bodies) < count:
                self.came.clear()
                await self.came.wait()
        return self.bodies


class Names(AbstractResolver):
    """A DNS that gives `HOST` these addresses, one an answer."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily | int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.addresses.pop(0), port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_OCR_CALLBACK_SECRET", SECRET)


async def until_known(manager: ScriptedManager, task_id: str) -> None:
    """Wait until the host knows of every end of a task."""
    entry = next(each for each in manager.lifecycle.table.entries() if each.view.record.task_id == task_id)
    async with asyncio.timeout(PATIENCE_S):
        while entry.undelivered or entry.turning.locked():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)


def test_the_end_is_told_signed(tmp_path: Path) -> None:
    """The body is the status; a receiver that fails or redirects is asked again, and knows in the end."""

    async def told() -> None:
        receiver = Receiver(500, 302)
        async with http_server(receiver.answer) as url:
            with Site(tmp_path, callback_hosts=("127.0.0.1",), callback_private=True) as site:
                (task_id,) = await asyncio.to_thread(site.upload, callback_url=f"{url}/ended?token=hidden")
                bodies = await receiver.until(3)
                assert bodies[0] == bodies[1] == bodies[2] == await asyncio.to_thread(site.status, task_id)
                assert bodies[0]["state"] == "SUCCESS"
                await asyncio.to_thread(site.run, until_known(site.manager, task_id))
                stored = site.store.task(task_id)
                assert stored is not None
                assert stored.undelivered == ()

    asyncio.run(told())
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_restarted_service_tells_all_ends(tmp_path: Path) -> None:
    """An end, a retry's end and a cancel, none of which could be told before a kill, are told after it, in order."""
    gone = "http://127.0.0.1:9"  # nothing listens there

    async def told() -> None:
        script = Script(failures={2: ErrorCode.PROVIDER_TIMEOUT})
        with Site(tmp_path, script, callback_hosts=("127.0.0.1",), callback_private=True) as site:
            task_id = site.finished(text_pdf(2), callback_url=gone)
            assert site.http.post(f"/v1/tasks/{task_id}/retry").status_code == 202
            site.run(site.manager.settled(task_id))
            script.gate = asyncio.Event()
            cancelled = site.upload(text_pdf(2), callback_url=gone)[0]
            assert site.http.post(f"/v1/tasks/{cancelled}/cancel").status_code == 202
        receiver = Receiver()
        async with http_server(receiver.answer) as url:
            for path in (tmp_path / "store" / "tasks").glob("*/state.json"):  # the receiver is elsewhere now
                path.write_bytes(path.read_bytes().replace(gone.encode(), url.encode()))
            manager = ScriptedManager(site.store)
            callbacks = Callbacks(manager.lifecycle, site.settings, status_body)
            await asyncio.to_thread(manager.lifecycle.recover, 2)
            callbacks.deliver_all()
            bodies = await receiver.until(3)
            ends = [(body["state"], body["outcome"]) for body in bodies if body["task_id"] == task_id]
            assert ends == [("SUCCESS", "partial"), ("SUCCESS", "complete")]
            assert [body["state"] for body in bodies if body["task_id"] == cancelled] == ["REVOKED"]
            await asyncio.gather(until_known(manager, task_id), until_known(manager, cancelled))
            again = ScriptedManager(site.store)
            await asyncio.to_thread(again.lifecycle.recover, 3)
            assert not any(entry.undelivered for entry in again.lifecycle.table.entries())

    asyncio.run(told())


def test_no_request_reaches_an_address_that_is_not_public() -> None:
    """Neither by an address, nor by a name, nor by a name that has changed since it was last asked."""

    async def refused() -> None:
        receiver = Receiver()
        async with http_server(receiver.answer) as url:
            port = url.rpartition(":")[2]
            for host in ("127.0.0.1", "2130706433", "localhost", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"):
                assert await post(f"http://{host}:{port}/", b"{}", SECRET.encode()) == PRIVATE, host
            names = Names("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1")
            for _ in range(3):
                assert await post(f"http://{HOST}:{port}/", b"{}", SECRET.encode(), resolver=names) == PRIVATE
        assert receiver.bodies == []

    asyncio.run(refused())


def test_the_checked_address_is_connected_to() -> None:
    """DNS is asked once for each POST: the second answer is never used. A redirect is a failure, not a second POST."""

    async def pinned() -> None:
        receiver = Receiver(204, 302)
        async with http_server(receiver.answer) as url:
            names = Names("127.0.0.1", "127.0.0.1", "203.0.113.1")
            target = f"http://{HOST}:{url.rpartition(':')[2]}/"
            assert await post(target, b"{}", SECRET.encode(), private_too=True, resolver=names) is None
            said = await post(target, b"{}", SECRET.encode(), private_too=True, resolver=names)
            assert said == "its server answered 302"
        assert names.addresses == ["203.0.113.1"]
        assert len(receiver.bodies) == 2

    asyncio.run(pinned())


def test_an_endless_answer_is_not_read() -> None:
    """The status is enough: a body without an end holds up nothing."""

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b"x" * 65536)
        return answer

    async def bounded() -> None:
        async with http_server(endless) as url, asyncio.timeout(PATIENCE_S):
            assert await post(url, b"{}", SECRET.encode(), private_too=True) is None

    asyncio.run(bounded())


def test_an_upload_names_a_host_that_is_allowed(site: Site, tmp_path: Path) -> None:
    """Another host, and any where the operator names none, is 400 with a sentence."""
    with Site(tmp_path, callback_hosts=(HOST,)) as open_site:
        for each, url in ((open_site, "https://evil.example/"), (open_site, "ftp://x/"), (site, f"https://{HOST}/")):
            files = [("files", ("a.pdf", text_pdf()))]
            answer = each.http.post("/upload", files=files, data={"options": json.dumps({"callback_url": url})})
            assert problem(answer) == (400, "invalid_options")


def test_hosts_are_split_at_commas() -> None:
    """The flag gives several hosts as one text."""
    assert ServiceSettings(callback_hosts="a.example, b.example").callback_hosts == ("a.example", "b.example")  # type: ignore[arg-type]

"""The WebSocket of a task: the same events as the stream, in the same order, for the same callers."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from socket import create_connection
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import KEYS, Site, events
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

Seen = tuple[str, dict[str, Any], str]


def socket(site: Site, task_id: str, last_id: str = "", **headers: str) -> ClientConnection:
    """A WebSocket to a task's events."""
    query = f"?last_event_id={last_id}" if last_id else ""
    url = f"ws://{headers.pop('Host', '127.0.0.1')}:{site.port}/task_status/{task_id}/ws{query}"
    line = create_connection(("127.0.0.1", site.port))
    return connect(url, sock=line, additional_headers=headers, open_timeout=PATIENCE_S)


def messages(connection: ClientConnection) -> Iterator[Seen]:
    """The events as they come: name, data and the id to come back with."""
    for message in connection:
        body = json.loads(message)
        yield body["event"], body["data"], body["id"] or ""


def refused(site: Site, task_id: str, **headers: str) -> tuple[int, str]:
    """Status and code of the problem that refuses a WebSocket."""
    with pytest.raises(InvalidStatus) as caught, socket(site, task_id, **headers):
        pass
    response = caught.value.response
    return response.status_code, json.loads(response.body)["code"]


def with_cuts(site: Site, task_id: str, cuts: list[int], *, by_socket: bool) -> list[tuple[str, dict[str, Any]]]:
    """Pages and end of a task over several connections, each cut after so many events."""
    seen: list[tuple[str, dict[str, Any]]] = []
    last_id = ""
    for cut in [*cuts, 1000]:
        if by_socket:
            with socket(site, task_id, last_id) as connection:
                part = [event for event, _ in zip(messages(connection), range(cut), strict=False)]
        else:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with site.http.stream("GET", f"/task_status/{task_id}/events", headers=headers) as answer:
                part = [event for event, _ in zip(events(answer), range(cut), strict=False)]
        last_id = next((each[2] for each in reversed(part) if each[2]), last_id)
        seen += [each[:2] for each in part if each[0] != "progress"]
    return seen


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A service with a task of nine pages that has ended."""
    with Site(tmp_path_factory.mktemp("ended"), Script(failures={2: ErrorCode.REFUSED})) as site:
        yield site, site.finished(text_pdf(9))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), max_size=4))
def test_socket_and_stream_tell_the_same(ended: tuple[Site, str], cuts: list[int]) -> None:
    """The same pages in the same order, whatever cuts the connections; each page once."""
    site, task_id = ended
    told = with_cuts(site, task_id, cuts, by_socket=True)
    assert told == with_cuts(site, task_id, cuts, by_socket=False)
    pages = [data["page_number"] for name, data in told if name == "page"]
    assert pages == list(range(1, 10))


def test_a_socket_follows_a_task_to_its_end(tmp_path: Path) -> None:
    """From before the first page to `end`, then the normal close; what a client sends means nothing."""
    with ExitStack() as open_:
        site = open_.enter_context(Site(tmp_path, Script(gate=asyncio.Event())))
        connection = open_.enter_context(socket(site, site.upload(text_pdf(3))[0]))
        assert json.loads(connection.recv(PATIENCE_S))["event"] == "progress"
        connection.send("hello")
        site.let_pages_go()
        seen = list(messages(connection))
        assert [data["page_number"] for name, data, _ in seen if name == "page"] == [1, 2, 3]
        assert seen[-1][0] == "end"
        assert connection.close_code == 1000


def test_a_socket_needs_what_a_stream_needs(tmp_path: Path) -> None:
    """A key or a session, a task of the caller, a page of the service itself, and a free place."""
    with Site(tmp_path, Script(gate=asyncio.Event()), keys=True, max_streams_per_key=1) as site:
        task_id = site.upload()[0]
        mine, other = ({"X-Api-Key": key} for key in KEYS)
        assert refused(site, task_id) == (401, "unauthorized")
        assert refused(site, task_id, **other) == (404, "task_not_found")
        assert refused(site, task_id, **mine, Host="evil.example") == (400, "invalid_host")
        assert site.http.post("/login", json={"key": KEYS[0]}).status_code == 204
        cookie = "; ".join(f"{name}={value}" for name, value in site.http.cookies.items())
        assert refused(site, task_id, Cookie=cookie, Origin="https://evil.example") == (403, "cross_site")
        with socket(site, task_id, Cookie=cookie, Origin=site.url) as connection:
            assert json.loads(connection.recv(PATIENCE_S))["event"] == "progress"
            assert refused(site, task_id, **mine) == (429, "too_many_streams")

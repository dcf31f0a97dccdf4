"""The Python client against a real service."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

import one_ocr_ray as ocr
from tests.pdfs import text_pdf
from tests.service.site import KEYS, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(site: Site) -> Iterator[ocr.Client]:
    """A client of the common service, whose page 2 fails."""
    with ocr.Client(site.url) as running:
        yield running


def test_upload_wait_and_read(client: ocr.Client, tmp_path: Path) -> None:
    """Files by path and by bytes become tasks, which end and have Markdown."""
    (tmp_path / "one.pdf").write_bytes(text_pdf())
    tasks = client.upload(tmp_path / "one.pdf", ("two.pdf", text_pdf()))
    assert [task.filename for task in tasks] == ["one.pdf", "two.pdf"]
    for task in tasks:
        ended = client.wait(task, timeout_s=60)
        assert (ended.state, ended.outcome, ended.pages_done) == ("SUCCESS", "complete", 1)
        assert client.markdown(task).startswith("# Page 1 of")
    assert client.pages(tasks[0])[0]["status"] == "ok"


def test_events_come_in_order_to_the_end(client: ocr.Client) -> None:
    """Each page once, then the end."""
    (task,) = client.upload(("three.pdf", text_pdf(3)))
    events = list(client.events(task))
    assert [event.data["page_number"] for event in events if event.name == "page"] == [1, 2, 3]
    assert [event.name for event in events].index("end") == len(events) - 1


def test_a_failed_page_is_read_again(client: ocr.Client) -> None:
    """A partial result is one until its failed page was read again."""
    (task,) = client.upload(("two.pdf", text_pdf(2)))
    assert client.wait(task).outcome == "partial"
    assert client.wait(client.retry(task)).outcome == "complete"
    client.delete(task)
    with pytest.raises(ocr.ServiceError) as gone:
        client.status(task)
    assert gone.value.code in {"task_not_found", "task_expired"}


def test_a_refusal_has_the_services_code(client: ocr.Client) -> None:
    """What is no document is refused with the service's own sentence."""
    with pytest.raises(ocr.ServiceError) as refused:
        client.upload(("note.txt", b"no PDF at all"))
    assert (refused.value.status, refused.value.code) == (415, "unsupported_file")


def test_a_service_that_is_not_there_is_one_sentence() -> None:
    """No traceback of a library: ServiceError."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with ocr.Client(url, timeout_s=1) as nobody, pytest.raises(ocr.ServiceError, match="cannot be reached"):
        nobody.status("t_" + "a" * 22)


async def test_the_async_client_with_a_key(tmp_path: Path) -> None:
    """The key opens what is refused without it; a task that is held back is still running after the time-out."""
    from asyncio import Event  # noqa: PLC0415

    from tests.service.script import Script  # noqa: PLC0415

    with Site(tmp_path, Script(gate=Event()), keys=True) as locked:
        async with ocr.AsyncClient(locked.url) as stranger:
            with pytest.raises(ocr.ServiceError) as refused:
                await stranger.status("t_" + "a" * 22)
            assert refused.value.status == 401
        async with ocr.AsyncClient(locked.url, key=KEYS[0]) as client:
            (task,) = await client.upload(("one.pdf", text_pdf()))
            with pytest.raises(TimeoutError):
                await client.wait(task, timeout_s=0.2)
            locked.let_pages_go()
            assert (await client.wait(task, timeout_s=60)).ended

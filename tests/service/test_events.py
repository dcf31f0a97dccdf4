"""Server-sent events: every page once and in order, over broken connections too; how many may be open."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from one_ocr_ray.model import ErrorCode
from one_ocr_ray.service.api import events as service_events
from tests import pdfs
from tests.service.script import Script
from tests.service.site import Site, events, problem
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def page_numbers(seen: list[tuple[str, dict[str, Any], str]]) -> list[int]:
    """The pages that events told of."""
    return [data["page_number"] for name, data, _ in seen if name == "page"]


def test_a_stream_tells_every_page_then_the_end(tmp_path: Path) -> None:
    """From before the first page to `end`: pages in order with their status, revs that rise, the last progress 100."""
    script = Script(failures={2: ErrorCode.PROVIDER_TIMEOUT}, gate=asyncio.Event(), page_delay_s=0.01)
    with Site(tmp_path, script) as site:
        task_id = site.upload(pdfs.text_pdf(5))[0]
        with site.http.stream("GET", f"/task_status/{task_id}/events") as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            threading.Timer(0.2, site.let_pages_go).start()
            seen = list(events(answer))
    assert page_numbers(seen) == [1, 2, 3, 4, 5]
    assert [data for name, data, _ in seen if name == "page"][1] == {
        "page_number": 2, "status": "failed", "error": "provider_timeout",
    }  # fmt: skip
    ids = [int(last_id) for _, _, last_id in seen if last_id]
    assert ids == sorted(ids)
    assert seen[-1][0] == "end"
    assert seen[-1][1]["state"] == "SUCCESS"
    progress = [data for name, data, _ in seen if name == "progress"]
    assert progress[-1]["progress"]["percent"] == 100.0
    assert set(progress[0]) == {"task_id", "state", "rev", "progress"}


def test_a_client_that_comes_back_misses_no_page(tmp_path: Path) -> None:
    """Cut off after every single event and resumed with the last id, the pieces together hold every page once."""
    script = Script(page_delay_s=0.005, gate=asyncio.Event())
    with Site(tmp_path, script) as site:
        task_id = site.upload(pdfs.text_pdf(12))[0]
        site.let_pages_go()
        last_id, pages, ended, connections = "", [], False, 0
        while not ended:
            connections += 1
            assert connections < 200
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with site.http.stream("GET", f"/task_status/{task_id}/events", headers=headers) as answer:
                for name, data, event_id in events(answer):
                    last_id = event_id or last_id
                    pages += [data["page_number"]] if name == "page" else []
                    ended = name == "end"
                    if connections % 2 or name == "page":
                        break
        assert pages == list(range(1, 13))


def test_a_stream_of_an_ended_task_tells_all_of_it_at_once(site: Site) -> None:
    """Without an id from the beginning, with the last id only the end; a strange id is as none."""
    task_id = site.finished(pdfs.text_pdf(3))
    with site.http.stream("GET", f"/task_status/{task_id}/events") as answer:
        seen = list(events(answer))
    assert page_numbers(seen) == [1, 2, 3]
    with site.http.stream("GET", f"/task_status/{task_id}/events", headers={"Last-Event-ID": seen[-1][2]}) as answer:
        assert [name for name, _, _ in events(answer)] == ["progress", "end"]
    with site.http.stream("GET", f"/task_status/{task_id}/events", headers={"Last-Event-ID": "x" * 30}) as answer:
        assert page_numbers(list(events(answer))) == [1, 2, 3]


def test_a_quiet_stream_keeps_alive_and_ends_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment comes in the quiet, and the stream is closed before proxies would do it; times are shortened here."""
    monkeypatch.setattr(service_events, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(service_events, "STREAM_S", 2.0)
    with Site(tmp_path, Script(gate=asyncio.Event())) as site:
        task_id = site.upload(pdfs.text_pdf(1))[0]
        with site.http.stream("GET", f"/task_status/{task_id}/events") as answer:
            text = answer.read().decode()
    assert text.startswith("retry: 1000\n\n")
    assert ": keep-alive\n\n" in text
    assert "event: end" not in text


def test_a_deleted_task_ends_its_streams(tmp_path: Path) -> None:
    """A stream ends when its task goes."""
    with Site(tmp_path, Script(gate=asyncio.Event())) as site:
        task_id = site.upload(pdfs.text_pdf(1))[0]
        with site.http.stream("GET", f"/task_status/{task_id}/events") as answer:
            threading.Timer(0.2, lambda: site.client().delete(f"/v1/tasks/{task_id}")).start()
            assert all(name == "progress" for name, _, _ in events(answer))


def test_open_streams_are_counted(tmp_path: Path) -> None:
    """One too many is 429 too_many_streams, and a place is free again when a stream is closed."""
    with Site(tmp_path, Script(gate=asyncio.Event()), max_streams_per_key=2) as site:
        path = f"/task_status/{site.upload(pdfs.text_pdf(1))[0]}/events"
        with site.http.stream("GET", path) as one, site.http.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            refused = site.http.get(path)
            assert problem(refused) == (429, "too_many_streams")
            assert "retry-after" in refused.headers

        def is_let_in() -> bool:
            with site.client().stream("GET", path) as again:
                return again.status_code == 200

        until(is_let_in, "a free place")


def test_a_batch_streams_the_events_of_all_its_tasks(tmp_path: Path) -> None:
    """Each page of each task once, each with its task's id, `end` last; resumed nothing is repeated."""
    with Site(tmp_path, Script(gate=asyncio.Event(), page_delay_s=0.01)) as site:
        ids = site.upload(pdfs.text_pdf(2), pdfs.text_pdf(3))
        batch_id = site.status(ids[0])["batch_id"]
        with site.http.stream("GET", f"/v1/batches/{batch_id}/events") as answer:
            threading.Timer(0.2, site.let_pages_go).start()
            seen = list(events(answer))
        pages = sorted((data["task_id"], data["page_number"]) for name, data, _ in seen if name == "page")
        assert pages == sorted([(ids[0], 1), (ids[0], 2), (ids[1], 1), (ids[1], 2), (ids[1], 3)])
        assert seen[-1][0] == "end"
        last = {"Last-Event-ID": seen[-1][2]}
        with site.http.stream("GET", f"/v1/batches/{batch_id}/events", headers=last) as answer:
            assert [name for name, _, _ in events(answer)] == ["progress", "progress", "end"]

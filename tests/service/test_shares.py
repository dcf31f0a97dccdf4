"""No key holder starves another: images, event streams and waiting requests are shared among the owners."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.service.fair_executor import FairExecutor
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.streams import Streams
from tests import pdfs
from tests.processes import processes_named
from tests.service.script import Script
from tests.service.site import KEYS, Site, events, problem
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from pathlib import Path


DRAWS = "one_ocr_ray.pdf.child"  # a process that does


def test_an_upload_does_not_wait_for_another_owners_endless_pages(tmp_path: Path) -> None:
    """Eight images of a page that never ends, and the other key's upload and image come as if there were none."""
    of_others = processes_named(DRAWS)  # of the service that other tests share
    with Site(tmp_path, keys=True) as site:
        task_id = site.upload(pdfs.endless_page_pdf(1, bad_page=1))[0]

        def ask(width: int) -> None:
            with site.client(KEYS[0]) as client:
                client.get(f"/v1/tasks/{task_id}/pages/1/image?w={width}")

        asking = [threading.Thread(target=ask, args=(500 + n,)) for n in range(8)]
        for thread in asking:
            thread.start()
        until(lambda: len(processes_named(DRAWS)) >= len(of_others) + 2, "two endless pages")
        other = site.client(KEYS[1])
        own_id = site.upload(client=other)[0]
        assert other.get(f"/v1/tasks/{own_id}/pages/1/image").status_code == 200
        assert sum(thread.is_alive() for thread in asking) >= 4  # each two of them take 10 s
        for each in (task_id, own_id):  # their reader opens them in such a process, too
            site.run(site.manager.settled(each))
        while any(thread.is_alive() for thread in asking):
            for process in {*processes_named(DRAWS)} - {*of_others}:
                process.kill()
            time.sleep(0.05)


def test_a_stream_of_the_largest_holder_ends_for_a_new_owner(tmp_path: Path) -> None:
    """All places are one key's: the oldest of them goes to the other key; the first key gets no more."""
    script = Script(gate=asyncio.Event())
    with Site(tmp_path, script, keys=True, max_streams=2, max_streams_per_key=2) as site:
        first, other = f"/task_status/{site.upload()[0]}/events", site.client(KEYS[1])
        second = f"/task_status/{site.upload(client=other)[0]}/events"
        with site.http.stream("GET", first) as oldest, site.http.stream("GET", first) as newest:
            with other.stream("GET", second) as new:
                assert new.status_code == 200
                assert [name for name, _, _ in events(oldest)] == ["progress"]  # and its end, before any page's
                assert problem(site.client(KEYS[0]).get(first)) == (429, "too_many_streams")
                site.let_pages_go()
                assert [name for name, _, _ in events(new)][-1] == "end"
            assert [name for name, _, _ in events(newest)][-1] == "end"


def test_waiting_status_requests_have_a_bound_of_their_own(tmp_path: Path) -> None:
    """One too many is 429; those of another key are answered, for which the oldest is told how things are now."""
    with Site(tmp_path, Script(gate=asyncio.Event()), keys=True, max_streams=4, max_streams_per_key=1) as site:
        task_id, other = site.upload()[0], site.client(KEYS[1])
        own_id = site.upload(client=other)[0]
        for client, each in ((site.http, task_id), (other, own_id)):
            until(lambda c=client, e=each: c.get(f"/task_status/{e}").json()["state"] == "STARTED", "a task at work")
        answers: list[int] = []

        def wait() -> None:
            with site.client(KEYS[0]) as client:
                tag = {"If-None-Match": f'W/"{site.status(task_id)["rev"]}"'}
                answers.append(client.get(f"/task_status/{task_id}?wait=30", headers=tag).status_code)

        waiting = [threading.Thread(target=wait) for _ in range(5)]
        for thread in waiting:
            thread.start()
        until(lambda: answers, "one request too many, for four wait")
        assert answers == [429]
        tag = {"If-None-Match": f'W/"{other.get(f"/task_status/{own_id}").json()["rev"]}"'}
        assert other.get(f"/task_status/{own_id}?wait=0.5", headers=tag).status_code == 304
        until(lambda: len(answers) == 2, "the answer to the oldest")
        assert answers == [429, 304]
        site.let_pages_go()
        for thread in waiting:
            thread.join()


def test_places_of_streams_are_all_back_whatever_happens() -> None:
    """Given up or closed, in any order, a place is free once."""
    streams = Streams(3, 3)
    with streams.opened("a") as first, streams.opened("a"), streams.opened("a"), streams.opened("b"):
        assert first.is_set()
        # "a" has two, one more than "b": the place would only change sides
        with pytest.raises(Problem), streams.opened("b"):
            pass
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(streams.opened("c"))
        with pytest.raises(Problem):
            held.enter_context(streams.opened("c"))


def test_results_of_one_owner_do_not_wait_for_anothers() -> None:
    """Files that take long to make hold two of four threads; what waits beyond a hundred is refused."""

    async def main() -> None:
        executor, hold = FairExecutor(), threading.Event()
        slow = [asyncio.create_task(executor.run("slow", hold.wait)) for _ in range(102)]
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(executor.run("quick", lambda: "made"), PATIENCE_S) == "made"
        with pytest.raises(Problem):
            await executor.run("slow", hold.wait)
        hold.set()
        await asyncio.gather(*slow)
        executor.close()

    asyncio.run(main())

"""`GET /v1/usage` and the history page: what a key has used, and nobody else's."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import KEYS, Site, problem

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.policy.tasks.task import TaskRecord

USED = {"pages": 4, "input_tokens": 400, "output_tokens": 200, "cost_usd": 0.0}


def usage(site: Site, key: int = 0, **query: Any) -> dict[str, Any]:
    with site.client(KEYS[key]) as client:
        body: dict[str, Any] = client.get("/v1/usage", params=query).raise_for_status().json()
    return body


def test_a_key_sees_its_own_usage(tmp_path: Path) -> None:
    """Each page by day and reader, those that a retry has read again twice; deleting a task takes nothing back."""
    with Site(tmp_path, Script(failures={2: ErrorCode.PROVIDER_TIMEOUT}), keys=True) as site:
        assert usage(site) == {"first_day": usage(site)["first_day"], "days": [], "readers": {}, "total": USED | {
            "pages": 0, "input_tokens": 0, "output_tokens": 0}}  # fmt: skip
        task_id = site.finished(text_pdf(3))
        assert site.http.post(f"/v1/tasks/{task_id}/retry").status_code == 202
        site.run(site.manager.settled(task_id))
        for _ in range(2):
            report = usage(site)
            assert report["total"] == report["readers"]["local"] == USED
            (today,) = report["days"]
            assert today == {**USED, "day": datetime.now(UTC).date().isoformat(), "readers": {"local": USED}}
            site.run(asyncio.to_thread(site.manager.lifecycle.add_up_usage, datetime.now(UTC).date()))
        assert site.http.delete(f"/v1/tasks/{task_id}").status_code == 204
        assert usage(site)["total"] == USED
        assert usage(site, key=1)["days"] == []
        with site.client() as stranger:
            assert problem(stranger.get("/v1/usage")) == (401, "unauthorized")
        assert problem(site.http.get("/v1/usage?days=0")) == (400, "invalid_request")


def stops_after_three() -> Script:
    """A script that reads three pages of its task, and no more."""

    def text(_: TaskRecord, page_number: int) -> str:
        if page_number == 3:
            script.gate = asyncio.Event()
        return "text"

    script = Script(text=text)
    return script


def reading(site: Site) -> str:
    """The id of a task of nine pages, three of which are read."""
    task_id = site.upload(text_pdf(9))[0]
    while site.status(task_id)["progress"]["pages_done"] < 3:
        time.sleep(0.01)
    return task_id


def test_a_task_that_is_deleted_while_it_is_read_counts(tmp_path: Path) -> None:
    """Its finished pages were paid."""
    with Site(tmp_path, stops_after_three(), keys=True) as site:
        assert site.http.delete(f"/v1/tasks/{reading(site)}").status_code == 204
        assert usage(site)["total"]["pages"] == 3
        assert site.http.get("/v1/tasks").json()["items"] == []


def test_a_task_that_is_cancelled_counts_though_its_end_never_comes(tmp_path: Path) -> None:
    """What it has used is stored before the cancel is, for a crash may come in between."""
    with Site(tmp_path, stops_after_three(), keys=True) as site:
        reading(site)
        (entry,) = site.manager.lifecycle.table.entries()
        assert site.run(site.manager.lifecycle.begin_cancel(entry))
        assert usage(site)["total"]["pages"] == 3


def test_the_history_shows_it(tmp_path: Path) -> None:
    """The sum, and a row for each day and reader."""
    with Site(tmp_path) as site:
        browser = {"Accept": "text/html"}
        assert "Usage of the last 30 days" not in site.http.get("/history", headers=browser).text
        site.finished(text_pdf(3))
        text = site.http.get("/history", headers=browser).text
        assert "3 pages, 450 tokens, $0.00" in text
        assert "<td>local</td>" in text

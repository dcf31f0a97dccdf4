"""Status, list, retry, cancel and delete of tasks; batches; what the service says of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode
from tests import pdfs
from tests.service.script import Script
from tests.service.site import Site, problem
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_TASK = "t_" + "x" * 22


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Site]:
    """A service whose pages wait for `let_pages_go`; page 2 fails."""
    script = Script(failures={2: ErrorCode.PROVIDER_TIMEOUT}, gate=asyncio.Event())
    with Site(tmp_path, script) as running:
        yield running


def test_the_status_has_every_field_of_the_contract(site: Site) -> None:
    """A task of three pages with one failed is SUCCESS and partial, the failure listed beside its results."""
    task_id = site.finished(pdfs.text_pdf(3))
    body = site.status(task_id)
    assert set(body) == {
        "task_id", "batch_id", "state", "outcome", "rev", "filename", "document_id", "created_at", "started_at",
        "finished_at", "progress", "failures", "usage", "links", "error",
    }  # fmt: skip
    assert (body["state"], body["outcome"], body["error"]) == ("SUCCESS", "partial", None)
    assert body["progress"] == {
        "pages_total": 3, "pages_done": 3, "pages_failed": 1, "pages_running": 0, "percent": 100.0,
    }  # fmt: skip
    assert body["failures"] == [
        {
            "page_number": 2,
            "code": "provider_timeout",
            "message": "The script says provider_timeout.",
            "retryable": True,
            "attempts": 3,
        }
    ]
    assert body["usage"] == {"input_tokens": 300, "output_tokens": 150, "cost_usd": 0.0}
    assert body["created_at"].endswith("Z")
    for name in ("self", "events", "pages", "result"):
        assert site.http.get(body["links"][name]).status_code == 200
    assert body["links"]["cancel"] is None
    assert body["links"]["retry"] == f"/v1/tasks/{task_id}/retry"


def test_a_status_that_has_not_changed_is_304(site: Site) -> None:
    """The ETag is the task's rev; given back it saves the body, and another one does not."""
    task_id = site.finished()
    answer = site.http.get(f"/task_status/{task_id}")
    tag = answer.headers["etag"]
    assert tag == f'W/"{answer.json()["rev"]}"'
    same = site.http.get(f"/task_status/{task_id}", headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert site.http.get(f"/task_status/{task_id}", headers={"If-None-Match": 'W/"0"'}).status_code == 200
    assert site.http.get(f"/task_status/{task_id}", headers={"If-None-Match": "nonsense"}).status_code == 200


def test_a_waiting_poll_ends_with_the_change(gated: Site) -> None:
    """With `wait` and the known ETag the answer comes when the task changes, and is 304 when it does not."""
    task_id = gated.upload(pdfs.text_pdf(1))[0]
    until(lambda: gated.status(task_id)["state"] == "STARTED", "a task at work")
    tag = f'W/"{gated.status(task_id)["rev"]}"'
    quiet = gated.http.get(f"/task_status/{task_id}?wait=0.2", headers={"If-None-Match": tag})
    assert quiet.status_code == 304
    started = time.monotonic()
    threading.Timer(0.3, gated.let_pages_go).start()
    answer = gated.http.get(f"/task_status/{task_id}?wait=30", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
    assert 0.2 < time.monotonic() - started < 25


@pytest.mark.parametrize("wait", ["31", "-1", "soon"])
def test_a_wait_out_of_bounds_is_400(site: Site, wait: str) -> None:
    """`wait` is 0 to 30 seconds."""
    assert problem(site.http.get(f"/task_status/{site.finished()}?wait={wait}")) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/task_status/{}"), ("GET", "/task_status/{}/events"), ("GET", "/v1/tasks/{}"),
        ("GET", "/v1/tasks/{}/pages"), ("GET", "/v1/tasks/{}/pages/1"), ("GET", "/v1/tasks/{}/pages/1/image"),
        ("GET", "/v1/tasks/{}/result"), ("POST", "/v1/tasks/{}/retry"), ("POST", "/v1/tasks/{}/cancel"),
        ("DELETE", "/v1/tasks/{}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("task_id", [NO_TASK, "t_", "x", "%2e%2e%2fetc", "t_" + "é" * 22])
def test_a_task_that_is_not_there_is_404(site: Site, method: str, path: str, task_id: str) -> None:
    """On every route, for whatever stands in the place of an id."""
    assert problem(site.http.request(method, path.format(task_id)))[0] == 404


def test_the_list_is_newest_first_and_goes_on_with_its_cursor(tmp_path: Path) -> None:
    """Pages of the list give every task once; state and batch narrow it; a strange cursor is 400."""
    with Site(tmp_path) as site:
        ids = [site.finished(pdfs.text_pdf(1, f"{n}")) for n in range(5)]
        seen, cursor = [], ""
        while True:
            body = site.http.get("/v1/tasks", params={"limit": 2, "cursor": cursor}).json()
            seen += [item["task_id"] for item in body["items"]]
            cursor = body["next_cursor"]
            if cursor is None:
                break
        assert seen == ids[::-1]
        assert len(site.http.get("/v1/tasks?state=SUCCESS").json()["items"]) == 5
        assert site.http.get("/v1/tasks?state=PENDING").json()["items"] == []
        batch_id = site.status(ids[0])["batch_id"]
        assert [item["task_id"] for item in site.http.get(f"/v1/tasks?batch_id={batch_id}").json()["items"]] == ids[:1]
        for wrong in ("cursor=made-up", "limit=0", "limit=201", "state=DONE", "limit=x"):
            assert problem(site.http.get(f"/v1/tasks?{wrong}")) == (400, "invalid_request")


@pytest.mark.parametrize("body", [{"pages": "failed"}, {"pages": [2]}, [2], None])
def test_a_retry_reads_failed_pages_only(site: Site, body: object) -> None:
    """All forms of the request read the failed page again and no other; then nothing is left to retry."""
    task_id = site.finished(pdfs.text_pdf(3))
    before, calls = site.status(task_id), site.manager.reader.calls[task_id]
    answer = site.http.post(f"/v1/tasks/{task_id}/retry", **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.json()["state"]) == (202, "RETRY")
    site.run(site.manager.settled(task_id))
    after = site.status(task_id)
    assert (after["state"], after["outcome"], after["failures"]) == ("SUCCESS", "complete", [])
    assert after["rev"] > before["rev"]
    assert site.manager.reader.calls[task_id] == calls + 1
    assert problem(site.http.post(f"/v1/tasks/{task_id}/retry")) == (409, "nothing_to_retry")


@pytest.mark.parametrize("body", [{"pages": "all"}, {"pages": []}, {"pages": [0]}, [], {"page": [2]}, "failed", 3])
def test_a_retry_of_nonsense_is_400(site: Site, body: object) -> None:
    """What is not a list of pages and not `failed` is refused."""
    assert problem(site.http.post(f"/v1/tasks/{site.finished()}/retry", json=body)) == (400, "invalid_request")


def test_a_retry_of_good_pages_is_409(site: Site) -> None:
    """Pages that have not failed are not read again."""
    task_id = site.finished(pdfs.text_pdf(3))
    assert problem(site.http.post(f"/v1/tasks/{task_id}/retry", json=[1, 3])) == (409, "nothing_to_retry")


def test_a_running_task_can_be_cancelled_once(gated: Site) -> None:
    """Cancelling ends it as REVOKED with 202; again it is 200; a retry of it before that is 409 task_running."""
    task_id = gated.upload(pdfs.text_pdf(3))[0]
    assert problem(gated.http.post(f"/v1/tasks/{task_id}/retry")) == (409, "task_running")
    first = gated.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (first.status_code, first.json()["state"]) == (202, "REVOKED")
    again = gated.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (again.status_code, again.json()["state"], again.json()["rev"]) == (200, "REVOKED", first.json()["rev"])


def test_a_deleted_task_leaves_nothing(tmp_path: Path) -> None:
    """204, then 404 everywhere, and its text and name stand in no file of the store or the spool."""
    canary = "c4n4ry-of-the-deletion"
    with Site(tmp_path, Script(text=lambda _record, number: f"{canary} {number}")) as site:
        files = {"files": (f"{canary}.pdf", pdfs.text_pdf(2, canary))}
        answer = site.http.post("/upload", files=files, headers={"Idempotency-Key": canary})
        task_id = answer.json()["task_ids"][0]
        site.run(site.manager.settled(task_id))
        assert canary in site.http.get(f"/v1/tasks/{task_id}/result").text
        assert site.http.get(f"/v1/tasks/{task_id}/pages/1/image").status_code == 200
        assert site.http.delete(f"/v1/tasks/{task_id}").status_code == 204
        assert problem(site.http.get(f"/task_status/{task_id}")) == (404, "task_not_found")
        assert problem(site.http.get(f"/v1/tasks/{task_id}/pages/1/image")) == (404, "task_not_found")
        assert problem(site.http.delete(f"/v1/tasks/{task_id}")) == (404, "task_not_found")
        left = [path for path in tmp_path.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
        assert left == []
        assert not [path for path in tmp_path.rglob("*") if canary in path.name]


def test_an_expired_task_is_410(tmp_path: Path) -> None:
    """What the task manager still knows but has expired is gone, on every route that reads it."""
    with Site(tmp_path, Script(expires_in=timedelta(seconds=-1))) as site:
        task_id = site.finished()
        for path in (f"/task_status/{task_id}", f"/v1/tasks/{task_id}/pages", f"/v1/tasks/{task_id}/result"):
            assert problem(site.http.get(path)) == (410, "task_expired")


def test_a_batch_sums_up_its_tasks(site: Site) -> None:
    """Counts, pages and usage are those of its tasks together; cancelling an ended one changes nothing."""
    ids = site.upload(pdfs.text_pdf(1), pdfs.text_pdf(3))
    for task_id in ids:
        site.run(site.manager.settled(task_id))
    batch_id = site.status(ids[0])["batch_id"]
    body = site.http.get(f"/v1/batches/{batch_id}").json()
    assert (body["state"], body["counts"]) == ("SUCCESS", {"SUCCESS": 2})
    assert body["progress"] == {
        "pages_total": 4, "pages_done": 4, "pages_failed": 1, "pages_running": 0, "percent": 100.0,
    }  # fmt: skip
    assert body["usage"]["input_tokens"] == 400
    assert {task["task_id"] for task in body["tasks"]} == set(ids)
    assert site.http.post(f"/v1/batches/{batch_id}/cancel").status_code == 200
    for path in ("", "/events", "/result"):
        assert problem(site.http.get(f"/v1/batches/b_none{path}")) == (404, "batch_not_found")


def test_a_batch_is_cancelled_with_all_its_tasks(gated: Site) -> None:
    """Every running task of it becomes REVOKED."""
    ids = gated.upload(pdfs.text_pdf(1), pdfs.text_pdf(1))
    batch_id = gated.status(ids[0])["batch_id"]
    answer = gated.http.post(f"/v1/batches/{batch_id}/cancel")
    assert (answer.status_code, answer.json()["counts"]) == (202, {"REVOKED": 2})


def test_the_service_says_what_it_is_and_takes(site: Site) -> None:
    """Version, engines and limits; healthy and ready; a description; documentation without a file from elsewhere."""
    info = site.http.get("/v1/info").json()
    assert info["engines"] == ["local"]
    assert info["limits"]["files"] == site.settings.max_files
    assert site.http.get("/healthz").json() == {"status": "ok"}
    assert site.http.get("/readyz").json() == {"status": "ready", "checks": {"book": "ok", "store": "ok"}}
    assert "/upload" in site.http.get("/openapi.json").json()["paths"]
    docs = site.http.get("/docs")
    assert docs.headers["content-type"].startswith("text/html")
    assert "//" not in docs.text.replace("<!doctype html>", "")


def test_a_path_or_a_method_that_is_not_there_is_a_problem(site: Site) -> None:
    """404 and 405 look like every other problem; 405 says what is allowed."""
    assert problem(site.http.get("/nothing/here")) == (404, "not_found")
    wrong = site.http.put("/upload")
    assert problem(wrong) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert site.http.put("/v1/tasks/t_1").headers["allow"] == "DELETE, GET"


def test_an_unexpected_error_is_told_without_its_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets 500 and the request's id; the log has the id and the place, and neither has what was said."""
    with Site(tmp_path) as site:

        @site.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("s3cret text of a page")

        answer = site.http.get("/broken")
        assert problem(answer) == (500, "internal")
        fields = [record.fields for record in caplog.records if record.getMessage() == "unexpected error"]
        assert fields[0]["request_id"] == answer.headers["x-request-id"]
        assert fields[0]["error"] == "RuntimeError"
        assert any("broken" in frame for frame in fields[0]["frames"])
        assert "s3cret" not in answer.text + caplog.text + str(fields)

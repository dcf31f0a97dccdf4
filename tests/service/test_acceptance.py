"""What is accepted is durable and known to the task manager; one Idempotency-Key is one request."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.tasks import submission
from tests import pdfs
from tests.service.site import Site, problem

if TYPE_CHECKING:
    from pathlib import Path

    import httpx


class TestAcceptance:
    """What is accepted is durable and known to the task manager; what is not leaves nothing."""

    def test_a_book_that_comes_back_soon_is_waited_for(self, tmp_path: Path) -> None:
        """One refusal of the task manager is not the client's concern."""
        with Site(tmp_path) as site:
            site.manager.refusals = 1
            assert site.status(site.upload()[0])["task_id"]

    def test_a_book_that_stays_away_leaves_nothing_in_the_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """503, no task in the store that would be read when the task manager comes back, and the key is free."""
        monkeypatch.setattr(submission, "RETRY_AFTER_S", (0.01, 0.01))
        with Site(tmp_path) as site:
            site.manager.refusals = 3
            files, key = {"files": ("a.pdf", pdfs.text_pdf())}, {"Idempotency-Key": "k"}
            assert problem(site.http.post("/upload", files=files, headers=key)) == (503, "overloaded")
            assert site.store.task_ids() == set()
            assert site.http.post("/upload", files=files, headers=key).status_code == 202

    def test_a_store_that_takes_nothing_is_507(self, tmp_path: Path) -> None:
        """A store that cannot be written to refuses the upload, not the service."""
        with Site(tmp_path) as site:
            (tmp_path / "store" / "tasks").write_text("a file where the folder should be")
            answer = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())})
            assert problem(answer) == (507, "storage_full")
            assert site.spooled() == []


class TestIdempotency:
    """One Idempotency-Key is one request."""

    def test_a_replay_gets_the_first_answer(self, site: Site) -> None:
        """The same key and request give the same body, marked as a replay, and no second task."""
        files = {"files": ("a.pdf", pdfs.text_pdf(1, "replayed"))}
        first, second = (site.http.post("/upload", files=files, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
        assert first.status_code == second.status_code == 202
        assert first.json() == second.json()
        assert "idempotent-replay" not in first.headers
        assert second.headers["idempotent-replay"] == "true"
        assert second.headers["location"] == first.headers["location"]
        batch = site.http.get(f"/v1/batches/{first.json()['batch_id']}").json()
        assert len(batch["tasks"]) == 1

    def test_the_same_key_for_something_else_is_refused(self, site: Site) -> None:
        """Other bytes, names or options or another order are another request."""
        key = {"Idempotency-Key": "k-2"}
        one, two = ("files", ("1.pdf", pdfs.text_pdf(1, "1"))), ("files", ("2.pdf", pdfs.text_pdf(1, "2")))
        assert site.http.post("/upload", files=[one, two], headers=key).status_code == 202
        reordered = site.http.post("/upload", files=[two, one], headers=key)
        assert problem(reordered) == (422, "idempotency_key_reused")
        renamed = site.http.post("/upload", files=[one, ("files", ("3.pdf", two[1][1]))], headers=key)
        assert problem(renamed) == (422, "idempotency_key_reused")
        options = site.http.post("/upload", files=[one, two], data={"options": json.dumps({"pages": "1"})}, headers=key)
        assert problem(options) == (422, "idempotency_key_reused")

    def test_a_refused_request_leaves_its_key_free(self, site: Site) -> None:
        """A key whose request was refused may be used for a better one."""
        key = {"Idempotency-Key": "k-3"}
        assert site.http.post("/upload", files={"files": ("a.pdf", b"no")}, headers=key).status_code == 415
        assert site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())}, headers=key).status_code == 202

    def test_of_requests_at_the_same_time_one_is_done(self, site: Site) -> None:
        """Racing requests with one key make one batch; the others are replays of it or are told it is running."""
        files = {"files": ("a.pdf", pdfs.text_pdf(1, "raced"))}

        def post(_: int) -> httpx.Response:
            return site.http.post("/upload", files=files, headers={"Idempotency-Key": "k-4"})

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(post, range(16)))
        accepted = [answer.json()["batch_id"] for answer in answers if answer.status_code == 202]
        assert len(set(accepted)) == 1
        others = [problem(answer) for answer in answers if answer.status_code != 202]
        assert set(others) <= {(409, "idempotency_in_progress")}
        assert sum("idempotent-replay" not in answer.headers for answer in answers if answer.status_code == 202) == 1

    @pytest.mark.parametrize("key", ["", "x" * 256])
    def test_a_key_of_no_or_too_many_characters_is_refused(self, site: Site, key: str) -> None:
        """A key has 1 to 255 characters."""
        files = {"files": ("a.pdf", pdfs.text_pdf())}
        answer = site.http.post("/upload", files=files, headers={"Idempotency-Key": key})
        assert problem(answer) == (400, "invalid_request")

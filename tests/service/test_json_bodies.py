"""Bodies that are parsed in the event loop: small, and cheap to refuse, for everybody shares the loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.service.middleware.body_limit import PARSED_BYTES
from tests.pdfs import text_pdf
from tests.service.site import problem

if TYPE_CHECKING:
    from tests.service.site import Site

RETRY = "/v1/tasks/t_aaaaaaaaaaaaaaaaaaaaaa/retry"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", [RETRY, "/v1/batches/b_1/cancel", "/login"])
def test_a_body_of_more_than_a_megabyte_is_413_but_for_uploads(site: Site, path: str) -> None:
    """No answer of the service needs as much; an upload's bytes go to disk and are not parsed."""
    answer = site.http.post(path, content=b" " * (PARSED_BYTES + 1), headers=JSON)
    assert problem(answer) == (413, "upload_too_large")
    assert f"{PARSED_BYTES:,}" in answer.json()["detail"]
    site.upload(text_pdf() + b" " * PARSED_BYTES)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * (PARSED_BYTES // 2 - 2) + b"1]",
        b"[" + b"0," * (PARSED_BYTES // 2 - 2) + b"0]",
        b'["' + b'","' * (PARSED_BYTES // 3 - 2) + b'"]',
        b"[" * PARSED_BYTES,
        b'{"a":' * (PARSED_BYTES // 6),
        b'{"pages":[' + b"-1," * (PARSED_BYTES // 3 - 6) + b"1]}",
    ],
    ids=["numbers", "zeros", "texts", "depth", "objects", "pages"],
)
def test_a_megabyte_of_anything_is_refused_at_once(site: Site, body: bytes) -> None:
    """Hundreds of thousands of faults make one complaint, of a few words."""
    task_id = site.finished()
    begun_s = time.process_time()  # of the service, too: it runs in this process
    answer = site.http.post(f"/v1/tasks/{task_id}/retry", content=body, headers=JSON)
    assert problem(answer) == (400, "invalid_request")
    assert len(answer.content) < 1000
    assert time.process_time() - begun_s < 1.0

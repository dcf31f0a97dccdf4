"""`ocr.PageReader` as a stage of Ray Data: pages under the rate limiter that the whole cluster shares."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import ray

import one_ocr_ray as ocr
from one_ocr_ray.cluster.limiter import account_fingerprint, get_limiter, limiter_name
from tests.provider import ProviderProcess, identity_pdf
from tests.snippets import ROOT, blocks, run_snippet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("ray_cluster")
def test_the_documented_stage(tmp_path: Path) -> None:
    """As written, on this cluster: the sample's page by its text layer."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (code,) = [block for block in blocks("docs/python.md", "python") if "ocr.PageReader" in block]
    address = ray.get_runtime_context().gcs_address
    (said,) = [
        line for line in run_snippet(code, tmp_path, **os.environ | {"RAY_ADDRESS": address}).splitlines() if line
    ]
    row = ast.literal_eval(said)
    assert row.pop("path").endswith("sample-table-en.pdf")
    assert row == {"page_number": 1, "status": "ok", "engine": "text-layer"}


@pytest.mark.usefixtures("ray_cluster")
def test_a_stage_reads_under_the_clusters_limiter() -> None:
    """Each page once, as the row that it says; the account's limiter is the named actor of all jobs."""
    model = uuid4().hex
    with ProviderProcess(keys=()) as provider:
        settings = {"engine": "openai", "base_url": provider.openai_url, "model": model, "rpm": 6000}
        files = ray.data.from_items([{"bytes": identity_pdf(number, 2), "number": number} for number in range(4)])
        stage = files.map_batches(ocr.PageReader, fn_constructor_kwargs=settings, concurrency=1, num_cpus=1)
        rows = stage.select_columns(["number", "page_number", "status", "markdown"]).take_all()
        snapshot = ray.get(
            get_limiter(limiter_name("openai", account_fingerprint(provider.openai_url, ""), model)).snapshot.remote()
        )
        asked = sorted(row.page for row in provider.rows())
    found = {(row["number"], row["page_number"]): row["markdown"].splitlines()[0] for row in rows}
    assert found == {(n, page): f"# doc-{n:04d} page {page}" for n in range(4) for page in (1, 2)}
    assert asked == [f"doc-{n:04d} page {page}" for n in range(4) for page in (1, 2)]
    assert snapshot.configured_rpm == 6000

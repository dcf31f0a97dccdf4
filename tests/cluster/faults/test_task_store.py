"""`one-ocr serve` over a store in which files are torn, foreign or of a later release."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.policy.tasks.task import TaskRecord, TaskState
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import TaskStore
from tests.cluster.service.serve_process import Served
from tests.cluster.service.task_managers import task_manager_site
from tests.provider import identity_pdf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider import ProviderProcess

BAD = {
    "record.json": b"",
    "state.json": b'{"format": "one-ocr-ray task 9"}',
    "output/_run/config.json": b"",
    "output/pages/000000.parquet": b"PAR1",
}


@pytest.mark.timeout(600)
def test_a_service_starts_over_a_store_with_bad_files(tmp_path: Path, provider: ProviderProcess) -> None:
    """It is up, with one set of workers; each bad file costs its task, and an upload is read."""
    provider.reset(text_chars=100)
    store = TaskStore(str(tmp_path / "store"))
    ids = {name: f"t_{letter * 22}" for letter, name in zip("ABCD", BAD, strict=True)}
    for name, task_id in ids.items():
        store.save_record(TaskRecord(task_id, "b_1", "", "a.pdf", 4, "sha256:0", datetime.now(UTC)))
        Objects(f"{store.root}/tasks/{task_id}").put(name, BAD[name])
    Objects(store.root).put("book/.DS_Store", b"")
    with Served(tmp_path, engine="openai", base_url=provider.openai_url, rpm=60_000) as service:
        (good,) = service.upload(identity_pdf(1, 2))
        assert service.until(good)["outcome"] == "complete"
        assert len(service.processes("ray::TaskWorker")) == 1
        for name, task_id in ids.items():
            if name != "output/pages/000000.parquet":
                told = service.status(task_id)
                assert told["state"] == "FAILURE", name
                assert "set aside" in told["error"]["message"], name
        retry = service.http.post(f"/v1/tasks/{ids['state.json']}/retry", json={"pages": "failed"})
        assert retry.status_code == 409
        for task_id in ids.values():
            assert service.http.delete(f"/v1/tasks/{task_id}").status_code == 204


async def test_a_finished_task_whose_state_is_gone_is_never_paid_again(
    tmp_path: Path, provider: ProviderProcess, ray_cluster: None
) -> None:
    """Its rows stand: with the settings of then it ends by them; with others it fails and keeps them."""
    provider.reset(text_chars=100)
    with task_manager_site(tmp_path, provider, model="first") as site:
        task_id = await site.submit(identity_pdf(1, 2))
        await site.succeeded(task_id)
    asked = len(provider.rows())
    for model, state in (("second", TaskState.FAILURE), ("first", TaskState.SUCCESS)):
        Objects(site.store.root).delete(f"tasks/{task_id}/state.json")
        with task_manager_site(tmp_path, provider, model=model) as again:
            view = await again.ended(task_id)
        assert view.state is state, view
        assert [page.page_number for page in site.store.pages(task_id)] == [1, 2]
    assert [row for row in provider.rows()[asked:] if row.page] == []

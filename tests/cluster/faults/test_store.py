"""`one-ocr serve` over a store in which files are torn, foreign or of a later release."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.policy.tasks import TaskRecord
from one_ocr_ray.storage.objects import Objects
from one_ocr_ray.storage.tasks import TaskStore
from tests.cluster.served import Served
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

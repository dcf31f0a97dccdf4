"""A store in which the state of a finished task is gone. Files that are bad stand in `service/test_serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.policy.tasks.task import TaskState
from one_ocr_ray.storage.store.objects import Objects
from tests.cluster.service.task_managers import task_manager_site
from tests.provider import identity_pdf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider import ProviderProcess


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

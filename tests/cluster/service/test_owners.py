"""One key holder's uploads beside another's, in the task manager and its worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.service.task_worker import TASKS_AT_ONCE
from one_ocr_ray.policy.dataset.plan import SLICE_PAGES
from tests.cluster.service.task_managers import task_manager_site
from tests.provider import Latency, ProviderProcess, identity_pdf
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

MANY, LONG, AT_ONCE = TASKS_AT_ONCE // 2 + 2, SLICE_PAGES + 1, 4


@pytest.mark.usefixtures("ray_cluster")
async def test_one_page_does_not_wait_for_another_owners_thousands(tmp_path: Path) -> None:
    """Long documents hold every place that one owner can have; the other's page is read at once, not last."""
    flags = {"max_in_flight": AT_ONCE, "longest_side": 400}
    with ProviderProcess(keys=()) as provider, task_manager_site(tmp_path, provider, **flags) as site:
        provider.reset(latency=Latency(seconds=2.0))
        long = [await site.submit(identity_pdf(number, LONG, lines=1), owner="many") for number in range(MANY)]
        await eventually(lambda: provider.summary()["in_flight"] == AT_ONCE, "requests of the one owner")
        asked = len(provider.rows())
        task_id = await site.submit(identity_pdf(9000, 1), owner="few")
        await site.until(task_id, lambda view: view.state.terminal, owner="few")
        assert len(provider.rows()) - asked < 100  # of more than two thousand: 50 s, of which it takes some four
        await asyncio.gather(*(site.manager.cancel("many", each) for each in long))

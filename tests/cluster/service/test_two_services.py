"""One service per store: one that is deployed later takes over when the first has brought its work to an end.

That a second `one-ocr serve` is refused stands in `test_serve`, where one is running.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from one_ocr_ray.cluster.service.task_manager import CALLS_AT_ONCE, ManagerElsewhereError, TaskManagerActor
from one_ocr_ray.policy.lease import deployment
from one_ocr_ray.policy.tasks.task import TaskState, TaskView
from one_ocr_ray.settings.service import load_service
from one_ocr_ray.tasks.service_config import service_config_of
from tests.cluster.service.task_managers import OWNER, task_manager_site
from tests.provider import Latency, ProviderProcess, identity_pdf
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.policy.tasks.task import TaskRecord
    from one_ocr_ray.tasks.service_config import ServiceConfig

PAGES, IN_FLIGHT = 40, 4


def calls(provider: ProviderProcess) -> Counter[str]:
    """How often each page was asked for."""
    return Counter(row.page for row in provider.rows() if row.page)


def cluster(service: ServiceConfig) -> Any:
    """The task manager that a cluster of its own would have: clusters do not see the names of each other's actors."""
    manager: Any = ray.remote(TaskManagerActor)
    return manager.options(num_cpus=0, max_concurrency=CALLS_AT_ONCE).remote(service)


async def ask_on(manager: Any, record: TaskRecord) -> None:
    """Ask until there is no answer any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await manager.call.remote("task", OWNER, record.task_id)
            await asyncio.sleep(0.1)


async def ask_to_the_end(manager: Any, record: TaskRecord) -> None:
    """Ask until it is gone. While it ends its work it sends callers away, for that one reason, and answers none."""
    was_sent_away = False
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (told,) = await asyncio.gather(manager.call.remote("task", OWNER, record.task_id), return_exceptions=True)
            if isinstance(told, RayActorError):
                return
            is_sent_away = isinstance(told, RayTaskError) and isinstance(told.cause, ManagerElsewhereError)
            assert is_sent_away or (isinstance(told, TaskView) and not was_sent_away), told
            was_sent_away = is_sent_away
            await asyncio.sleep(0.1)


async def answer_of(manager: Any, record: TaskRecord) -> TaskView:
    """Ask until there is an answer."""
    async with asyncio.timeout(PATIENCE_S):
        for _ in count():
            with suppress(RayTaskError):
                view: TaskView = await manager.call.remote("task", OWNER, record.task_id)
                return view
            await asyncio.sleep(0.2)
    raise AssertionError


@pytest.mark.usefixtures("ray_cluster")
async def test_a_cluster_that_is_deployed_later_takes_over_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    """As in an upgrade of a RayService: old and new at once. Twice are at most the requests under way at that moment;
    the old cluster begins nothing again, also when its replica makes a new task manager, until the new one has gone.
    """
    with (
        ProviderProcess(keys=(), latency=Latency(seconds=0.4)) as provider,
        task_manager_site(tmp_path, provider) as site,
    ):
        flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000, "max_in_flight": IN_FLIGHT}
        old = service_config_of(load_service({"store": site.store.root, **flags}))
        new = replace(old, deployment=deployment(time.time() + 60, "new"))
        first, record = cluster(old), site.save(identity_pdf(1, PAGES))
        await first.call.remote("accept", [record])
        view = await first.call.remote("task", OWNER, record.task_id)
        while view.pages_done < 8:
            view = await first.call.remote("changed", OWNER, record.task_id, view.rev, 5.0)
        second = cluster(new)
        await ask_to_the_end(first, record)
        again = cluster(old)
        with pytest.raises(RayTaskError, match="ManagerElsewhereError"):
            await ask_on(again, record)
        assert await again.serves.remote() == ""
        view = await second.call.remote("task", OWNER, record.task_id)
        while not view.state.terminal:
            view = await second.call.remote("changed", OWNER, record.task_id, view.rev, 5.0)
        assert (view.state, view.pages_done) == (TaskState.SUCCESS, PAGES)
        asked = calls(provider)
        assert len(asked) == PAGES
        assert asked.total() <= PAGES + IN_FLIGHT
        await second.rest.remote()
        ray.kill(second)
        assert (await answer_of(again, record)).state is TaskState.SUCCESS
        await again.rest.remote()
        ray.kill(again)

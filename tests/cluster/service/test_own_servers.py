"""A service with model servers of its own: they serve every task, and end with the task manager."""

from __future__ import annotations

import shlex
import sys
from secrets import token_hex
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.cluster.service.task_managers import task_manager_site
from tests.provider import identity_pdf
from tests.servers import stand_in
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ray_cluster")

OURS = f"--of={token_hex(8)}"
COMMAND = [sys.executable, stand_in.__file__, "--model", "{model}", "--host", "{host}", "--port", "{port}", OURS]


def servers() -> list[psutil.Process]:
    """The stand-ins of this test, and their guards."""
    return [each for each in psutil.process_iter(["cmdline"]) if OURS in (each.info["cmdline"] or ())]


async def test_tasks_share_the_servers_of_the_service(tmp_path: Path) -> None:
    """The first one waits until a server answers; none starts another."""
    flags = {"engine": "vllm", "model": "tidy slow", "gpus_per_replica": 0, "server_command": shlex.join(COMMAND)}
    with task_manager_site(tmp_path, replicas="1", gpu_hour_usd=3600.0, **flags) as site:
        texts = set()
        for number in range(2):
            task = await site.submit(identity_pdf(number, 2), max_cost_usd=10_000.0)
            await site.succeeded(task)
            rows = site.store.pages(task)
            assert [(row.status.value, row.engine) for row in rows] == [("ok", "vllm")] * 2
            assert all(row.cost_usd for row in rows)
            texts |= {row.markdown for row in rows}
        assert len(texts) == 1  # it says which process has read it
    until(lambda: not servers(), "the end of the server")

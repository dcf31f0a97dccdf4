"""The service's task manager on the session's Ray, fed by hand, for the tests of this folder."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.nodes import NAMESPACE
from one_ocr_ray.cluster.service.task_client import RemoteTaskManager
from one_ocr_ray.cluster.service.task_manager_start import end_task_manager, task_manager_name
from one_ocr_ray.policy.tasks.task import TaskOptions, TaskRecord, TaskState, TaskView
from one_ocr_ray.settings.service import load_service
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.port import TaskManagerUnavailableError
from one_ocr_ray.tasks.service_config import service_config_of
from tests.faults.network import cut_connections
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.provider import ProviderProcess

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class TaskManagerSite:
    """A task manager, its store, and what an HTTP application would do with them."""

    manager: RemoteTaskManager
    store: TaskStore
    spool: Path

    def save(self, pdf: bytes, *, batch_id: str = "b_1", owner: str = OWNER, **options: Any) -> TaskRecord:
        """An upload as the application stores it."""
        record = TaskRecord(
            task_id=f"t_{token_urlsafe(16)}",
            batch_id=batch_id,
            owner=owner,
            filename="upload.pdf",
            size_bytes=len(pdf),
            document_id="",
            created_at=datetime.now(UTC),
            options=TaskOptions(**options),
        )
        file = self.spool / record.task_id
        file.write_bytes(pdf)
        self.store.save_upload(record.task_id, file)
        self.store.save_record(record)
        return record

    async def submit(self, pdf: bytes, **options: Any) -> str:
        """Store and hand over; gives the task's id."""
        record = self.save(pdf, **options)
        await self.manager.accept([record])
        return record.task_id

    async def until(self, task_id: str, wanted: Callable[[TaskView], bool], owner: str = OWNER) -> TaskView:
        """The first view that is as wanted."""
        rev, give_up_at = -1, time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            try:
                view = await self.manager.changed(owner, task_id, rev, 5.0)
            except TaskManagerUnavailableError:  # it was killed, and this machine is slow
                continue
            assert view is not None, "the task is gone"
            assert view.rev >= rev, "rev fell"
            if wanted(view):
                return view
            rev = view.rev
        raise AssertionError(f"still {view}")

    async def ended(self, task_id: str) -> TaskView:
        """The task when it has ended."""
        return await self.until(task_id, lambda view: view.state.terminal)

    async def succeeded(self, task_id: str) -> TaskView:
        """The same for one that must succeed."""
        view = await self.ended(task_id)
        assert view.state is TaskState.SUCCESS, view
        return view


@contextmanager
def task_manager_site(folder: Path, provider: ProviderProcess | None = None, **flags: Any) -> Iterator[TaskManagerSite]:
    """A task manager over a store in `folder`, which reads with the engine `openai` at `provider`."""
    if provider is not None:
        flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000, **flags}
    settings = load_service({"store": str(folder / "store"), **flags})
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    try:
        yield TaskManagerSite(RemoteTaskManager(service_config_of(settings)), TaskStore(settings.store), spool)
    finally:
        end_task_manager(settings.store)


def task_manager_actor(site: TaskManagerSite) -> Any:
    """The actor itself."""
    return ray.get_actor(task_manager_name(site.store.root), namespace=NAMESPACE)


def cut_off_workers(site: TaskManagerSite) -> None:
    """Cut the connections from the site's task manager to its workers, which live on."""
    workers = [each for each in ray._private.state.actors().values() if each["ActorClassName"] == "TaskWorker"]
    living = [
        each["Pid"] for each in workers if each["State"] == "ALIVE"
    ]  # those of other task managers are not connected
    cuts = [task_manager_actor(site).__ray_call__.remote(partial(_cut_connections, pid=pid)) for pid in living]
    assert sum(ray.get(cuts)), "the task manager has no connection to a worker"


def _cut_connections(_book: object, pid: int) -> int:
    return cut_connections(pid)


def kill(site: TaskManagerSite, victim: str) -> None:
    """kill -9 of the site's task manager, or of every living actor of another class."""
    manager_id = task_manager_actor(site)._actor_id.hex()
    for actor_id, actor in ray._private.state.actors().items():
        mine = actor_id == manager_id if victim == "TaskManagerActor" else actor["ActorClassName"] == victim
        if mine and actor["State"] == "ALIVE":
            os.kill(actor["Pid"], signal.SIGKILL)

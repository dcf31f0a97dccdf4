"""`RemoteTaskManager`: the book as the HTTP application sees it, found by name and found again after its death."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError

from one_ocr_ray.cluster.service.task_manager_start import start_book
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.tasks.task import PageEvent, TaskPage, TaskRecord, TaskState, TaskView
    from one_ocr_ray.tasks.port import Load
    from one_ocr_ray.tasks.service_config import ServiceConfig

# A book that was killed is back in a few seconds; whoever asks meanwhile waits that long before it is an error.
PATIENCE_S = 10.0
LOOK_AGAIN_S = 0.2


class RemoteTaskManager:
    """`tasks.port.TaskManager` over the actor. Every call is safe to repeat, and is repeated while it is away."""

    def __init__(self, service: ServiceConfig) -> None:
        self._service = service
        self._actor: Any = None  # an ActorHandle; its stubs know no methods
        self._finding = asyncio.Lock()
        self._met = False

    async def accept(self, records: Sequence[TaskRecord]) -> None:
        await self._ask("accept", records)

    async def task(self, owner: str, task_id: str) -> TaskView | None:
        view: TaskView | None = await self._ask("task", owner, task_id)
        return view

    async def changed(self, owner: str, task_id: str, rev: int, wait_s: float) -> TaskView | None:
        view: TaskView | None = await self._ask("changed", owner, task_id, rev, wait_s)
        return view

    async def events(self, owner: str, task_id: str, rev: int, wait_s: float) -> tuple[TaskView, tuple[PageEvent, ...]]:
        told: tuple[TaskView, tuple[PageEvent, ...]] = await self._ask("events", owner, task_id, rev, wait_s)
        return told

    async def tasks(
        self, owner: str, state: TaskState | None, batch_id: str | None, limit: int, cursor: str
    ) -> TaskPage:
        page: TaskPage = await self._ask("tasks", owner, state, batch_id, limit, cursor)
        return page

    async def retry(self, owner: str, task_id: str, pages: Sequence[int] | None) -> TaskView | None:
        view: TaskView | None = await self._ask("retry", owner, task_id, pages)
        return view

    async def cancel(self, owner: str, task_id: str) -> TaskView | None:
        view: TaskView | None = await self._ask("cancel", owner, task_id)
        return view

    async def delete(self, owner: str, task_id: str) -> bool:
        return bool(await self._ask("delete", owner, task_id))

    async def load(self) -> Load:
        load: Load = await self._ask("load")
        return load

    async def _ask(self, method: str, *arguments: Any) -> Any:
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                actor = self._actor or await self._found()
                return await getattr(actor, method).remote(*arguments)
            except RayTaskError as error:
                if isinstance(error.cause, KeyError | ValueError):
                    raise error.cause from None
                raise TaskManagerUnavailableError from error
            except RayActorError as error:
                if isinstance(error, ActorDiedError):  # for good: by hand, or with its cluster's memory of it
                    self._actor = None
                if time.monotonic() > give_up_at:
                    raise TaskManagerUnavailableError from error
            except RayError as error:
                raise TaskManagerUnavailableError from error
            await asyncio.sleep(LOOK_AGAIN_S)  # it is restarting: the same handle will work again

    async def _found(self) -> Any:
        async with self._finding:
            if self._actor is None:
                # Only at first: a replica of the settings before must not put the new book away again.
                self._actor = await asyncio.to_thread(start_book, self._service, replace=not self._met)
                self._met = True
            return self._actor

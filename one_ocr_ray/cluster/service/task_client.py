"""`RemoteTaskManager`: finds the task manager's actor by name, again after its death, and calls it."""

from __future__ import annotations

import asyncio
import time
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError

from one_ocr_ray.cluster.service.task_manager_start import start_task_manager
from one_ocr_ray.tasks.port import TaskManagerUnavailableError

if TYPE_CHECKING:
    from one_ocr_ray.tasks.service_config import ServiceConfig

# An actor that was killed is back in a few seconds. A call waits so long before it is an error.
PATIENCE_S = 10.0
LOOK_AGAIN_S = 0.2


class RemoteTaskManager:
    """`tasks.port.TaskManager` over the actor. Calls are safe to repeat, and are repeated while it is away."""

    def __init__(self, service: ServiceConfig) -> None:
        self._service = service
        self._actor: Any = None  # an ActorHandle; its stubs know no methods
        self._finding = asyncio.Lock()
        self._was_found = False

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the actor; while it restarts, call again."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with self._finding:
                    if self._actor is None:
                        # Only at first: a replica with old settings must not end the new task manager.
                        replace, self._was_found = not self._was_found, True
                        self._actor = await asyncio.to_thread(start_task_manager, self._service, replace=replace)
                    actor = self._actor
                return await actor.call.remote(method, *arguments)
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

    accept = partialmethod(call, "accept")
    task = partialmethod(call, "task")
    changed = partialmethod(call, "changed")
    events = partialmethod(call, "events")
    tasks = partialmethod(call, "tasks")
    retry = partialmethod(call, "retry")
    cancel = partialmethod(call, "cancel")
    delete = partialmethod(call, "delete")
    load = partialmethod(call, "load")

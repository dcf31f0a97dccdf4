"""`Callbacks` delivers the ends of tasks to their callbacks' hosts, through failures and restarts.

What is not delivered yet stands in the state of its task (`StoredTask.undelivered`), so it outlives the process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from one_ocr_ray import environment
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.tasks.callback import callback_fault, is_given_up, wait_s
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.tasks.callback_post import post

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.settings.service import ServiceSettings
    from one_ocr_ray.tasks.lifecycle import TaskLifecycle
    from one_ocr_ray.tasks.registry import TaskEntry

log = logging.getLogger(__name__)

POSTS_AT_ONCE = 16  # a server that hangs holds up no other owner's


class Callbacks:
    """For the coroutines of one event loop. `body` makes the body of a POST from a task that ended."""

    def __init__(self, lifecycle: TaskLifecycle, settings: ServiceSettings, body: Callable[[TaskView], bytes]) -> None:
        self._lifecycle = lifecycle
        self._settings = settings
        self._body = body
        self._posts = FairSemaphore(POSTS_AT_ONCE, shared=True)
        self._delivering: dict[str, asyncio.Task[None]] = {}
        lifecycle.on_end = self.deliver

    def deliver_all(self) -> None:
        """Deliver the ends of all tasks that are not delivered yet."""
        for entry in self._lifecycle.table.entries():
            self.deliver(entry)

    def deliver(self, entry: TaskEntry) -> None:
        """Deliver the ends of a task that are not delivered yet. What fails is tried again later."""
        task_id = entry.view.record.task_id
        if entry.undelivered and task_id not in self._delivering:
            delivering = asyncio.get_running_loop().create_task(self._deliver(entry))
            self._delivering[task_id] = delivering
            delivering.add_done_callback(lambda _: self._delivering.pop(task_id))

    async def _deliver(self, entry: TaskEntry) -> None:
        failures = 0
        while entry.undelivered and not entry.deleted and not entry.erased:
            view = entry.undelivered[0]
            why = await self._post(view)
            if why is None or is_given_up(view.finished_at, datetime.now(UTC)):
                if why is not None:
                    log.warning("the callback of task %s is given up: %s", view.record.task_id, why)
                failures = 0
                await self._lifecycle.delivered(entry, view)
                continue
            failures += 1
            log.info("the callback of task %s has failed %d times: %s", view.record.task_id, failures, why)
            await asyncio.sleep(wait_s(failures, random.random()))  # noqa: S311 - no secret

    async def _post(self, view: TaskView) -> str | None:
        """Why the host does not know yet, None if it does. The settings may have changed since the upload."""
        url = view.record.options.callback_url or ""
        fault = callback_fault(url, self._settings.callback_hosts)
        if fault is not None:
            return fault
        try:
            secret = environment.callback_secret()
        except UsageError as error:
            return str(error)
        async with self._posts.turn(view.record.owner):
            return await post(
                url, self._body(view), secret.get_secret_value().encode(), private_too=self._settings.callback_private
            )

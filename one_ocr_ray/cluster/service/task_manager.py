"""`TaskManagerActor`: the detached actor that knows every task of one store and has them read.

It may die at any moment: what it knows is rebuilt from the store at its start. Its workers and OCR engines die with it;
pages that they had finished are in the journals and are not read again. A store has one task manager, that of the
service deployed last (`storage/tasks/manager_lease.py`). The one before it ends its work and exits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.metrics import show_tasks
from one_ocr_ray.cluster.service.task_dispatcher import TaskDispatcher
from one_ocr_ray.errors import OneOcrError, StorageError, StoreInUseError
from one_ocr_ray.policy.tasks.expiry import trusted_time
from one_ocr_ray.service.api.schemas import status_body
from one_ocr_ray.storage.tasks.manager_lease import ManagerLease
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.callbacks import Callbacks
from one_ocr_ray.tasks.lifecycle import TaskLifecycle
from one_ocr_ray.tasks.manager import LocalTaskManager
from one_ocr_ray.tasks.service_config import identity_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from one_ocr_ray.tasks.service_config import ServiceConfig

log = logging.getLogger(__name__)

CALLS_AT_ONCE = 20_000  # status requests and event streams wait here
SHOW_EVERY_S = 5.0
SWEEP_EVERY_S = 60.0
CLAIMS_EVERY_SWEEPS = 60
EVENTS_KEPT_FOR = timedelta(minutes=10)  # in memory, after the end of their task
ENTRIES_AT_ONCE = 1000  # of a sweep; then requests have their turn
ORPHAN_SWEEPS = 60  # an upload whose record never came is removed after an hour
START_AGAIN_S = 1.0
REST_WITHIN_S = 8.0
READY_WITHIN_S = 30.0  # then the caller is told to come back


class ManagerElsewhereError(OneOcrError):
    """Another service has the store; the caller is told to come back."""


class TaskManagerActor:
    """Actor body around a `LocalTaskManager`."""

    def __init__(self, service: ServiceConfig) -> None:
        self._service = service
        self._store = TaskStore(service.settings.store)
        self._lifecycle = TaskLifecycle(self._store, timedelta(days=service.settings.expiry_days))
        self._registry = self._lifecycle.table
        self._callbacks = Callbacks(self._lifecycle, service.settings, status_body)
        self._dispatcher: TaskDispatcher | None = None
        self._lease = ManagerLease(self._store.root, service.deployment)
        self._elsewhere = False  # another service has the store
        self._sweeps = 0
        self._last_look: tuple[datetime, float] | None = None  # the time that was believed, and the monotonic clock
        self._orphans: dict[str, int] = {}  # sweeps that have seen them
        self._loop = asyncio.get_running_loop()
        self._ending: Future[None] | None = None
        self._started = self._loop.create_task(self._start())
        self._upkeep = self._loop.create_task(self._keep_up())

    async def serves(self) -> str:
        """The `identity_of` the service that it serves; empty while another service has the store."""
        return "" if self._elsewhere else identity_of(self._service)

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `tasks.port.TaskManager`, once the tasks are known."""
        return await getattr(await self._ready(), method)(*arguments)

    async def rest(self) -> None:
        """End all work for now. The tasks go on with the next task manager."""
        if self._dispatcher is not None and self._started.done():
            await self._dispatcher.rest()
        await asyncio.to_thread(self._lease.release)

    async def _end(self, lease: ManagerLease) -> None:
        while not self._started.done():
            if lease is not self._lease:  # it was still waiting for its own turn, and has noticed
                return
            await asyncio.sleep(START_AGAIN_S)
        log.warning("a service that was deployed later has this store now; this one ends")
        self._elsewhere = True
        try:
            async with asyncio.timeout(REST_WITHIN_S):
                await self.rest()
        finally:
            ray.kill(ray.get_runtime_context().current_actor)

    async def sweep(self) -> None:
        """Remove what has expired, and take up tasks that were stored and never handed over."""
        now = await self._believed_now()
        for number, entry in enumerate(self._registry.entries()):
            if number % ENTRIES_AT_ONCE == 0:
                await asyncio.sleep(0)
            expires_at, finished_at = entry.view.expires_at, entry.view.finished_at
            try:
                if expires_at is not None and expires_at <= now:
                    await self._lifecycle.expire(entry, now)
            except StorageError as error:
                log.warning("task %s cannot be removed yet: %s", entry.view.record.task_id, error)
            if finished_at is not None and finished_at + EVENTS_KEPT_FOR < now:
                entry.events = None
        manager = await self._ready()
        deleting = set(manager.deleting)
        stored = await asyncio.to_thread(self._store.task_ids)
        # Take up tasks that a process stored and, for it died, never handed over.
        entries, nameless = await asyncio.to_thread(
            self._lifecycle.look_up, (stored - self._registry.ids() - deleting - manager.deleting)
        )
        (await self._ready()).adopt(entries)
        self._orphans = {task_id: self._orphans.get(task_id, 0) + 1 for task_id in nameless}
        for task_id, sweeps in self._orphans.items():
            if sweeps > ORPHAN_SWEEPS:
                await asyncio.to_thread(self._store.delete, task_id)
        if self._sweeps % CLAIMS_EVERY_SWEEPS == 0:
            await asyncio.to_thread(self._store.sweep_claims, now)
        self._callbacks.deliver_all()
        if not manager.deleting:  # they are open, and in no list
            await asyncio.to_thread(self._lifecycle.add_up_usage, now.date())
        self._sweeps += 1

    async def _believed_now(self) -> datetime:
        """The time to expire tasks by. It is kept in the store for the next task manager."""
        now, monotonic_s = datetime.now(UTC), time.monotonic()
        if self._last_look is None:
            kept = await asyncio.to_thread(self._store.clock)
            self._last_look = (kept if kept is not None else now), monotonic_s
        last, last_s = self._last_look
        now = trusted_time(last, now, monotonic_s - last_s)
        self._last_look = now, monotonic_s
        await asyncio.to_thread(self._store.keep_clock, now)
        return now

    async def _ready(self) -> LocalTaskManager:
        async with asyncio.timeout(READY_WITHIN_S):
            while not (self._elsewhere or self._started.done()):
                await asyncio.wait({self._started}, timeout=START_AGAIN_S)
        if self._elsewhere:
            raise ManagerElsewhereError
        return await self._started

    async def _start(self) -> LocalTaskManager:
        while True:
            try:
                generation = self._lease.generation or await self._begin()
                if self._dispatcher is None:  # made once: a store that is away must not cost processes at each look
                    self._dispatcher = TaskDispatcher(self._service, self._lifecycle)
                self._dispatcher.take(await asyncio.to_thread(self._lifecycle.recover, generation))
            except OneOcrError as error:  # a store that is away, a cluster without CPUs yet
                log.warning("the task manager cannot start yet: %s", error)
            except Exception:
                log.exception("the task manager cannot start")
            else:
                self._callbacks.deliver_all()
                return LocalTaskManager(self._lifecycle, self._dispatcher)
            await asyncio.sleep(START_AGAIN_S)

    async def _begin(self) -> int:
        """Take the store, once no other task manager is at work; gives the generation."""
        lease = self._lease

        def on_lost() -> None:  # in a thread; the task manager of a later deployment waits
            self._ending = asyncio.run_coroutine_threadsafe(self._end(lease), self._loop)

        try:
            generation = await asyncio.to_thread(lease.take, on_lost)
        except OneOcrError as error:
            self._elsewhere = isinstance(error, StoreInUseError)
            self._lease = ManagerLease(self._store.root, self._service.deployment)
            await asyncio.to_thread(lease.release)
            raise
        self._elsewhere = False
        return generation

    async def _keep_up(self) -> None:
        await asyncio.shield(self._started)
        next_sweep = SWEEP_EVERY_S
        while True:
            await asyncio.sleep(SHOW_EVERY_S)
            show_tasks(self._registry.by_state())
            next_sweep -= SHOW_EVERY_S
            if next_sweep <= 0:
                next_sweep = SWEEP_EVERY_S
                try:
                    await self.sweep()
                except StorageError as error:
                    log.warning("the sweep was cut short: %s", error)
                except Exception:  # the next one may come further
                    log.exception("the sweep was cut short")

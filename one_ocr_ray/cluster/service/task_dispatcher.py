"""`TaskDispatcher`: the book's workers, and how a task is handed to one of them and followed to its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.engine_pool import start_readers
from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.service.key_budget import start_key_budgets
from one_ocr_ray.cluster.service.task_worker import INTERNAL, ONLINE_CPUS, TASKS_AT_ONCE, start_task_workers
from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.tasks.transitions import TaskResult
from one_ocr_ray.tasks.fair_semaphore import FairSemaphore
from one_ocr_ray.tasks.service_config import TaskAssignment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.tasks.lifecycle import TaskLifecycle
    from one_ocr_ray.tasks.registry import TaskEntry
    from one_ocr_ray.tasks.service_config import ServiceConfig

log = logging.getLogger(__name__)

# Deaths of its worker in a row, without one more page; beyond it the fault lies with the document.
DEATHS = 5
RESTART_S = 1.0
PUT_OFF_S = (1.0, 60.0)  # at first and at most, while storage fails
STOP_WITHIN_S = 5.0
LOOK_AGAIN_S = 0.2


class TaskDispatcher:
    """For the coroutines of one event loop. Workers and readers end with the process."""

    def __init__(self, service: ServiceConfig, keeper: TaskLifecycle) -> None:
        self._keeper = keeper
        nodes = working_nodes()
        readers = (
            start_readers(nodes, f"service-{token_hex(3)}", cpus=ONLINE_CPUS) if "local" in service.engines else {}
        )
        self._readers = readers  # held: an actor ends with its last handle
        self._key_budgets = start_key_budgets(service.settings)
        self._workers: list[Any] = list(start_task_workers(service, nodes, list(readers), self._key_budgets))
        for worker in self._workers:
            worker.warm.remote()
        self._busy = [0] * len(self._workers)
        self._resting = False
        self._turns = FairSemaphore(TASKS_AT_ONCE * len(self._workers), shared=True)

    def take(self, entries: Iterable[TaskEntry]) -> None:
        """Have tasks read, whenever their turn comes."""
        for entry in entries:
            entry.work = asyncio.get_running_loop().create_task(self._tend(entry))

    async def stop(self, entry: TaskEntry) -> None:
        """End the work of a task that was cancelled or deleted; returns when nothing of it is under way."""
        while entry.work is not None and not entry.work.done():
            if entry.worker is not None:
                await self._stop_on(self._workers[entry.worker], entry.view.record.task_id)
            elif entry.reading is not None:  # it waits for its turn, or for a better time
                entry.reading.cancel()
            await asyncio.wait([entry.work], timeout=LOOK_AGAIN_S)

    async def rest(self) -> None:
        """End all work for now; returns when every finished page is safe. The tasks stay as they are."""
        self._resting = True
        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await asyncio.gather(*(worker.cancel_all.remote() for worker in self._workers))

    async def _stop_on(self, worker: Any, task_id: str) -> None:
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await worker.cancel.remote(task_id)
        except RayError:
            pass  # it has died, and its work with it
        except TimeoutError:
            ray.kill(worker, no_restart=False)

    async def _tend(self, entry: TaskEntry) -> None:
        entry.reading = asyncio.create_task(self._read_in_turn(entry))
        await asyncio.wait([entry.reading])
        if self._resting:
            return
        if entry.reading.cancelled():
            end = TaskResult(cancelled=True)
        elif (error := entry.reading.exception()) is not None:
            log.error("task %s", entry.view.record.task_id, exc_info=error)
            end = TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, INTERNAL))
        else:
            end = entry.reading.result()
        await self._keeper.end(entry, end)

    async def _read_in_turn(self, entry: TaskEntry) -> TaskResult:
        async with self._turns.turn(entry.view.record.owner):
            return await self._read(entry)

    async def _read(self, entry: TaskEntry) -> TaskResult:
        """Hand the task out until it is read, through deaths of workers and failures of storage."""
        deaths, pages_done = 0, entry.view.pages_done
        wait_s, at_most_s = PUT_OFF_S
        while deaths < DEATHS:
            end = await self._follow(entry)
            if entry.cancelled or entry.deleted:
                return end or TaskResult(cancelled=True)
            if end is not None and not end.put_off:
                return end
            if end is not None:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, at_most_s)
                continue
            deaths = 0 if entry.view.pages_done > pages_done else deaths + 1
            pages_done = entry.view.pages_done
            await asyncio.sleep(RESTART_S)
        return TaskResult(
            failure=Failure(ErrorCode.RENDER_CRASHED, f"The worker died {DEATHS} times on this document.")
        )

    async def _follow(self, entry: TaskEntry) -> TaskResult | None:
        """One attempt on one worker; None: it died."""
        number = entry.worker = min(range(len(self._workers)), key=self._busy.__getitem__)
        self._busy[number] += 1
        try:
            order = TaskAssignment(entry.view.record, entry.retry)
            stream = self._workers[number].read_task.options(num_returns="streaming").remote(order)
            async for ref in stream:
                told = await ref  # a lost worker comes as one more reference that raises here
                if isinstance(told, TaskResult):
                    return told
                self._keeper.note(entry, told)
        except RayError as error:
            log.warning("the worker of task %s is lost: %s", entry.view.record.task_id, type(error).__name__)
            # Only the way to it may have been cut: it would go on, beside whoever reads the task next.
            await self._stop_on(self._workers[number], entry.view.record.task_id)
        finally:
            self._busy[number] -= 1
            entry.worker = None
        return None

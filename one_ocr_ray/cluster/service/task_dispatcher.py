"""`TaskDispatcher` hands tasks to workers, owner by owner, and keeps what became of each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError

from one_ocr_ray.cluster.engine_pool import start_readers
from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.servers.own import OwnServers
from one_ocr_ray.cluster.service.key_budget import start_key_budgets
from one_ocr_ray.cluster.service.task_worker import CALLS_AT_ONCE, INTERNAL, ONLINE_CPUS, TASKS_AT_ONCE, TaskWorker
from one_ocr_ray.cluster.worker import start_worker
from one_ocr_ray.cluster.worker_pool import WorkerLostError, WorkerPool
from one_ocr_ray.cluster.worker_scaler import GROW_S, NO_NODE, WorkerScaler
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.tasks.transitions import TaskResult, TaskUpdate
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.setup.languages import line_models_of
from one_ocr_ray.setup.servers import VLLM
from one_ocr_ray.tasks.service_config import TaskAssignment, has_embedded_engine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.tasks.lifecycle import TaskLifecycle
    from one_ocr_ray.tasks.registry import TaskEntry
    from one_ocr_ray.tasks.service_config import ServiceConfig

log = logging.getLogger(__name__)

PUT_OFF_S = (1.0, 60.0)  # at first and at most, while storage fails
STOP_WITHIN_S = 5.0
LOOK_AGAIN_S = 0.2


class TaskDispatcher:
    """For the coroutines of one event loop. Its actors end with the process."""

    def __init__(self, service: ServiceConfig, lifecycle: TaskLifecycle) -> None:
        """Start workers, one on each node or as many as set, and `--engine vllm`'s servers.

        Raises UsageError when no node offers CPUs, or there is no place for the servers.
        """
        nodes = working_nodes()
        if not nodes:
            raise UsageError(NO_NODE)
        self._service = service
        self._lifecycle = lifecycle
        setup = service.engines.get(VLLM)
        self._servers: OwnServers | None = None
        if setup is not None:
            self._servers = OwnServers(service.settings, setup, log.info, log.error, gives_up=False)
        self._resting = False
        self._id = token_hex(3)
        self._key_budgets = start_key_budgets(service.settings)
        self._workers_at_start = min(service.settings.workers or len(nodes), service.settings.max_in_flight)
        readers = self._start_readers(nodes)
        spread = [nodes[number % len(nodes)] for number in range(self._workers_at_start)]
        workers: list[Any] = [self._start_worker(node, readers) for node in spread]
        for worker in workers:
            worker.check_engine.remote(False)
        self._pool = WorkerPool(workers)
        self._actors: list[ActorHandle[Any]] = list(readers.values())  # held: an actor ends with its last handle
        self._turns = FairSemaphore(TASKS_AT_ONCE * len(workers), shared=True)

        def start_on(node: Node, _number: int) -> list[ActorHandle[Any]]:
            own = self._start_readers([node])
            return [self._start_worker(node, own), *own.values()]

        if not service.settings.workers:
            scaler = WorkerScaler(nodes, len(workers), start_on, self._actors)
            self._growing = asyncio.get_running_loop().create_task(self._grow(scaler))
        if self._servers is not None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_of_servers(self._servers))

    def take(self, entries: Iterable[TaskEntry]) -> None:
        """Have tasks read, whenever their turn comes."""
        for entry in entries:
            entry.is_ending = False
            entry.work = asyncio.get_running_loop().create_task(self._read(entry))

    async def stop(self, entry: TaskEntry) -> None:
        """End the work of a task that was cancelled or deleted. Returns when nothing of it is under way."""
        while entry.work is not None and not entry.work.done():
            if not await self._pool.cancel(entry.view.record.task_id) and not entry.is_ending:
                entry.work.cancel()  # it waits for its turn, for a worker, or for storage
            await asyncio.wait([entry.work], timeout=LOOK_AGAIN_S)

    async def rest(self) -> None:
        """End all work for now. Returns when every finished page is safe; the tasks stay as they are."""
        self._resting = True
        await self._pool.stop(0.0, STOP_WITHIN_S)
        if self._servers is not None:  # a guard ends what is not ended before the process is
            await asyncio.to_thread(self._servers.end)

    async def _read(self, entry: TaskEntry) -> None:
        """Have a task read, despite dying workers and failing storage, and keep its result."""

        def take_message(_worker: int, message: TaskUpdate | TaskResult) -> int:
            if isinstance(message, TaskUpdate):
                self._lifecycle.note(entry, message)
            return entry.view.pages_done

        wait_s, at_most_s = PUT_OFF_S
        try:
            async with self._turns.turn(entry.view.record.owner):
                while True:
                    assignment = TaskAssignment(entry.view.record, entry.retry)
                    result = await self._pool.read(assignment, take_message, pages_done=entry.view.pages_done)
                    if not result.put_off or entry.cancelled or entry.deleted:
                        break
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, at_most_s)
        except asyncio.CancelledError:
            result = TaskResult(cancelled=True)
        except WorkerLostError as error:
            result = TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, str(error)))
        except Exception:
            log.exception("task %s", entry.view.record.task_id)
            result = TaskResult(failure=Failure(ErrorCode.RENDER_CRASHED, INTERNAL))
        entry.is_ending = True
        if not self._resting:
            await self._lifecycle.end(entry, result)

    async def _grow(self, scaler: WorkerScaler) -> None:
        """Take in workers on nodes that join."""
        while True:
            await asyncio.sleep(GROW_S)
            for worker in await scaler.workers_on_new_nodes():
                self._pool.workers.append(worker)
                self._turns.grow(TASKS_AT_ONCE)

    async def _tell_of_servers(self, servers: OwnServers) -> None:
        """Keep the workers informed of own servers. Have as many of these as the load is worth."""
        while True:
            await asyncio.sleep(GROW_S)
            has_work = self._lifecycle.table.load()[0] > 0
            with suppress(RayError):  # the cluster's head is being replaced
                await asyncio.to_thread(servers.look_at_load, has_work=has_work)
            for worker in self._pool.workers:
                worker.reach.remote(VLLM, servers.endpoints)

    def _start_readers(self, nodes: list[Node]) -> dict[str, ActorHandle[Any]]:
        if not has_embedded_engine(self._service):
            return {}
        models = line_models_of(self._service.settings)
        return start_readers(nodes, f"service-{self._id}", models, cpus=ONLINE_CPUS)

    def _start_worker(self, node: Node, readers: Iterable[str]) -> ActorHandle[Any]:
        arguments = (self._service, list(readers), self._workers_at_start, node, self._key_budgets)
        return start_worker(TaskWorker, node, *arguments, calls_at_once=CALLS_AT_ONCE)

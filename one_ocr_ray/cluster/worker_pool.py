"""`WorkerPool` hands work to workers, follows it, and goes on after their deaths."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from one_ocr_ray.cluster.nodes import cause_of
from one_ocr_ray.errors import OneOcrError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from one_ocr_ray.cluster.worker import Assignment

# Deaths of workers in a row without one more finished page. Beyond it the fault lies with what they read.
DEATHS = 5
RESTART_S = 1.0
# How long work waits while no worker answers: for one to restart, or for a node to replace the last one.
NO_WORKER_S = 900.0
ANSWER_S = 10.0
CANCEL_WITHIN_S = 5.0


class WorkerLostError(OneOcrError):
    """The workers that read this died, one after the other."""


class WorkerPool:
    """For the coroutines of one event loop. Workers may join at any time."""

    def __init__(self, workers: Iterable[Any]) -> None:
        self.workers = list(workers)  # Ray's stubs do not follow methods of actors
        self._busy: Counter[int] = Counter()  # assignments by worker
        self._reader: dict[str, int] = {}  # the worker that reads an assignment now
        self._next = count()  # spreads the work of a dead worker over the others

    async def read(
        self,
        assignment: Assignment,
        on_message: Callable[[int, Any], int],
        *,
        worker: int | None = None,
        pages_done: int = 0,
    ) -> Any:
        """Have `assignment` read, by `worker` or the least busy one. Gives its result, the last message.

        `on_message` gets the worker's number and each message, and says how many pages are done by then. When a
        worker is lost, it is asked again first: perhaps only the connection was, and then it still reads. Raises what
        the worker raised, WorkerLostError when workers keep dying, and StoppedError when there is none for long.
        """
        deaths, message = 0, None
        number = min(range(len(self.workers)), key=self._busy.__getitem__) if worker is None else worker
        while True:
            self._busy[number] += 1
            self._reader[assignment.key] = number
            try:
                async for ref in self.workers[number].read.options(num_returns="streaming").remote(assignment):
                    message = await ref  # a lost worker comes as one more reference, which raises here
                    if (pages := on_message(number, message)) > pages_done:
                        deaths, pages_done = 0, pages
            except RayTaskError as error:
                raise cause_of(error) from None
            except RayError as error:
                deaths += 1
                if deaths == DEATHS:
                    raise WorkerLostError(f"The worker died {DEATHS} times on {assignment.name}.") from error
            else:
                return message
            finally:
                self._busy[number] -= 1
                self._reader.pop(assignment.key, None)
            await asyncio.sleep(RESTART_S)
            number = await self._living_worker(number)

    async def cancel(self, key: str) -> bool:
        """End the work on an assignment. False when no worker reads it now; it may still wait for one."""
        if key not in self._reader:
            return False
        worker = self.workers[self._reader[key]]
        try:
            async with asyncio.timeout(CANCEL_WITHIN_S):
                await worker.cancel.remote(key)
        except RayError:
            pass  # it has died, and its work with it
        except TimeoutError:
            ray.kill(worker, no_restart=False)
        return True

    async def stop(self, wait_s: float, safe_s: float) -> list[tuple[int, Any]]:
        """Stop all workers. Gives what those that ended within `wait_s + safe_s` have to say, by number."""
        stops = [asyncio.ensure_future(_answer(worker.stop.remote(wait_s))) for worker in self.workers]
        if stops:
            await asyncio.wait(stops, timeout=wait_s + safe_s)
        ended = {n: stop for n, stop in enumerate(stops) if stop.done() and stop.exception() is None}
        return [(number, stop.result()) for number, stop in ended.items()]

    async def _living_worker(self, first: int) -> int:
        """Worker `first`, or else one that answers. One that lives and is silent is restarted: it may still read."""
        deadline_s = time.monotonic() + NO_WORKER_S
        while time.monotonic() < deadline_s:
            others = (next(self._next) % len(self.workers) for _ in self.workers)
            for number in chain([first], others):
                with suppress(RayActorError):
                    try:
                        await asyncio.wait_for(_answer(self.workers[number].__ray_ready__.remote()), ANSWER_S)
                    except TimeoutError:
                        if number == first:
                            ray.kill(self.workers[number], no_restart=False)
                    else:
                        return number
            await asyncio.sleep(RESTART_S)
        raise StoppedError("No node of the cluster has a worker any more. The same command resumes.")


async def _answer(ref: Any) -> Any:
    return await ref

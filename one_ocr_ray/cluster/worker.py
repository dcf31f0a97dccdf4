"""The base of worker actors: each assignment is read once, as a stream, and ended.

All calls of an actor share one event loop; a concurrency group would have a loop of its own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import ray

from one_ocr_ray.cluster.metrics import count_documents, count_page
from one_ocr_ray.cluster.nodes import PLACEMENT_BYTES
from one_ocr_ray.reading.route.reader import saved_usd
from one_ocr_ray.reading.shard_reader import ShardObserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.model import DocumentResult, PageResult
    from one_ocr_ray.reading.route.reader import Reader


class Assignment(Protocol):
    """Work for a worker: a shard of a run, or a task of the service."""

    @property
    def key(self) -> str:
        """What tells it from other work of the same pool."""

    @property
    def name(self) -> str:
        """What the user is told that it is."""


A = TypeVar("A", bound=Assignment)


class WorkProgress(ShardObserver, ABC):
    """What there is to tell of one assignment while it is read. Counts its pages and documents for the metrics.

    `every_s` is the least time between two updates. With `tick_s` one comes also when nothing happens.
    """

    every_s: float = 0.0
    tick_s: float | None = None

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.stream: object = None  # the newest that tells it
        self.readers: Sequence[Reader] = ()  # of the route, once they are known

    @abstractmethod
    def update(self) -> Any:
        """What is new since the last update."""

    def saved_usd(self, page: PageResult) -> float | None:
        """What `page` has cost less than at the last reader of the route. None where that is unknown."""
        return saved_usd(page, self.readers) if self.readers else None

    def finished(self, page: PageResult) -> None:
        count_page(page, self.saved_usd(page))

    def committed(self, documents: Sequence[DocumentResult]) -> None:
        count_documents(documents)


class Worker(ABC, Generic[A]):
    """Base of the actor bodies. `read` streams what becomes of an assignment; the last message is its result."""

    def __init__(self) -> None:
        self._work: dict[str, tuple[asyncio.Task[Any], WorkProgress]] = {}  # by key, until it has ended

    async def read(self, assignment: A) -> AsyncIterator[Any]:
        """Read an assignment. A caller that lost its way here and asks again follows the work that is under way."""
        key = assignment.key
        if key not in self._work:
            progress = self._progress(assignment)
            work = asyncio.create_task(self._read(assignment, progress))
            self._work[key] = work, progress
            work.add_done_callback(lambda _: self._work.pop(key))
        work, progress = self._work[key]
        work.add_done_callback(lambda _: progress.changed.set())
        stream = progress.stream = object()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(progress.tick_s):
                    await progress.changed.wait()
            if progress.stream is not stream:
                return  # nobody listens here any more
            if work.done():
                yield self._result(work, progress)
                return
            progress.changed.clear()
            yield progress.update()
            await asyncio.wait([work], timeout=progress.every_s)

    async def cancel(self, key: str) -> None:
        """End the work on an assignment. Returns when its finished pages are safe and nothing of it is under way."""
        if key in self._work:
            work, _ = self._work[key]
            work.cancel()
            await asyncio.wait([work])

    @abstractmethod
    async def check_engine(self, ask_provider: bool) -> Any:
        """Find out whether this node has what the engine needs. Raises UsageError for a missing key."""

    @abstractmethod
    async def stop(self, wait_s: float) -> Any:
        """Send no more requests, and give those under way `wait_s`. Returns when every finished page is safe."""

    @abstractmethod
    def _progress(self, assignment: A) -> WorkProgress:
        """What will be told of `assignment`."""

    @abstractmethod
    async def _read(self, assignment: A, progress: Any) -> Any:
        """Read `assignment`; gives its result."""

    def _result(self, work: asyncio.Task[Any], progress: Any) -> Any:
        return work.result()


def start_worker(
    kind: type[Worker[Any]], node: Node, *arguments: Any, calls_at_once: int, name: str | None = None
) -> ActorHandle[Any]:
    """One worker on `node`, or elsewhere once that is gone. It takes no CPU: it waits most of the time."""
    actor: Any = ray.remote(kind)
    started: ActorHandle[Any] = actor.options(
        name=name,
        num_cpus=0,
        memory=PLACEMENT_BYTES,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=calls_at_once,
        scheduling_strategy=node.here,
    ).remote(*arguments)
    return started

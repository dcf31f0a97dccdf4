"""The pool of workers on a real Ray: work that is followed, asked for again, cancelled, and that kills its workers."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import pytest

from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.worker import Worker, WorkProgress, start_worker
from one_ocr_ray.cluster.worker_pool import WorkerLostError, WorkerPool
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("ray_cluster")


@dataclass(frozen=True, slots=True)
class Count:
    """Work that counts to `most`, or kills its worker at `dies_at`."""

    key: str
    most: int
    dies_at: int | None = None

    @property
    def name(self) -> str:
        return f"count {self.key}"


class Counted(WorkProgress):
    """How far one count is."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def update(self) -> int:
        return self.number


class Counter(Worker[Count]):
    """Counts twenty times a second; gives how often work was begun by its process."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = 0

    async def check_engine(self, ask_provider: bool) -> None:
        pass

    async def stop(self, wait_s: float) -> str:
        return "stopped"

    def _progress(self, assignment: Count) -> Counted:
        return Counted()

    async def _read(self, assignment: Count, progress: Counted) -> int:
        self._begun += 1
        while progress.number < assignment.most:
            await asyncio.sleep(0.05)
            progress.number += 1
            progress.changed.set()
            if progress.number == assignment.dies_at:
                await asyncio.sleep(0.2)  # for the update to go out
                os._exit(1)
        return self._begun

    def _result(self, work: asyncio.Task[int], progress: Counted) -> Any:
        return "cancelled" if work.cancelled() else ("begun", work.result())


@pytest.fixture
def pool() -> WorkerPool:
    """One worker."""
    return WorkerPool([start_worker(Counter, working_nodes()[0], calls_at_once=10)])


def number_of(_worker: int, message: Any) -> int:
    return message if isinstance(message, int) else 0


async def test_whoever_asks_again_follows_the_work_that_is_under_way(pool: WorkerPool) -> None:
    """A second reader of the same key gets the result of the first one's work."""
    begun = asyncio.Event()

    def hear(worker: int, message: Any) -> int:
        begun.set()
        return number_of(worker, message)

    first = asyncio.create_task(pool.read(Count("a", 100), hear))
    await begun.wait()
    assert await pool.read(Count("a", 100), number_of) == ("begun", 1)
    await first


async def test_cancelled_work_ends_and_the_pool_goes_on(pool: WorkerPool) -> None:
    """Its last message says so. What no worker has in hand cannot be cancelled there."""
    told = asyncio.Event()

    def tell(_worker: int, message: Any) -> int:
        told.set()
        return number_of(_worker, message)

    work = asyncio.create_task(pool.read(Count("a", 10_000), tell))
    await told.wait()
    assert await pool.cancel("a")
    assert await work == "cancelled"
    assert not await pool.cancel("a")
    assert await pool.stop(0.0, PATIENCE_S) == [(0, "stopped")]


async def test_work_that_kills_its_worker_again_and_again_fails(pool: WorkerPool) -> None:
    """Five deaths in a row without more of it done, whatever was done at first."""
    with pytest.raises(WorkerLostError, match="died 5 times on count a"):
        await pool.read(Count("a", 10, dies_at=3), number_of)
    assert await pool.read(Count("b", 2), number_of) == ("begun", 1)

"""The embedded engine over the whole cluster: one `OcrEngineActor` per CPU, and the engine that hands pages to them.

A reader may die (native code meets hostile images): its page goes to another one, and a page that kills twice fails.
It comes back by itself on its node; with the node it is gone, and the others go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import ActorDiedError, ActorUnschedulableError, RayActorError

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Answer, ErrorCode, Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.model import PageImage, PageRequest

# Of each CPU, so that render tasks (a quarter) always find room beside the readers, even where there is one CPU only.
READER_CPUS = 0.75
# Resident size of one engine process on long pages; a node offers no more readers than fit its memory.
READER_BYTES = 1_500_000_000
# One page is read, one is rendered and waits for the first reader that is free.
PAGES_PER_READER = 2
DEATHS_PER_PAGE = 2
RESTART_S = 1.0


class OcrEngineActor:
    """Actor body: one embedded OCR engine in a process of its own, one page at a time."""

    def __init__(self) -> None:
        from one_ocr_ray.engines.ocr.engine import LocalEngine  # noqa: PLC0415 - not for the processes that only ask

        self._engine = LocalEngine()

    def read(self, image: PageImage) -> Answer:
        """The engine's answer for one page image."""
        return self._engine.read_page(image)

    def answer(self) -> None:
        """Say that it is there."""


def start_readers(
    nodes: Sequence[Node], run_id: str, *, cpus: float = READER_CPUS
) -> dict[str, ActorHandle[OcrEngineActor]]:
    """One reader by name for each CPU of `nodes`, less where memory is short. They load their models meanwhile."""
    reader: Any = ray.remote(OcrEngineActor)
    places = [(node, number) for node in nodes for number in range(readers_on(node))]
    return {
        name: reader.options(
            name=name,
            num_cpus=cpus,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=node.only_here,
        ).remote()
        for node, number in places
        for name in [f"ocr-reader-{node.node_id[:6]}-{number}-{run_id}"]
    }


def readers_on(node: Node) -> int:
    """How many readers fit on `node`: by CPUs and, where it is known, by memory; at least one."""
    by_memory = int(node.memory_bytes // READER_BYTES) if node.memory_bytes else int(node.cpus)
    return max(1, min(int(node.cpus), by_memory))


class EnginePool:
    """The embedded engine as one `Engine`, spread over reader actors; each page goes to the least busy of them."""

    def __init__(self, readers: Sequence[str], first: int = 0) -> None:
        """`readers` by name, so that a worker that is restarted finds them; several workers start at different ones."""
        first %= len(readers)
        self._readers: list[Any] = [ray.get_actor(name) for name in (*readers[first:], *readers[:first])]
        # Pages wait here, not at a reader: one that waits behind a long page would wait on when another reader is free.
        self._turn = asyncio.Semaphore(len(self._readers))
        self._busy = [0] * len(self._readers)
        self._away: set[int] = set()
        self._gone: set[int] = set()
        self._awaited: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return "local"

    @property
    def model(self) -> str:
        return DEFAULT_MODELS["local"]

    async def analyze_image_async(self, image: PageImage, ask: PageRequest) -> Answer:
        async with self._turn:
            return await self._read(image)

    async def _read(self, image: PageImage) -> Answer:
        for _ in range(DEATHS_PER_PAGE):
            number = await self._least_busy()
            self._busy[number] += 1
            try:
                answer: Answer = await self._readers[number].read.remote(image)
            except (RayActorError, ActorUnschedulableError):
                self._miss(number)
            else:
                return answer
            finally:
                self._busy[number] -= 1
        return Answer(failure=Failure(ErrorCode.OCR_FAILED, "The OCR engine's process died on this page."))

    async def _least_busy(self) -> int:
        """The reader to ask; waits while all are away. Raises StoppedError when all are gone."""
        while not (there := [n for n in range(len(self._readers)) if n not in self._away | self._gone]):
            if len(self._gone) == len(self._readers):
                raise StoppedError("The nodes of all OCR engines are gone. The same command resumes.")
            await asyncio.sleep(RESTART_S)
        return min(there, key=self._busy.__getitem__)

    def _miss(self, number: int) -> None:
        if number not in self._away | self._gone:
            self._away.add(number)
            task = asyncio.create_task(self._await_return(number))
            self._awaited.add(task)
            task.add_done_callback(self._awaited.discard)

    async def _await_return(self, number: int) -> None:
        while True:
            try:
                await self._readers[number].answer.remote()
            except (ActorDiedError, ActorUnschedulableError):
                self._gone.add(number)
            except RayActorError:
                await asyncio.sleep(RESTART_S)
                continue
            self._away.discard(number)
            return

    async def check(self) -> None:
        """It needs no key and no network."""

    async def close(self) -> None:
        """Readers belong to the run, not to this engine."""

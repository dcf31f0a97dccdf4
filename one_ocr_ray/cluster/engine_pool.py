"""Spreads pages over the embedded engines of the cluster: one `OcrEngineActor` per CPU.

An engine may die, for native code meets hostile images. Its page goes to another one; a page that kills two fails. Ray
restarts the engine on its node. Without the node it is gone, and the others go on.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import ActorDiedError, ActorUnschedulableError, RayActorError

from one_ocr_ray.engines.ocr.layer_engine import DIED
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.blocks import Positions
    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.engines.ocr.languages import LineModels
    from one_ocr_ray.engines.ocr.text_layer import LayerReading
    from one_ocr_ray.model import PageImage, PageRequest
    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts
    from one_ocr_ray.routing import Route

# The rest of each CPU is for render tasks, so that they find room even where there is one CPU only.
READER_CPUS = 0.75
# Resident size of one engine process on long pages. A node gets no more of them than fit its memory.
READER_BYTES = 1_500_000_000
# One page is read, one is rendered and waits for the first free engine.
PAGES_PER_READER = 2
DEATHS_PER_PAGE = 2
RESTART_S = 1.0


class OcrEngineActor:
    """Actor body: one embedded OCR engine in its own process, one page at a time."""

    def __init__(self, models: LineModels) -> None:
        from one_ocr_ray.engines.ocr.engine import LocalEngine  # noqa: PLC0415 - not for the processes that only ask

        self._engine = LocalEngine(models)
        gc.freeze()  # what is imported stays: to search it for garbage is a tenth of the time of a text layer

    def read(self, image: PageImage) -> Answer:
        """The engine's answer for one page image."""
        return self._engine.read_page(image)

    def read_layer(self, image: PageImage, known: KnownFonts, positions: Positions, route: Route) -> LayerReading:
        """One page from its text layer, where that is right. `known`: what is known of its document's fonts."""
        return self._engine.read_layer(image, known, route, positions)

    def answer(self) -> None:
        """Answer that the process lives."""


def start_readers(
    nodes: Sequence[Node], run_id: str, models: LineModels, *, cpus: float = READER_CPUS
) -> dict[str, ActorHandle[OcrEngineActor]]:
    """Start an engine for each CPU of `nodes`, fewer where memory is short. Gives them by name."""
    reader: Any = ray.remote(OcrEngineActor)
    places = [(node, number) for node in nodes for number in range(readers_on(node))]
    return {
        name: reader.options(
            name=name,
            num_cpus=cpus,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=node.only_here,
        ).remote(models)
        for node, number in places
        for name in [f"ocr-reader-{node.node_id[:6]}-{number}-{run_id}"]
    }


def readers_on(node: Node) -> int:
    """The number of engines that fit on `node`, by CPUs and by memory if known. At least one."""
    by_memory = int(node.memory_bytes // READER_BYTES) if node.memory_bytes else int(node.cpus)
    return max(1, min(int(node.cpus), by_memory))


class EnginePool:
    """The embedded engine as one `Engine` over many actors. Each page goes to the least busy one."""

    def __init__(self, readers: Sequence[str], model: str, first: int = 0) -> None:
        """`readers` are names, which a restarted worker finds again. Several workers start at different ones."""
        self.model = model
        first %= len(readers)
        self._readers: list[Any] = [ray.get_actor(name) for name in (*readers[first:], *readers[:first])]
        # Pages wait here and not at an engine: behind a long page one would wait on when another engine is free.
        self._turn = asyncio.Semaphore(len(self._readers))
        self._busy = [0] * len(self._readers)
        self._away: set[int] = set()
        self._gone: set[int] = set()
        self._awaited: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return "local"

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        answer: Answer | None = await self.call("read", replace(image, layer=None))
        return answer or Answer(failure=DIED)

    async def read_layer(
        self, image: PageImage, known: KnownFonts, positions: Positions, route: Route
    ) -> LayerReading | None:
        reading: LayerReading | None = await self.call("read_layer", image, known, positions, route)
        return reading

    async def call(self, method: str, *arguments: Any) -> Any:
        """What that method of the least busy reader gives. None where the page kills one reader after the other.

        Raises StoppedError when all readers are gone.
        """
        async with self._turn:
            for _ in range(DEATHS_PER_PAGE):
                # Waits while all restart.
                while not (there := [n for n in range(len(self._readers)) if n not in self._away | self._gone]):
                    if len(self._gone) == len(self._readers):
                        raise StoppedError("The nodes of all OCR engines are gone. The same command resumes.")
                    await asyncio.sleep(RESTART_S)
                number = min(there, key=self._busy.__getitem__)
                self._busy[number] += 1
                try:
                    return await getattr(self._readers[number], method).remote(*arguments)
                except (RayActorError, ActorUnschedulableError):
                    if number not in self._away | self._gone:
                        self._away.add(number)
                        task = asyncio.create_task(self._await_return(number))
                        self._awaited.add(task)
                        task.add_done_callback(self._awaited.discard)
                finally:
                    self._busy[number] -= 1
        return None

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

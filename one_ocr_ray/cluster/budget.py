"""The cost ceiling of a job: one till, as an actor where several workers share it, and a purse in each worker.

The arithmetic is that of `policy/cost/budget.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.nodes import ON_HEAD
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.cost.budget import Purse, Till

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from one_ocr_ray.model import PageImage, PageRequest
    from one_ocr_ray.policy.cost.metering import ProviderMetering

SPENT = (
    "The cost ceiling is reached (--max-cost; of an upload also max_cost_usd and its key's budget): the next request "
    "may cost up to {most_usd:.4f} USD, and less is left. Raise it and run the same command to go on."
)
NO_PRICE = "The price of the model is unknown, so the cost ceiling (--max-cost) cannot be kept."
LOST = "The actor that keeps the cost ceiling was lost. The same command resumes."


class TillKeeper:
    """Actor body around the one `Till` of a run."""

    def __init__(self, left_usd: float) -> None:
        self._till = Till(left_usd)

    def draw(self, needed_usd: float) -> float:
        """A chunk of at least `needed_usd`, or 0.0."""
        return self._till.draw(needed_usd)

    def give_back(self, usd: float) -> None:
        """What a purse does not need."""
        self._till.give_back(usd)


def start_till(left_usd: float, run_id: str) -> tuple[str, ActorHandle[TillKeeper]]:
    """The till of a run, by name for the workers and as a handle for the driver. Its loss stops the run."""
    name = f"ocr-budget-{run_id}"
    keeper: Any = ray.remote(TillKeeper)
    return name, keeper.options(name=name, num_cpus=0, resources=ON_HEAD, max_restarts=0).remote(left_usd)


class SharedTill(Protocol):
    """The one till of a job, as its workers see it."""

    async def draw(self, needed_usd: float) -> float:
        """A chunk of at least `needed_usd`, or 0.0."""

    async def give_back(self, usd: float) -> None:
        """What a purse does not need."""


class RemoteTill:
    """The till of a run with several workers. Raises StoppedError when its actor is lost."""

    def __init__(self, name: str) -> None:
        self._keeper: Any = ray.get_actor(name)

    async def draw(self, needed_usd: float) -> float:
        try:
            return float(await self._keeper.draw.remote(needed_usd))
        except RayError as error:
            raise StoppedError(LOST) from error

    async def give_back(self, usd: float) -> None:
        try:
            await self._keeper.give_back.remote(usd)
        except RayError as error:
            raise StoppedError(LOST) from error


class OwnTill:
    """The till of a job that one worker reads."""

    def __init__(self, left_usd: float) -> None:
        self._till = Till(left_usd)

    async def draw(self, needed_usd: float) -> float:
        return self._till.draw(needed_usd)

    async def give_back(self, usd: float) -> None:
        self._till.give_back(usd)


class SharedPurse:
    """`Purse` of the page loop for one worker: no request goes out whose dearest outcome would pass the ceiling."""

    def __init__(self, till: SharedTill, metering: ProviderMetering) -> None:
        self._till = till
        self._metering = metering
        self._purse = Purse()
        self._settled = asyncio.Event()
        self._drawing = asyncio.Lock()
        self._draws: set[asyncio.Task[float]] = set()

    async def reserve(self, image: PageImage, ask: PageRequest) -> float:
        """Set aside the most that the request can cost, in USD. Raises StoppedError when the ceiling leaves no room."""
        most_usd = self._metering.most_usd(image, ask)
        if most_usd is None:
            raise StoppedError(NO_PRICE, ErrorCode.BUDGET)
        while not self._purse.reserve(most_usd):
            async with self._drawing:
                await self._fill(most_usd)
        return most_usd

    def settle(self, reserved_usd: float, cost_usd: float | None) -> None:
        """The request has cost `cost_usd`; unknown counts as the most it could cost."""
        self._purse.settle(reserved_usd, reserved_usd if cost_usd is None else cost_usd)
        self._settled.set()

    async def close(self) -> None:
        """Give back what is not spent. Nobody may have reserved any of it."""
        if self._draws:
            await asyncio.wait(self._draws)
        await self._till.give_back(self._purse.empty())

    async def _fill(self, wanted_usd: float) -> None:
        """Draw what is missing, or wait for a request to cost less than was set aside for it."""
        self._settled.clear()
        missing_usd = self._purse.missing(wanted_usd)
        if not missing_usd:
            return  # others have settled meanwhile
        draw = asyncio.create_task(self._draw(missing_usd))
        self._draws.add(draw)
        draw.add_done_callback(self._draws.discard)
        if await asyncio.shield(draw):
            return
        if self._purse.reservations:
            await self._settled.wait()
        elif self._purse.missing(wanted_usd):
            await self._till.give_back(self._purse.empty())
            raise StoppedError(SPENT.format(most_usd=wanted_usd), ErrorCode.BUDGET)

    async def _draw(self, missing_usd: float) -> float:
        """A chunk into the purse, also when the page that asked for it is gone by then: others spend it."""
        chunk = await self._till.draw(missing_usd)
        self._purse.add(chunk)
        return chunk

"""A cost ceiling that workers share: an actor around `Budget`, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.nodes import HEAD_NODE
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.policy.cost.budget import Budget

if TYPE_CHECKING:
    from ray.actor import ActorHandle

LOST = "The actor that keeps the cost ceiling was lost. The same command resumes."


def start_budget(left_usd: float, run_id: str) -> tuple[str, ActorHandle[Budget]]:
    """The budget of a run: workers get its name, the driver its handle. Its loss stops the run."""
    name = f"ocr-budget-{run_id}"
    actor: Any = ray.remote(Budget)
    return name, actor.options(name=name, num_cpus=0, resources=HEAD_NODE, max_restarts=0).remote(left_usd)


class RemoteBudget:
    """`BudgetSource` over an actor. `owner` comes first in its calls where the actor keeps a budget for each owner."""

    def __init__(self, actor: Any, *owner: str, lost: str = LOST) -> None:
        """`lost`: the sentence of the StoppedError when the actor does not answer."""
        self._actor = actor
        self._owner = owner
        self._lost = lost

    async def allocate(self, needed_usd: float) -> float:
        try:
            return float(await self._actor.allocate.remote(*self._owner, needed_usd))
        except RayError as error:
            raise StoppedError(self._lost) from error

    async def refund(self, usd: float) -> None:
        try:
            await self._actor.refund.remote(*self._owner, usd)
        except RayError as error:
            raise StoppedError(self._lost) from error

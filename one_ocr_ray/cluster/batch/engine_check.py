"""Checks keys and providers before a run reads anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayActorError, RayTaskError

from one_ocr_ray.cluster.nodes import cause_of
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


TRIES = 5
RESTART_S = 1.0
UNLISTED = "The provider does not list this model; whether it answers for it, the first page will show."


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """What is wrong with endpoints, by name, of `asked` ones."""

    asked: int = 0
    faults: tuple[tuple[str, Failure], ...] = ()


async def check_engine(workers: Sequence[Any], say: Callable[[str], None]) -> None:
    """Find a missing key, a wrong key or a wrong address.

    The provider's list of models decides nothing: gateways leave out names that they answer for. Raises UsageError for
    a missing key on any worker's node, and StoppedError when every provider refuses; pages go past some that do.
    """
    checks = await asyncio.gather(*(_engine_fault(worker, first=worker is workers[0]) for worker in workers))
    lost = [each for each in checks if isinstance(each, RayActorError)]
    if len(lost) == len(workers):
        raise lost[0]
    check = checks[0]
    if not isinstance(check, EngineCheck):
        return
    if any(failure.code is ErrorCode.MODEL_NOT_FOUND for _, failure in check.faults):
        say(UNLISTED)
    refused = [(who, failure) for who, failure in check.faults if failure.code is not ErrorCode.MODEL_NOT_FOUND]
    if refused and len(refused) == check.asked:
        raise StoppedError(refused[0][1].message, refused[0][1].code)
    for who, failure in refused:
        say(f"{who}: {failure.message} The pages go past it until it answers.")


async def _engine_fault(worker: Any, *, first: bool) -> EngineCheck | RayActorError | None:
    """What is wrong with the engines, or with a worker that keeps dying."""
    lost = None
    for _ in range(TRIES):
        try:
            check: EngineCheck = await worker.check_engine.remote(first)
        except RayTaskError as error:
            raise cause_of(error) from None
        except RayActorError as error:
            lost = error
            await asyncio.sleep(RESTART_S)
        else:
            return check
    return lost

"""The check of a run before anything is read: a key on each worker's node, and a provider that lets it in."""

from __future__ import annotations

import asyncio
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


async def check_engine(workers: Sequence[Any], say: Callable[[str], None]) -> None:
    """Find a missing key, a wrong key or a wrong address.

    The provider's list of models decides nothing: gateways leave out names that they answer for. Raises UsageError for
    a missing key on any worker's node, and StoppedError when the provider refuses.
    """
    said = await asyncio.gather(*(_engine_fault(worker, first=worker is workers[0]) for worker in workers))
    lost = [each for each in said if isinstance(each, RayActorError)]
    if len(lost) == len(workers):
        raise lost[0]
    if isinstance(said[0], Failure) and said[0].code is ErrorCode.MODEL_NOT_FOUND:
        say(UNLISTED)
    elif isinstance(said[0], Failure):
        raise StoppedError(said[0].message, said[0].code)


async def _engine_fault(worker: Any, *, first: bool) -> Failure | RayActorError | None:
    """What is wrong with the engine, or with a worker that keeps dying."""
    lost = None
    for _ in range(TRIES):
        try:
            failure: Failure | None = await worker.check_engine.remote(first)
        except RayTaskError as error:
            raise cause_of(error) from None
        except RayActorError as error:
            lost = error
            await asyncio.sleep(RESTART_S)
        else:
            return failure
    return lost

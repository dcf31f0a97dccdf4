"""The batches of a run, with the key of the driver's machine and Ray's metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.engine_setup import engine_on_node
from one_ocr_ray.cluster.metrics import count_create, show_batches
from one_ocr_ray.environment import provider_key
from one_ocr_ray.errors import UsageError
from one_ocr_ray.reading.batch.run_batches import RunBatches
from one_ocr_ray.reading.batch.wishes import batch_wishes_of
from one_ocr_ray.storage.batches import BatchState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings.run import Settings
    from one_ocr_ray.storage.store.objects import Objects


def open_batches(
    settings: Settings,
    engines: Mapping[str, LlmSetup],
    route: Route,
    output: Objects,
    *,
    committed: Collection[str],
    say: Callable[[str], None],
) -> RunBatches | None:
    """The batches of a run: with --batch, and where an earlier run has left some. Raises UsageError without a key."""
    wishes = batch_wishes_of(settings, route)
    if not engines or (not wishes.submits and BatchState(output).account() is None):
        return None
    setup = engines[route.names[-1]]
    if len(setup.endpoints) > 1:
        raise UsageError("--batch: batches lie in one account; give one --base-url.")
    options = setup.options
    engine_on_node(options)  # says what is wrong with the key
    with_key = replace(options, api_key=provider_key(options.name, options.key_variable))
    return asyncio.run(
        RunBatches.open(output, with_key, wishes, committed, say=say, on_create=count_create, on_look=show_batches)
    )

"""Ends the batches of an output: stores what they have done, and deletes their files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Failure
from one_ocr_ray.policy.batch.flow import TokenMeter
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.policy.batch.remote import RemoteState
from one_ocr_ray.reading.batch.cleaning import delete_files, sweep_upload
from one_ocr_ray.reading.batch.history import GONE, fetch
from one_ocr_ray.reading.batch.watch import STEP_S, BatchWatch
from one_ocr_ray.storage.batches import BatchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.storage.batches import Account
    from one_ocr_ray.storage.store.objects import Objects

NOT_CANCELLED = "A batch could not be cancelled. {message} The same command tries again."


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Cancelled batches, with their pages, of which some may have been answered before."""

    parcels: int
    pages: int
    left: int  # pages of all parcels whose answers the next run takes, or that it asks for again


async def cancel_batches(
    output: Objects,
    client: BatchClient,
    account: Account,
    *,
    clock: Clock,
    say: Callable[[str], None],
    gives_up: bool = False,
) -> Cancelled:
    """Cancel every batch of `output`, whose lease is held, and wait for their ends. Raises StoppedError.

    `gives_up`: one that the provider does not know has ended, too.
    """
    state = BatchState(output)
    watch = BatchWatch(state, client, account, TokenMeter(None), clock=clock, creates=False, gives_up=gives_up, say=say)
    await watch.take_in()
    for parcel in watch.in_stage(Stage.UPLOADED):
        state.mark(parcel, Stage.ABANDONED)
    await watch.take_in()
    asked: dict[str, int] = {}  # pages by parcel
    while waiting := watch.in_stage(Stage.LIVE, Stage.UNSURE):
        for parcel in waiting:
            if parcel.stage is Stage.LIVE and parcel.name not in asked and await _is_cancelled(parcel, client):
                asked[parcel.name] = parcel.file.pages if parcel.file is not None else 0
                say(f"Cancelled a batch of {asked[parcel.name]:,} pages.")
        await watch.step()
        await clock.sleep(STEP_S)
    with tempfile.TemporaryDirectory(prefix="one-ocr-batch-") as folder:
        for parcel in watch.in_stage(Stage.ENDED):
            if gone := await fetch(parcel, state, client, output, folder=Path(folder), clock=clock):
                say(GONE.format(pages=gone))
    await watch.take_in()
    over = watch.in_stage(Stage.FETCHED, Stage.COLLECTED, Stage.ABANDONED)
    left = sum(each.file.pages for each in over if each.file is not None and each.stage is not Stage.COLLECTED)
    for parcel in over:
        if parcel.stage is Stage.ABANDONED:
            await sweep_upload(parcel, state, client, account)
        else:
            await delete_files(parcel, client)
    return Cancelled(len(asked), sum(asked.values()), left)


async def _is_cancelled(parcel: Parcel, client: BatchClient) -> bool:
    """Ask the provider to end a batch; False if it has just ended by itself. Raises StoppedError."""
    failure = await client.cancel(parcel.batch_id or "")
    now = await client.batch(parcel.batch_id or "")
    if isinstance(now, Failure) and now.http_status == 404:
        return False  # the next look decides
    if failure is not None and (isinstance(now, Failure) or not now.state.is_over):
        raise StoppedError(NOT_CANCELLED.format(message=failure.message), failure.code)
    return isinstance(now, Failure) or now.state not in {RemoteState.COMPLETED, RemoteState.FAILED}

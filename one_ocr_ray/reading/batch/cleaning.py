"""Deleting what a parcel has left at the provider. Only what carries our names is ever deleted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.reading.batch.spool import delete_named
from one_ocr_ray.storage.batches import file_tag

if TYPE_CHECKING:
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.parcel import Parcel
    from one_ocr_ray.storage.batches import Account, BatchState

GEMINI_NAME_CHARS = 46  # `files/` and 40: results have longer names, which no call deletes; they go after two days


async def delete_files(parcel: Parcel, client: BatchClient) -> bool:
    """Delete the files of a parcel that is over; False if one may be left."""
    files = [parcel.file.file_id] if parcel.file is not None else []
    for each in parcel.tries:
        files += each.ended.outputs if each.ended is not None else ()
    for file_id in files:
        if client.options.name == "gemini" and len(file_id) > GEMINI_NAME_CHARS:
            continue
        if await client.delete_file(file_id) is not None:
            return False
    return True


async def clean(parcel: Parcel, state: BatchState, client: BatchClient) -> bool:
    """Delete the files of a parcel that is over, and mark it. False if that failed: the next run tries again."""
    if not await delete_files(parcel, client):
        return False
    size, pages = (parcel.file.size_bytes, parcel.file.pages) if parcel.file is not None else (0, 0)
    await asyncio.to_thread(state.mark, parcel, Stage.CLEANED, {"size_bytes": size, "pages": pages})
    return True


async def clear(parcel: Parcel, state: BatchState, client: BatchClient) -> None:
    """Delete a parcel that nobody needs, once nothing of it is left at the provider."""
    if parcel.stage is Stage.CLEANED or await clean(parcel, state, client):
        await asyncio.to_thread(state.shrink, parcel)


async def sweep_upload(parcel: Parcel, state: BatchState, client: BatchClient, account: Account) -> None:
    """Clear an abandoned parcel away. Its file is found by name if its upload was not recorded."""
    if parcel.file is None and not await delete_named(client, file_tag(account, parcel.shard_id, parcel.number)):
        return
    await clear(parcel, state, client)

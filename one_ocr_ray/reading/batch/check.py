"""The check of `doctor --batch`: lists batches, uploads a one-line file and deletes it. It creates no batch."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.model import Failure

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions


def fault_of_batches(options: EngineOptions) -> str | None:
    """What keeps files and batches from working with the key in `options`. None if nothing does."""

    async def found() -> Failure | None:
        client = BatchClient(options)
        try:
            async for batch in client.batches():
                if isinstance(batch, Failure):
                    return batch
                break
            with tempfile.TemporaryDirectory(prefix="one-ocr-batch-") as folder:
                file = Path(folder) / f"oo-doctor-{token_hex(8)}.jsonl"
                await asyncio.to_thread(file.write_bytes, client.codec.build_line(client.options, "0000", b"{}"))
                uploaded = await client.upload(file)
            return uploaded if isinstance(uploaded, Failure) else await client.delete_file(uploaded.file_id)
        finally:
            await client.close()

    failure = asyncio.run(found())
    return failure.message if failure is not None else None

"""Answers what the documentation of batch APIs leaves open, with a real key, for less than a dollar.

    OPENAI_API_KEY=... python -m benchmarks.batch_answers openai --model gpt-5.6-luna
    GEMINI_API_KEY=... python -m benchmarks.batch_answers gemini --model gemini-3.8-flash

It makes three batches of five small pages: one to see how soon a list shows it and in which order, one whose file is
deleted at once, and one that is cancelled. It prints a line for each answer, and deletes what it has made.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from PIL import Image

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS, DEFAULT_MODELS
from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.environment import provider_key
from one_ocr_ray.model import Failure, PageImage, PageRequest
from one_ocr_ray.policy.batch.remote import BatchRefusal, RemoteBatch

if TYPE_CHECKING:
    from one_ocr_ray.policy.batch.remote import RemoteFile

PAGES = 5
ASK = PageRequest(prompt="Say: blank.", output_tokens_cap=64, reasoning=None)


def page(number: int) -> PageImage:
    encoded = io.BytesIO()
    Image.new("RGB", (256, 256), (255, 255 - number, 255)).save(encoded, "JPEG")
    data = encoded.getvalue()
    return PageImage(number, 256, 256, data, sha256(data).hexdigest(), 0, 0)


async def uploaded(client: BatchClient, folder: Path) -> RemoteFile:
    file = folder / f"oo-answers-{token_hex(8)}.jsonl"
    codec = CODECS[client.options.name]
    lines = (
        client.codec.build_line(client.options, f"{at:04d}", codec.build_body(client.options, page(at), ASK))
        for at in range(PAGES)
    )
    await asyncio.to_thread(file.write_bytes, b"".join(lines))
    found = await client.upload(file)
    if isinstance(found, Failure):
        raise SystemExit(found.message)
    return found


async def created(client: BatchClient, file: RemoteFile, tag: str) -> RemoteBatch:
    made = await client.create(file.file_id, tag)
    if isinstance(made, BatchRefusal):
        raise SystemExit(made.failure.message)
    return made


async def listed_after_s(client: BatchClient, tag: str) -> tuple[float, bool]:
    """How long until a list shows the tag, and whether it comes newest first."""
    began = time.monotonic()
    while time.monotonic() - began < 1200:
        times = []
        seen = False
        async for batch in client.batches():
            if isinstance(batch, Failure):
                break
            times.append(batch.created_s or 0.0)
            seen = seen or batch.tag == tag
        if seen:
            return time.monotonic() - began, times == sorted(times, reverse=True)
        await asyncio.sleep(1)
    return float("inf"), False


async def end_of(client: BatchClient, batch_id: str, most_s: float) -> RemoteBatch | Failure:
    began = time.monotonic()
    while True:
        batch = await client.batch(batch_id)
        if not isinstance(batch, Failure) and (batch.state.is_over or time.monotonic() - began > most_s):
            return batch
        await asyncio.sleep(10)


async def answers(client: BatchClient, wait_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tag = f"oo-answers-{token_hex(8)}"
        file = await uploaded(client, Path(folder))
        first = await created(client, file, tag)
        seconds, newest_first = await listed_after_s(client, tag)
        print(f"1. A list shows a new batch, with its tag, after {seconds:.1f} s; newest first: {newest_first}.")

        fenced_file = await uploaded(client, Path(folder))
        fenced = await created(client, fenced_file, f"{tag}-2")
        deleted = await client.delete_file(fenced_file.file_id)
        refused = await client.create(fenced_file.file_id, f"{tag}-3")
        print(f"2. Deleting the input of a new batch: {deleted.message if deleted else 'done'}.")
        print(f"   A batch of a deleted file: {'refused' if isinstance(refused, BatchRefusal) else refused.state}.")

        third_file = await uploaded(client, Path(folder))
        third = await created(client, third_file, f"{tag}-4")
        await asyncio.sleep(30)
        cancelled = await client.cancel(third.batch_id)
        print(f"3. Cancelling after 30 s: {cancelled.message if cancelled else 'taken'}.")

        faults = 0
        for _ in range(60):
            faults += isinstance(await client.batch(first.batch_id), Failure)
            await asyncio.sleep(1)
        print(f"4. Looking once a second for a minute: {faults} faults.")

        for name, batch in (("whole", first), ("without its file", fenced), ("cancelled", third)):
            ended = await end_of(client, batch.batch_id, wait_s)
            if isinstance(ended, Failure):
                print(f"5. The batch {name}: {ended.message}")
                continue
            print(f"5. The batch {name}: {ended.state}, {len(ended.outputs)} result files, {ended.code or 'no code'}.")
            for output in ended.outputs:
                fault = await client.delete_file(output)
                print(f"   Deleting a result: {fault.message if fault else 'done'}.")
        for each in (file, third_file):
            await client.delete_file(each.file_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["openai", "gemini"])
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--wait", type=float, default=7200.0, metavar="S", help="seconds to wait for each batch")
    given = parser.parse_args()
    options = EngineOptions(
        name=given.engine,
        model=given.model or DEFAULT_MODELS[given.engine],
        base_url=given.base_url or DEFAULT_BASE_URLS[given.engine],
        api_key=provider_key(given.engine),
    )
    client = BatchClient(options)

    async def run() -> None:
        try:
            await answers(client, given.wait)
        finally:
            await client.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()

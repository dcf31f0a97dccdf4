"""The least that reads PDFs with an LLM: a process pool renders, one asyncio loop sends. No framework, no safety.

    python -m benchmarks.bare FOLDER --base-url URL --in-flight 64

No limits, no retries, no resume, no record of failures; texts go to one JSON file a document. What all of that costs
is the difference to the product. Prints the seconds from the first request to the last answer.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import aiohttp
import orjson
import pybase64
import pypdfium2
import uvloop

LONGEST_SIDE_PX = 1600
PAGES_PER_SLICE = 16
PROMPT = "Transcribe this page as Markdown."


def render(path: str, first: int, last: int) -> list[bytes]:
    """JPEGs of the pages from `first` up to `last`."""
    images = []
    with pypdfium2.PdfDocument(path) as document:
        for number in range(first, last):
            page = document[number]
            image = page.render(scale=LONGEST_SIDE_PX / max(page.get_size())).to_pil()
            jpeg = io.BytesIO()
            image.save(jpeg, "JPEG", quality=85)
            images.append(jpeg.getvalue())
    return images


def slices(folder: Path) -> list[tuple[str, int, int]]:
    """Every page of the folder once, in pieces for the pool."""
    pieces = []
    for path in sorted(folder.glob("*.pdf")):
        with pypdfium2.PdfDocument(path) as document:
            pages = len(document)
        pieces += [(str(path), at, min(at + PAGES_PER_SLICE, pages)) for at in range(0, pages, PAGES_PER_SLICE)]
    return pieces


def chat_body(jpeg: bytes) -> bytes:
    """One request for one page."""
    data = pybase64.b64encode(jpeg).decode()
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
    ]
    return orjson.dumps({"model": "bench", "messages": [{"role": "user", "content": content}]})


def write(texts: dict[str, dict[int, str]], folder: Path) -> None:
    """One JSON file a document, its pages in order."""
    for path, pages in texts.items():
        (folder / f"{Path(path).stem}.json").write_bytes(orjson.dumps([pages[number] for number in sorted(pages)]))


async def main(options: argparse.Namespace) -> None:
    """Render ahead of the calls by a few slices, keep `in_flight` calls under way."""
    url = f"{options.base_url}/chat/completions"
    places = asyncio.Semaphore(options.in_flight)
    ahead = asyncio.Semaphore(2 * options.in_flight // PAGES_PER_SLICE + 2 * (os.cpu_count() or 1))
    texts: dict[str, dict[int, str]] = {}
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def ask(path: str, number: int, jpeg: bytes) -> None:
        async with places:
            times.append(time.monotonic())
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=chat_body(jpeg), headers=headers) as response:
                reply = orjson.loads(await response.read())
            texts.setdefault(path, {})[number] = reply["choices"][0]["message"]["content"]
            times.append(time.monotonic())

    async def read(path: str, first: int, last: int) -> None:
        async with ahead:
            images = await loop.run_in_executor(pool, render, path, first, last)
            await asyncio.gather(*(ask(path, first + at, image) for at, image in enumerate(images)))

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(read(*piece) for piece in slices(options.folder)))
    write(texts, options.output)
    print(json.dumps({"pages": sum(map(len, texts.values())), "active_s": max(times) - min(times)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--output", type=Path, default=Path.cwd())
    sys.exit(uvloop.run(main(parser.parse_args())))

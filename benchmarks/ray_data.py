"""The same work as a Ray Data pipeline, written as Ray's documentation teaches: read, flat_map, map_batches, write.

    python -m benchmarks.ray_data FOLDER --base-url URL --in-flight 64 --output FOLDER

Rendering is a `flat_map`, the calls an async actor that has as many under way as are allowed, the result Parquet. No
limits beyond that, no retries, no resume; a page that fails ends the pipeline.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")  # before Ray is imported

import ray

from benchmarks.bare import LONGEST_SIDE_PX, chat_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Of one block Ray Data (2.60) has at most four batches of an async actor under way.
BATCHES_UNDER_WAY = 4


def render(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row a page, with its JPEG."""
    import pypdfium2  # noqa: PLC0415 - in the process that renders

    with pypdfium2.PdfDocument(row["bytes"]) as document:
        for number, page in enumerate(document):
            image = page.render(scale=LONGEST_SIDE_PX / max(page.get_size())).to_pil()
            jpeg = io.BytesIO()
            image.save(jpeg, "JPEG", quality=85)
            yield {"path": row["path"], "page": number, "jpeg": jpeg.getvalue()}


class PageRequest:
    """The async actor: batches of pages in, their texts out, `in_flight` calls at once."""

    def __init__(self, base_url: str, in_flight: int) -> None:
        self._url = f"{base_url}/chat/completions"
        self._places = asyncio.Semaphore(in_flight)
        self._session: Any = None

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        import aiohttp  # noqa: PLC0415 - in the process that asks

        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        texts = await asyncio.gather(*(self._ask(jpeg) for jpeg in batch["jpeg"]))
        yield {"path": batch["path"], "page": batch["page"], "text": texts}

    async def _ask(self, jpeg: bytes) -> str:
        import orjson  # noqa: PLC0415

        headers = {"Content-Type": "application/json"}
        async with self._places, self._session.post(self._url, data=chat_body(jpeg), headers=headers) as response:
            reply = orjson.loads(await response.read())
        return str(reply["choices"][0]["message"]["content"])


def main(options: argparse.Namespace) -> int:
    ray.init(
        address="local", include_dashboard=False, object_store_memory=512 << 20,
        log_to_driver=False, logging_level=logging.ERROR,
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    (
        ray.data.read_binary_files(str(options.folder), include_paths=True)
        .flat_map(render)
        .map_batches(
            PageRequest,
            fn_constructor_args=(options.base_url, options.in_flight),
            batch_size=max(1, options.in_flight // BATCHES_UNDER_WAY),
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0,  # it waits; the CPUs are for rendering
        )
        .write_parquet(str(options.output))
    )
    ray.shutdown()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--output", type=Path, required=True)
    sys.exit(main(parser.parse_args()))

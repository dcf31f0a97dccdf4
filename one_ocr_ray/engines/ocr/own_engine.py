"""The embedded engine for programs without a cluster. It reads one page at a time in a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from one_ocr_ray.engines.ocr.engine import LocalEngine

if TYPE_CHECKING:
    from one_ocr_ray.blocks import Positions
    from one_ocr_ray.engines.ocr.languages import LineModels
    from one_ocr_ray.engines.ocr.text_layer import LayerReading
    from one_ocr_ray.model import Answer, PageImage, PageRequest
    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts
    from one_ocr_ray.routing import Route


class OwnEngine:
    """Loads its models at the first page: a second, and a gigabyte. For any event loop, one after the other too."""

    name = "local"

    def __init__(self, models: LineModels) -> None:
        self.model = models.name
        self._engine = LocalEngine(models)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-ocr")

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.read_page, image)

    async def read_layer(self, image: PageImage, known: KnownFonts, positions: Positions, route: Route) -> LayerReading:
        """One page from its text layer; `known`: what is known of its document's fonts."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._engine.read_layer, image, known, route, positions)

    async def check(self) -> None:
        """It needs no key and no network."""

    async def close(self) -> None:
        """It is kept for the next document."""

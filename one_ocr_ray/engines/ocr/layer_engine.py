"""The reader `text-layer` as an engine for single pages, wherever its models are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.model import Answer, ErrorCode, Failure
from one_ocr_ray.policy.route.chain import TEXT_LAYER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from one_ocr_ray.blocks import Positions
    from one_ocr_ray.engines.ocr.text_layer import LayerReading
    from one_ocr_ray.model import PageImage, PageRequest
    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts

DIED = Failure(ErrorCode.OCR_FAILED, "The OCR engine's process died on this page.")
# Documents whose fonts are remembered; a worker has fewer under way.
DOCUMENTS_KEPT = 64


class LayerEngine:
    """Keep what a page's samples show of the document's fonts, for its other pages."""

    name = TEXT_LAYER
    model = DEFAULT_MODELS[TEXT_LAYER]

    def __init__(self, read: Callable[[PageImage, KnownFonts, Positions], Awaitable[LayerReading | None]]) -> None:
        """`read` reads one page; it gives None when that has killed its process."""
        self._read = read
        self._fonts: dict[str, KnownFonts] = {}  # by document, the one asked for last at the end

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        document_id = image.layer.document_id if image.layer is not None else ""
        known = self._fonts.pop(document_id, {})
        self._fonts[document_id] = known
        if len(self._fonts) > DOCUMENTS_KEPT:
            del self._fonts[next(iter(self._fonts))]
        reading = await self._read(image, known, page_request.positions)
        if reading is None:
            return Answer(failure=DIED)
        for key, record in reading.fonts.items():
            known[key] = known[key] + record if key in known else record
        return reading.answer

    async def check(self) -> None:
        """It needs no key and no network."""

    async def close(self) -> None:
        """What reads the pages belongs to somebody else."""

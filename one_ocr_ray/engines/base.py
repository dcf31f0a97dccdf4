"""The seam that every engine plugs into: one method wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer, Failure, PageImage, PageRequest


class Engine(Protocol):
    """Reads one page image per call. Never retries, never waits for a rate limit, never raises for a failed request."""

    @property
    def name(self) -> str:
        """`local`, `openai` or `gemini`: what stands in the column `engine`."""

    @property
    def model(self) -> str:
        """What stands in the column `model`."""

    async def analyze_image_async(self, image: PageImage, ask: PageRequest) -> Answer:
        """Send one request for `image`; a failed one is an `Answer` with `failure` set."""

    async def check(self) -> Failure | None:
        """What is certainly wrong before the first page is sent; None when nothing speaks against a start."""

    async def close(self) -> None:
        """Release connections and processes."""

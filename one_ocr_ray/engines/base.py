"""`Engine`: the interface that every engine implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer, Failure, PageImage, PageRequest


class Engine(Protocol):
    """Reads one page image per call. Never retries, never waits for a rate limit, never raises for a failed request."""

    @property
    def name(self) -> str:
        """`local`, `openai` or `gemini`: the value of the column `engine`."""

    @property
    def model(self) -> str:
        """The value of the column `model`."""

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        """Send one request for `image`; a failed one is an `Answer` with `failure` set."""

    async def check(self) -> Failure | None:
        """What is certainly wrong, found before the first page is sent. None if nothing speaks against a start."""

    async def close(self) -> None:
        """Release connections and processes."""

"""An engine that plays a script instead of asking a model."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.model import Answer, PageImage, PageRequest, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ScriptedEngine:
    """Answers request n for a page with the n-th answer of its script; the last one answers all that follow.

    A page without a script gets its number as text. `asked` records the requests in order.
    """

    name = "scripted"

    def __init__(
        self, script: Mapping[int, Sequence[Answer]] | None = None, *, model: str = "scripted", latency_s: float = 0.0
    ) -> None:
        self.model = model
        self.asked: list[tuple[int, PageRequest]] = []
        self._times: Counter[int] = Counter()
        self._script = dict(script or {})
        self._latency_s = latency_s

    async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
        """The script's next answer for this page, after `latency_s`."""
        number = image.page_number
        asked_before = self._times[number]
        self._times[number] += 1
        self.asked.append((number, request))
        await asyncio.sleep(self._latency_s)
        answers = self._script.get(number)
        if not answers:
            return Answer(
                text=f"Page {number}", usage=TokenUsage(input_tokens=1000, output_tokens=10), finish_reason="stop"
            )
        return answers[min(asked_before, len(answers) - 1)]

    async def check(self) -> None:
        """A script is always ready."""

    async def close(self) -> None:
        """Nothing to release."""

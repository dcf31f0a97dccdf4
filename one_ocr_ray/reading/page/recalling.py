"""Answers of provider batches as `read_page` meets them, and what any answer has cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from one_ocr_ray.engines.shrinking import changed_image
from one_ocr_ray.model import TokenUsage
from one_ocr_ray.policy.cost.spending import may_be_billed
from one_ocr_ray.reading.route.reader import PageDeferred

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer, PageImage, PageRequest
    from one_ocr_ray.policy.cost.spending import PageUsage
    from one_ocr_ray.reading.route.reader import Metering, Reader
    from one_ocr_ray.routing import RouteReason


async def recalled_answer(
    image: PageImage, request: PageRequest, reader: Reader, spent: PageUsage, before: tuple[RouteReason | None, int]
) -> Answer | None:
    """The next answer of a batch, judged. None where the request is to be sent online.

    Raises PageDeferred where it goes into a batch. The time of such an answer is unknown, and its money is recorded
    with the batch. `before`: why earlier readers have sent the page on, and their attempts.
    """
    batch = reader.batch
    if batch is None:
        return None
    answer = batch.next_answer()
    if answer is None:
        await batch.submit(image, request, before)
        return None
    cost_usd = cost_usd_of(answer, batch.metering)
    most_usd = batch.metering.most_usd(image, request)
    spent.add(answer, 0.0, cost_usd, most_usd, reader=reader.called, is_recalled=True)
    batch.metering.learn(image, request, answer)
    return reader.judge(answer, request)


def cost_usd_of(answer: Answer | None, metering: Metering, held_s: float | None = None) -> float | None:
    """The cost of one request; None when unknown. An error that cannot be billed costs nothing."""
    if answer is None:
        return metering.cost_usd(TokenUsage(), held_s)  # 0.0 at an engine that costs nothing
    if answer.failure is not None and answer.usage == TokenUsage() and not may_be_billed(answer.failure):
        return 0.0
    return metering.cost_usd(answer.usage, held_s)


async def image_as_wanted(image: PageImage, sent: PageImage, request: PageRequest, before: PageRequest) -> PageImage:
    """The image for `request`, after `sent` for `before`. Raises PageDeferred for an image without its bytes."""
    if (request.image_scale, request.turn_deg) == (before.image_scale, before.turn_deg):
        return sent
    if not image.data:
        raise PageDeferred  # answers of batches are looked at without images first
    return await asyncio.to_thread(changed_image, image, request.image_scale, request.turn_deg)

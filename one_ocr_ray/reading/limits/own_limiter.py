"""The rate limiter of a lone process: the cluster's gate, without an actor."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.gate import Gate
from one_ocr_ray.policy.ratelimit.messages import Grant

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient

ANSWER_WITHIN_S = 5.0


class OwnLimiter:
    """For one event loop, and one client that has one `acquire` outstanding."""

    def __init__(self) -> None:
        self._gate = Gate(time.monotonic())
        self._heard = asyncio.Event()

    async def ready(self) -> None:
        """Nothing to start."""

    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant:
        """Wait for up to `wanted` permits; an empty grant after five seconds."""
        self.report(client, feedback)
        self._gate.enqueue(client, wanted, tokens_each, feedback)
        ends_at = time.monotonic() + ANSWER_WITHIN_S
        while (now := time.monotonic()) < ends_at:
            self._heard.clear()
            answers, look_at = self._gate.dispatch(now)
            if client.client_id in answers:
                return answers[client.client_id]
            with suppress(TimeoutError):
                async with asyncio.timeout(min(ends_at, look_at or ends_at) - now):
                    await self._heard.wait()
        self._gate.cancel(client.client_id)
        return Grant(held=self._gate.held(now))

    def report(self, client: LimiterClient, feedback: Feedback) -> None:
        """Record what the client has seen."""
        self._gate.record_feedback(client, feedback, time.monotonic(), random.random())  # noqa: S311 - spreads retries
        self._heard.set()

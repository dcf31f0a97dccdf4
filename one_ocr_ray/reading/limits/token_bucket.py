"""Rate limits inside one process: the public token bucket, and permits of engines without limits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.policy.ratelimit.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from one_ocr_ray.model import Answer, Failure


class RateLimitedError(OneOcrError):
    """The bucket does not hold enough tokens; it will in `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"The rate limit is reached; try again in {wait_s:.3g} s.")
        self.wait_s = wait_s


class TokenBucketRateLimiter:
    """`max_tokens` at once, `tokens_per_second` in the long run, for the coroutines of one event loop.

    `on_empty` says what `consume` does when there are not enough tokens: `wait` for them (first come, first served),
    `refuse` by returning False, or `raise` RateLimitedError.

        limiter = TokenBucketRateLimiter(tokens_per_second=10, max_tokens=20)
        await limiter.consume(1)

    `clock` and `sleep` are in seconds.
    """

    def __init__(
        self,
        tokens_per_second: float,
        max_tokens: float,
        on_empty: Literal["wait", "refuse", "raise"] = "wait",
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises ValueError unless both numbers are positive."""
        self._bucket = TokenBucket(tokens_per_second, max_tokens, clock())
        self._on_empty = on_empty
        self._clock = clock
        self._sleep = sleep
        self._turnstile = asyncio.Lock()

    async def consume(self, tokens: float = 1) -> bool:
        """Take `tokens`; False when they were refused. Raises ValueError when the bucket is too small for them."""
        async with self._turnstile:  # fair: a large request is not overtaken for ever by small ones
            while wait_s := self._bucket.wait_s(tokens, self._clock()):
                if self._on_empty == "refuse":
                    return False
                if self._on_empty == "raise":
                    raise RateLimitedError(wait_s)
                await self._sleep(wait_s)
            self._bucket.take(tokens, self._clock())
            return True


class NoLimit:
    """No limit: for engines that run on this cluster."""

    async def ready(self) -> None:
        """Nothing to start."""

    async def acquire(self, tokens: int) -> None:
        """Return at once."""

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        """Nothing to learn."""

    def stop(self, failure: Failure) -> None:
        """Nobody to tell."""

    def held(self) -> None:
        """Nothing holds anything up."""

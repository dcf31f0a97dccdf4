"""TokenBucketRateLimiter in its three behaviours, on a manual clock."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.policy.ratelimit.token_bucket import TokenBucket
from one_ocr_ray.reading.limits.token_bucket import NoLimit, RateLimitedError, TokenBucketRateLimiter


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def limiter(clock: Clock, on_empty: Literal["wait", "refuse", "raise"] = "wait", **more: Any) -> TokenBucketRateLimiter:
    return TokenBucketRateLimiter(10, 20, on_empty, clock=clock, sleep=clock.sleep, **more)


@pytest.mark.parametrize("on_empty", ["wait", "refuse", "raise"])
async def test_tokens_that_are_there_are_taken_at_once(on_empty: Literal["wait", "refuse", "raise"]) -> None:
    """A full bucket gives all it holds."""
    clock = Clock()
    assert await limiter(clock, on_empty).consume(20)
    assert clock.slept == []


async def test_waiting_takes_exactly_the_time_that_is_missing() -> None:
    """Five tokens at ten a second are half a second."""
    clock = Clock()
    waiting = limiter(clock)
    await waiting.consume(20)
    assert await waiting.consume(5)
    assert sum(clock.slept) == pytest.approx(0.5)


async def test_refusing_takes_nothing() -> None:
    """A refused request costs no token and no time."""
    clock = Clock()
    refusing = limiter(clock, "refuse")
    await refusing.consume(19)
    assert not await refusing.consume(2)
    assert await refusing.consume(1)
    assert clock.slept == []


async def test_raising_says_how_long_to_wait() -> None:
    """The exception carries the seconds; after them the same call succeeds."""
    clock = Clock()
    raising = limiter(clock, "raise")
    await raising.consume(20)
    with pytest.raises(RateLimitedError) as caught:
        await raising.consume(3)
    assert caught.value.wait_s == pytest.approx(0.3)
    assert isinstance(caught.value, OneOcrError)
    clock.now += caught.value.wait_s
    assert await raising.consume(3)


@pytest.mark.parametrize("on_empty", ["wait", "refuse", "raise"])
@pytest.mark.parametrize("tokens", [21, 0, -1])
async def test_what_never_fits_is_a_mistake(on_empty: Literal["wait", "refuse", "raise"], tokens: int) -> None:
    """More than the bucket holds would wait for ever; nothing or less would be a gift."""
    with pytest.raises(ValueError, match="tokens"):
        await limiter(Clock(), on_empty).consume(tokens)


@pytest.mark.parametrize(("tokens_per_second", "max_tokens"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_needs_a_rate_and_a_size(tokens_per_second: float, max_tokens: float) -> None:
    """Zero of either would never give anything."""
    with pytest.raises(ValueError, match="positive"):
        TokenBucketRateLimiter(tokens_per_second, max_tokens)


async def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    """First come, first served."""
    clock, order = Clock(), []
    waiting = limiter(clock)
    await waiting.consume(20)

    async def consume(tokens: int) -> None:
        await waiting.consume(tokens)
        order.append(tokens)

    await asyncio.gather(*(consume(tokens) for tokens in (20, 1, 2, 3)))
    assert order == [20, 1, 2, 3]


async def test_who_is_cancelled_takes_nothing_and_blocks_nobody() -> None:
    """The next in line gets the tokens."""
    waiting = TokenBucketRateLimiter(1, 5, sleep=lambda _: asyncio.sleep(3600))
    await waiting.consume(5)
    gone = asyncio.create_task(waiting.consume(5))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    later = asyncio.create_task(waiting.consume(5))
    await asyncio.sleep(0)
    assert not later.done()
    later.cancel()


async def test_free_permits_are_free() -> None:
    """An engine on this cluster waits for nobody."""
    permits = NoLimit()
    waiting = asyncio.create_task(permits.acquire(1_000_000))
    await asyncio.sleep(0)
    assert waiting.done()
    permits.report(1_000_000, None, 0.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 20)), max_size=50))
def test_no_more_than_the_bucket_and_the_flow(asked: list[tuple[float, float]]) -> None:
    """In any stretch of time at most `max_tokens` plus the flow of that time go out."""
    bucket, now, taken = TokenBucket(10, 20, 0.0), 0.0, []
    for passed_s, tokens in asked:
        now += passed_s
        if not bucket.wait_s(tokens, now):
            bucket.take(tokens, now)
            taken.append((now, tokens))
    for first, (start, _) in enumerate(taken):
        total = 0.0
        for at, tokens in taken[first:]:
            total += tokens
            assert total <= 20 + 10 * (at - start) + 1e-6

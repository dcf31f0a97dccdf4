"""Turns among owners: one's many never hold up another's few, and none is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("at_once", "held"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (4, [2, 1, 1]), (64, [32, 16, 8])])
def test_of_shared_turns_the_next_owner_finds_one_free(at_once: int, held: list[int]) -> None:
    """Each owner in turn has half of what the others leave, however many they ask for."""

    async def main() -> list[int]:
        turns, had = FairSemaphore(at_once, shared=True), Counter[str]()

        async def take(owner: str) -> None:
            await turns.take(owner)
            had[owner] += 1

        waiting = []
        for owner in "abc":
            waiting += [asyncio.create_task(take(owner)) for _ in range(100)]
            await settled()
        for task in waiting:
            task.cancel()
        return [had[owner] for owner in "abc"]

    assert asyncio.run(main()) == held


def test_bytes_in_hand_are_bounded_and_the_largest_goes_alone() -> None:
    """Pages of 41 MB do not wait by the hundreds in memory; one that is larger than the bound is read all the same."""

    async def main() -> None:
        turns, in_hand, most = FairSemaphore(256, bytes_at_once=100), 0, 0

        async def page(size: int) -> None:
            nonlocal in_hand, most
            await turns.take("o", size)
            in_hand += size
            most = max(most, in_hand if size <= 100 else 0)
            await asyncio.sleep(0)
            in_hand -= size
            turns.give_back("o", size)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for size in [41] * 50 + [500] + [1] * 200:
                group.create_task(page(size))
        assert 41 <= most <= 100
        assert turns.free == 256

    asyncio.run(main())


@pytest.mark.parametrize("shared", [False, True])
def test_no_turn_is_lost_to_work_that_is_cancelled_at_any_moment(shared: bool) -> None:
    """Thousands of cancels before, at and after the turn: all are free at the end, and nobody waits."""

    async def main() -> None:
        turns, chance = FairSemaphore(8, shared=shared, bytes_at_once=50), random.Random(18)

        async def work(owner: str, size: int) -> None:
            await turns.take(owner, size)
            try:
                await asyncio.sleep(chance.random() / 1000)
            finally:
                turns.give_back(owner, size)

        tasks: list[asyncio.Task[None]] = []
        for number in range(3000):
            tasks.append(asyncio.create_task(work(chance.choice("abc"), chance.randrange(30))))
            if number % 3 == 0:
                for task in chance.sample(tasks[-20:], min(4, len(tasks))):
                    task.cancel()  # several in one instant
            if number % 7 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert turns.free == 8
        assert not any(map(turns.waiting, "abc"))
        await turns.take("a", 50)  # and every byte is back

    asyncio.run(main())

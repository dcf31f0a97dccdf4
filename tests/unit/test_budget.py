"""The cost ceiling: never passed, whatever requests cost, and used nearly to the end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.cost.budget import Budget
from one_ocr_ray.reading.limits.budget import BudgetShare

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_USD = 0.01


class Source:
    """A budget that shares reach without an actor between."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def allocate(self, needed_usd: float) -> float:
        return self._budget.allocate(needed_usd)

    async def refund(self, usd: float) -> None:
        self._budget.refund(usd)


@given(
    st.floats(0, 1),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 1)), max_size=100),
)
def test_spent_and_reserved_never_pass_the_ceiling(
    ceiling_usd: float, workers: int, steps: list[tuple[int, bool, float]]
) -> None:
    """Shares allocate, reserve and settle in any order; what is spent, reserved or left is what there was."""

    async def play() -> None:
        budget = Budget(ceiling_usd)
        shares = [BudgetShare(Source(budget)) for _ in range(workers)]
        sent, spent_usd = [0] * workers, 0.0

        async def send(number: int) -> None:
            with suppress(StoppedError):
                await shares[number].reserve(MOST_USD)
                sent[number] += 1

        waiting = []
        for worker, sends, part in steps:
            number = worker % workers
            if sends:
                waiting.append(asyncio.create_task(send(number)))
            elif sent[number]:
                sent[number] -= 1
                spent_usd += MOST_USD * part
                shares[number].settle(MOST_USD, MOST_USD * part)
            for _ in range(6):
                await asyncio.sleep(0)
            assert spent_usd + sum(sent) * MOST_USD <= ceiling_usd + 1e-9
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for share in shares:
            await share.close()
        assert spent_usd + sum(sent) * MOST_USD + budget.left_usd == pytest.approx(ceiling_usd)

    asyncio.run(play())


@pytest.mark.parametrize("share", [lambda: BudgetShare(Source(Budget(1.0))), lambda: BudgetShare(free_usd=1.0)])
async def test_one_worker_spends_all_but_one_request(share: Callable[[], BudgetShare]) -> None:
    """What cheap requests give back is spent again, whether the share draws from a budget or holds all of it."""
    mine, spent_usd = share(), 0.0

    async def spend() -> None:
        nonlocal spent_usd
        while True:
            await mine.reserve(MOST_USD)
            mine.settle(MOST_USD, MOST_USD / 4)
            spent_usd += MOST_USD / 4

    with pytest.raises(StoppedError, match="ceiling is reached") as stopped:
        await spend()
    assert stopped.value.code is ErrorCode.BUDGET
    assert 1.0 - 1.001 * MOST_USD <= spent_usd <= 1.0


async def test_a_request_waits_for_others_to_cost_less() -> None:
    """While requests are under way the ceiling is not reached yet."""
    share = BudgetShare(free_usd=MOST_USD)
    await share.reserve(MOST_USD)
    later = asyncio.create_task(share.reserve(MOST_USD))
    await asyncio.sleep(0.01)
    assert not later.done()
    share.settle(MOST_USD, 0.0)
    await later


async def test_an_unknown_price_keeps_no_ceiling() -> None:
    """Nothing is sent that nobody can count."""
    with pytest.raises(StoppedError, match="price of the model is unknown"):
        await BudgetShare(free_usd=1.0).reserve(None)


def test_a_budget_has_no_debts() -> None:
    """An output that has cost more than the ceiling gets nothing."""
    assert Budget(-5.0).allocate(0.01) == 0.0

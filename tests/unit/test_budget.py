"""The cost ceiling: never passed, whatever requests cost, and used nearly to the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.cost.budget import Purse, Till

MOST_USD = 0.01


@given(
    st.floats(0, 1),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 1)), max_size=300),
)
def test_spent_and_reserved_never_pass_the_ceiling(
    ceiling_usd: float, workers: int, steps: list[tuple[int, bool, float]]
) -> None:
    """Purses draw, reserve and settle in any order; the sum of all money stays what it was."""
    till = Till(ceiling_usd)
    purses = [Purse() for _ in range(workers)]
    out = [0] * workers
    spent_usd = 0.0
    for worker, sends, share in steps:
        number = worker % workers
        purse = purses[number]
        if sends:
            purse.add(till.draw(purse.missing(MOST_USD)) if purse.missing(MOST_USD) else 0.0)
            out[number] += purse.reserve(MOST_USD)
        elif out[number]:
            out[number] -= 1
            spent_usd += MOST_USD * share
            purse.settle(MOST_USD, MOST_USD * share)
        assert spent_usd + sum(out) * MOST_USD <= ceiling_usd + 1e-9


def test_one_worker_spends_all_but_one_request() -> None:
    """What cheap requests give back is spent again."""
    till, purse, spent_usd = Till(1.0), Purse(), 0.0
    while True:
        missing = purse.missing(MOST_USD)
        purse.add(till.draw(missing) if missing else 0.0)
        if not purse.reserve(MOST_USD):
            break
        purse.settle(MOST_USD, MOST_USD / 4)
        spent_usd += MOST_USD / 4
    assert 1.0 - 1.001 * MOST_USD <= spent_usd <= 1.0


def test_a_till_has_no_debts() -> None:
    """An output that has cost more than the ceiling gets nothing."""
    assert Till(-5.0).draw(0.01) == 0.0

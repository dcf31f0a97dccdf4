"""What uploads of one key may cost in a day: never passed, also over a crash of whoever keeps it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.service.key_budget import KeyBudgets, today
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.key_budgets import KeyDay, keep_key_day, key_day

if TYPE_CHECKING:
    from pathlib import Path

MOST_USD = 0.01


def drawn(keeper: KeyBudgets, owner: str) -> float:
    """All that can be drawn."""
    total = 0.0
    while chunk := keeper.allocate(owner, MOST_USD):
        total += chunk
    return total


def test_each_key_has_the_budget_and_no_more_of_it_after_a_crash(tmp_path: Path) -> None:
    """What was handed out by a keeper that died counts as spent; what was given back can be spent."""
    keeper = KeyBudgets(str(tmp_path), 1.0)
    in_hand = keeper.allocate("a", MOST_USD)
    again = KeyBudgets(str(tmp_path), 1.0)
    assert in_hand + drawn(again, "a") == pytest.approx(1.0, abs=MOST_USD)
    again.refund("a", 0.5)
    assert drawn(again, "a") == pytest.approx(0.5, abs=MOST_USD)
    assert drawn(again, "b") == pytest.approx(1.0, abs=MOST_USD)


def test_a_day_is_over_when_a_request_was_refused(tmp_path: Path) -> None:
    """A rest that no request fits into is no budget; money that comes back is."""
    store, keeper = Objects(str(tmp_path)), KeyBudgets(str(tmp_path), 0.1)
    assert key_day(store, "a", today()) is None
    keeper.allocate("a", MOST_USD)
    assert not _is_over(store)
    drawn(keeper, "a")
    assert _is_over(store)
    keeper.refund("a", 0.05)
    assert not _is_over(store)


def test_a_new_day_has_a_new_budget(tmp_path: Path) -> None:
    """And the records of days before go."""
    store = Objects(str(tmp_path))
    keep_key_day(store, "a", today() - timedelta(days=1), KeyDay(0.0, 1.0))
    keeper = KeyBudgets(str(tmp_path), 1.0)
    keeper._day -= timedelta(days=1)
    assert drawn(keeper, "a") == pytest.approx(1.0, abs=MOST_USD)
    assert store.folders("budgets") == {today().isoformat()}


def test_a_budget_that_was_lowered_holds_as_it_is_now(tmp_path: Path) -> None:
    """What is left of the higher one is cut to it."""
    KeyBudgets(str(tmp_path), 5.0).allocate("a", MOST_USD)
    assert drawn(KeyBudgets(str(tmp_path), 1.0), "a") == pytest.approx(1.0, abs=MOST_USD)


def _is_over(store: Objects) -> bool:
    stands = key_day(store, "a", today())
    return stands is not None and stands.is_over

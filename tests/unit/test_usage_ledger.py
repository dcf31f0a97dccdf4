"""What a key has used: exact, whatever dies between two writes, and bounded."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.tasks.transitions import PageOutcome
from one_ocr_ray.policy.tasks.usage import Use, added, use_of
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.usage_ledger import KEPT_FOR, UsageLedger
from tests.values import NOON

if TYPE_CHECKING:
    from pathlib import Path

TODAY = NOON.date()
ONE = {TODAY.isoformat(): {"openai": Use(1, 10, 5, 0.5)}}


def page(*, cost_usd: float | None = 0.5, tokens: int | None = 10, days: int = 0) -> PageOutcome:
    return PageOutcome(
        1, PageStatus.OK, None, 1, tokens, tokens, cost_usd, "openai", "m", None, "a", NOON + timedelta(days)
    )


def test_pages_are_added_up_by_day() -> None:
    """A lost answer costs nothing known, a missing price makes the sum unknown."""
    tomorrow = (TODAY + timedelta(1)).isoformat()
    assert use_of([page(), page(days=1), page(cost_usd=None, tokens=None)]) == {
        TODAY.isoformat(): {"openai": Use(2, 10, 10, 0.5)},
        tomorrow: {"openai": Use(1, 10, 10, 0.5)},
    }
    assert use_of([page(), page(cost_usd=None)])[TODAY.isoformat()]["openai"].cost_usd is None


@pytest.mark.parametrize("crash", ["none", "before the sum", "before the deletion"])
def test_a_crash_counts_nothing_twice(tmp_path: Path, crash: str) -> None:
    """Whatever files are left, and however often a run is stored before its end is durable."""
    ledger, objects = UsageLedger(str(tmp_path)), Objects(str(tmp_path))
    still_open = {"t_3"}
    for run in ("t_1", "t_2", "t_3", "t_3"):
        ledger.put("me", run, ONE)
    left = {info.path: objects.get(info.path) for info in list(objects.list("usage"))}
    ledger.add_up(still_open, TODAY)
    if crash == "before the sum":
        objects.delete("usage/me/sum.json")
    if crash != "none":
        for path, data in left.items():
            objects.put(path, data or b"")
    for _ in range(2):
        assert ledger.use("me") == added([ONE, ONE, ONE])
        ledger.add_up(still_open, TODAY)
    still_open.clear()
    ledger.add_up(still_open, TODAY)
    ledger.add_up(still_open, TODAY)
    assert ledger.use("me") == added([ONE, ONE, ONE])
    assert [info.path for info in objects.list("usage")] == ["usage/me/sum.json"]
    assert ledger.use("") == {}


def test_long_gone_days_are_forgotten(tmp_path: Path) -> None:
    """The sum of a key stays small for ever."""
    ledger = UsageLedger(str(tmp_path))
    for number in range(3):
        day = TODAY + timedelta(days=300 * number)
        ledger.put("", f"t_{number}", {day.isoformat(): {"local": Use(1)}})
        ledger.add_up((), day)
    assert [date.fromisoformat(day) for day in ledger.use("")] == [TODAY + timedelta(300), TODAY + timedelta(600)]
    assert timedelta(300) < KEPT_FOR < timedelta(600)


def test_a_sum_that_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    """Nor does it keep the others from being added up."""
    ledger, objects = UsageLedger(str(tmp_path)), Objects(str(tmp_path))
    objects.put("usage/all/sum.json", b'{"format": 2}')
    for owner in ("", "other"):
        ledger.put(owner, "t_1", ONE)
    ledger.add_up((), TODAY)
    assert ledger.use("") == ledger.use("other") == ONE
    assert objects.get("usage/all/sum.json") == b'{"format": 2}'
    assert sorted(info.path for info in objects.list("usage/other")) == ["usage/other/sum.json"]


def test_a_torn_file_costs_its_run_alone(tmp_path: Path) -> None:
    """The others are counted, now and later."""
    ledger = UsageLedger(str(tmp_path))
    ledger.put("", "t_1", ONE)
    (tmp_path / "usage" / "all" / "runs" / "ab.json").write_bytes(b"{")
    assert ledger.use("") == ONE
    ledger.add_up((), TODAY)
    assert ledger.use("") == ONE

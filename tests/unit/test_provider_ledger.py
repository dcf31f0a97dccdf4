"""The arithmetic on the provider's ledger: the witnesses of all claims about rates and repeated calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.provider.ledger import (
    Ledger,
    PageCalls,
    Row,
    arrivals,
    by_page,
    gaps,
    most_in_flight,
    rate_between,
    rows_of,
    summary,
    undercuts,
    worst_window,
)

if TYPE_CHECKING:
    from pathlib import Path

TIMES = st.lists(st.integers(0, 300), max_size=50).map(sorted)


def row(serial: int = 1, arrived_s: float = 0.0, **changes: Any) -> Row:
    """A request answered within a tenth of a second, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "serial": serial,
        "operation": "read",
        "dialect": "openai",
        "arrived_s": arrived_s,
        "arrived_at": 1.7e9 + arrived_s,
        "finished_s": arrived_s + 0.1,
        "status": 200,
        "answered": True,
        "aborted": False,
        "fault": None,
        "hint_s": None,
        "model": "m",
        "page": f"doc-0001 page {serial}",
        "input_tokens": 10,
        "output_tokens": 5,
        "charged_tokens": 15,
        "key": "abc",
        "client": "127.0.0.1:1",
        "request_id": None,
        "body_bytes": 100,
    }
    return Row(**(values | changes))


@given(TIMES, st.integers(1, 100))
def test_the_worst_window_is_the_worst_of_all_windows(times: list[int], window: int) -> None:
    """The sliding count equals the count of every window that begins with an event."""
    brute = max((sum(start <= time < start + window for time in times) for start in times), default=0)
    assert worst_window(times, window) == brute


@given(TIMES, st.integers(1, 100), st.data())
def test_the_worst_window_weighs_tokens(times: list[int], window: int, data: st.DataObject) -> None:
    """With weights it is the largest sum."""
    weights = data.draw(st.lists(st.integers(0, 9), min_size=len(times), max_size=len(times)))
    pairs = list(zip(times, weights, strict=True))
    brute = max((sum(w for time, w in pairs if start <= time < start + window) for start in times), default=0)
    assert worst_window(times, window, weights) == brute


def test_rates_and_gaps_are_those_of_the_times_given() -> None:
    """Rates count what lies in the span, its end excluded."""
    assert gaps([1.0, 1.5, 4.0]) == [0.5, 2.5]
    assert rate_between([0.0, 1.0, 2.0, 3.0, 4.0], 1.0, 3.0) == 1.0


def test_requests_overlap_only_while_both_are_under_way() -> None:
    """One that ends as another arrives does not overlap it."""
    rows = [row(1, 0.0, finished_s=1.0), row(2, 0.5, finished_s=2.0), row(3, 1.0, finished_s=3.0)]
    assert most_in_flight(rows) == 2


def test_a_request_within_a_hint_undercuts_it() -> None:
    """The grace covers what was on its way; the hint counts from when it was given; models are not throttled."""
    throttled = row(1, 0.0, finished_s=1.0, status=429, answered=False, hint_s=5.0)
    others = [row(2, 1.05), row(3, 3.0), row(4, 5.99), row(5, 6.0), row(6, 4.0, operation="models")]
    assert [late.serial for late in undercuts([throttled, *others], grace_s=0.1)] == [3, 4]


def test_pages_are_counted_asked_and_answered() -> None:
    """A page sent three times and answered twice was paid for twice; requests without an image are no page's."""
    rows = [row(page="a"), row(page="a", answered=False), row(page="a"), row(page="b"), row(page=None)]
    assert by_page(rows) == {"a": PageCalls(3, 2), "b": PageCalls(1, 1)}
    counts = summary(rows)
    assert (counts["pages"], counts["pages_answered"], counts["pages_answered_again"]) == (2, 2, 1)


def test_refused_requests_can_be_left_out_of_arrivals() -> None:
    """Quota use is measured over what was admitted, politeness over all."""
    rows = [row(1, 2.0), row(2, 1.0, status=429, answered=False), row(3, 0.5, operation="models")]
    assert arrivals(rows) == [1.0, 2.0]
    assert arrivals(rows, admitted=True) == [2.0]


def test_a_ledger_file_holds_every_row_at_once(tmp_path: Path) -> None:
    """A row is in the file before the ledger is closed, the file survives a reset, and reads back as it was."""
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    first, second = row(1, settings={"temperature": 0.2}), row(2)
    ledger.add(second)
    ledger.add(first)
    ledger.forget(1)
    assert rows_of(path.read_bytes()) == [first, second]
    assert list(ledger.rows) == [second]
    ledger.close()


def test_a_forgotten_request_that_ends_later_stays_forgotten() -> None:
    """What was under way when the ledger was emptied does not turn up in the next test's rows."""
    ledger = Ledger()
    ledger.forget(7)
    ledger.add(row(7))
    ledger.add(row(8))
    assert [entry.serial for entry in ledger.rows] == [8]


def test_an_empty_ledger_has_a_summary() -> None:
    """Nothing seen is zero, not an error."""
    assert summary([])["worst_windows"] == {"1": 0.0, "60": 0.0}
    assert most_in_flight([]) == pytest.approx(0)

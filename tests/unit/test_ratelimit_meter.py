"""Meters: what they grant fits their rate, whatever is asked when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient
from one_ocr_ray.policy.ratelimit.meter import (
    CATCH_UP,
    DENSER_AT_MOST,
    MISSED_AT_MOST_S,
    SAVED_AT_MOST_S,
    DayMeter,
    GcraMeter,
)

RATE = 10.0
DAY_S = 86_400.0
asks = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 30)), min_size=1, max_size=60)  # (idle seconds, amount)


@given(asks)
def test_grants_never_overtake_the_rate(asked: list[tuple[float, float]]) -> None:
    """From any grant on to the end of any later one, what was granted took its time at the rate, but for a moment."""
    meter, now, grants = GcraMeter(), 100.0, []
    for idle_s, amount in asked:
        now += idle_s
        start = max(now, meter.next_at)
        meter.take(start, amount, RATE)
        grants.append((start, meter.next_at, amount))
    for first in range(len(grants)):
        total = 0.0
        for start, end, amount in grants[first:]:
            total += amount
            assert start <= end
            took_s, due_s = end - grants[first][0], total / RATE
            assert took_s >= max(due_s - MISSED_AT_MOST_S, due_s * (1 - CATCH_UP)) - 1e-6


def test_an_amount_beyond_any_burst_is_granted_and_the_next_one_pays() -> None:
    """A page of an hour's tokens goes out now; the one after it waits the hour."""
    meter = GcraMeter()
    meter.take(0.0, 3600 * RATE, RATE)
    assert meter.next_at == 3600.0


def test_an_idle_meter_saves_no_more_than_a_moment_up() -> None:
    """After an hour of silence the rate is what it was, and a hundredth more until the moment is made up for."""
    meter = GcraMeter()
    meter.take(0.0, 1, RATE)
    first_s = meter.take(3600.0, 20, RATE)
    assert first_s == pytest.approx(2.0 * (1 - CATCH_UP))
    assert first_s + sum(meter.take(meter.next_at, 20, RATE) for _ in range(49)) == pytest.approx(
        100 - MISSED_AT_MOST_S
    )


def test_what_was_not_used_makes_later_grants_denser_but_never_a_burst() -> None:
    """A small refund is spent at little more than the rate, a large one at no more than twice, until it is gone."""
    small, large = GcraMeter(), GcraMeter()
    for meter, refund in ((small, 0.2), (large, 50)):
        meter.take(0.0, 100, RATE)
        meter.settle(-refund, 1.0, RATE)
    assert small.take(10.0, 10, RATE) == pytest.approx(1.0 - 0.02)
    assert small.take(small.next_at, 10, RATE) == pytest.approx(1.0)
    assert large.take(10.0, 10, RATE) == pytest.approx(1.0 - DENSER_AT_MOST)
    granted_s = [large.take(large.next_at, 10, RATE) for _ in range(100)]
    assert granted_s == sorted(granted_s)
    assert granted_s[-1] == pytest.approx(1.0, abs=1e-3)
    assert sum(granted_s) == pytest.approx(100 - (50 - 5) / RATE, abs=1e-2)


def test_refunds_are_bounded() -> None:
    """Whatever comes back, five seconds of the rate are kept."""
    meter = GcraMeter()
    meter.settle(-1e9, 0.0, RATE)
    assert meter.take(0.0, 1000, RATE) == 1000 / RATE - SAVED_AT_MOST_S


def test_what_was_used_beyond_the_grant_is_paid_at_once() -> None:
    """A surplus pushes the next grant away by its time, counted from now if the meter is idle."""
    meter = GcraMeter()
    meter.take(0.0, 10, RATE)
    meter.settle(5, 0.2, RATE)
    assert meter.next_at == 1.5
    meter.settle(5, 100.0, RATE)
    assert meter.next_at == 100.5


@given(st.lists(st.tuples(st.floats(0, 20_000), st.integers(1, 40)), max_size=80), st.integers(1, 200))
def test_no_24_hours_hold_more_than_the_limit(asked: list[tuple[float, int]], limit: int) -> None:
    """Wherever a provider's day begins, it does not see more."""
    meter, now, granted = DayMeter(), 0.0, []
    for wait_s, wanted in asked:
        now += wait_s
        permits = min(wanted, meter.left(limit, now))
        if permits:
            meter.take(permits, now)
            granted.append((now, permits))
    for start, _ in granted:
        assert sum(permits for at, permits in granted if start <= at < start + DAY_S) <= limit


def test_a_used_up_day_says_when_it_frees() -> None:
    """Nothing is left until the oldest hour is 24 hours past, and then what that hour had used."""
    meter = DayMeter()
    meter.take(3, 1800.0)
    meter.take(7, 7200.0)
    assert meter.left(10, 7300.0) == 0
    frees_at = meter.frees_at()
    assert DAY_S + 1800.0 <= frees_at <= DAY_S + 3600.0
    assert meter.left(10, frees_at - 1) == 0
    assert meter.left(10, frees_at) == 3


def test_a_day_counts_requests_and_not_permits() -> None:
    """What a client gives back unused was no request; what is told late, or twice, counts once."""
    meter, who = DayMeter(), LimiterClient("a", "job")
    meter.record_feedback(who, Feedback(), 0.0)
    meter.take(10, 0.0, "job")
    meter.record_feedback(who, Feedback(received=10, finished=8, unused=7), 3700.0)
    assert meter.left(10, 3700.0) == 7
    meter.record_feedback(who, Feedback(received=10, finished=10, unused=7), 3701.0)
    assert meter.left(10, 3701.0) == 7
    assert meter.left(10, DAY_S + 2 * 3600.0) == 10


def test_a_new_meter_hears_what_its_clients_have_sent() -> None:
    """The limiter was killed: those who go on tell of their own, once."""
    meter, who = DayMeter(), LimiterClient("a", "job")
    for _ in range(2):
        meter.record_feedback(who, Feedback(received=10, finished=8, unused=4), 0.0)
    assert meter.left(10, 0.0) == 4


def test_what_earlier_runs_have_sent_counts_where_it_is_not_known() -> None:
    """Told as often as one likes; of a run that this meter has served itself only what it has not counted."""
    meter = DayMeter()
    meter.take(5, 90_000.0, "second")
    for _ in range(2):
        meter.remember({"first": [(50_000.0, 3), (10.0, 1)], "second": [(20.0, 6)]}, 90_000.0)
        assert meter.left(100, 90_000.0) == 100 - 4 - 6
    assert meter.left(100, 90_000.0 + 12 * 3600.0) == 100 - 1 - 6  # each is forgotten in its time

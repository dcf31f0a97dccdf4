"""The test provider's quotas, exact on a manual clock: one that is off by one would prove nothing about a limiter."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.provider.ledger import worst_window
from tests.provider.quotas import Account, Mode, Quota, Unit, strict_minute
from tests.provider.throttles import duration, rate_headers

# Arrival times in whole milliseconds, so that windows end exactly where the test says.
ARRIVALS = st.lists(st.integers(0, 4000), min_size=1, max_size=60).map(
    lambda times: [time / 1000 for time in sorted(times)]
)
REQUESTS, TOKENS = Unit.REQUESTS, Unit.TOKENS


def admitted(account: Account, times_s: list[float], tokens: float = 1.0) -> list[float]:
    """The times of those requests that the account lets in."""
    return [time_s for time_s in times_s if account.admit(time_s, tokens) is None]


@given(ARRIVALS, st.integers(1, 8))
def test_a_sliding_window_admits_exactly_what_fits(times_s: list[float], limit: int) -> None:
    """A request is let in if and only if fewer than `limit` were let in within the second before it."""
    account = Account((Quota(unit=REQUESTS, limit=limit, window_s=1.0),), 0.0, failed_requests_count=False)
    expected: list[float] = []
    for time_s in times_s:
        if sum(earlier > time_s - 1.0 + 1e-6 for earlier in expected) < limit:
            expected.append(time_s)
    assert admitted(account, times_s) == expected
    assert worst_window(expected, 1.0 - 1e-6) <= limit


@given(ARRIVALS, st.integers(1, 8), st.integers(1, 5))
def test_a_bucket_admits_exactly_what_has_flowed_in(times_s: list[float], rate: int, burst: int) -> None:
    """A request is let in if and only if the bucket, full at the start and refilled evenly, holds a whole one."""
    quota = Quota(unit=REQUESTS, limit=rate, window_s=1.0, mode=Mode.BUCKET, burst=burst)
    level, last_s, expected = float(burst), 0.0, []
    for time_s in times_s:
        level, last_s = min(burst, level + (time_s - last_s) * rate), time_s
        if level >= 1.0 - 1e-6:
            level -= 1.0
            expected.append(time_s)
    assert admitted(Account((quota,), 0.0, failed_requests_count=False), times_s) == expected


def test_a_fixed_window_counts_from_zero_at_every_boundary() -> None:
    """Two full counts may stand side by side at the turn of a minute, which no sliding window would let pass."""
    account = Account((Quota(unit=REQUESTS, limit=3, mode=Mode.FIXED),), 1000.0, failed_requests_count=False)
    assert admitted(account, [1059.9] * 5 + [1060.0] * 5 + [1119.99]) == [1059.9] * 3 + [1060.0] * 3
    refusal = account.admit(1100.0, 1)
    assert refusal is not None
    assert refusal.wait_s == pytest.approx(20.0)


def test_a_day_is_a_fixed_window_that_ends_hours_later() -> None:
    """The day's quota refuses until the day ends, and headers do not speak of it."""
    day = Quota(unit=REQUESTS, limit=2, window_s=86400.0, mode=Mode.FIXED)
    account = Account((day,), 0.0)
    assert admitted(account, [0.0, 10.0, 20.0]) == [0.0, 10.0]
    refusal = account.admit(3600.0, 1)
    assert refusal is not None
    assert refusal.wait_s == pytest.approx(82800.0)
    assert account.meter(REQUESTS) is None


@given(st.sampled_from(list(Mode)), st.booleans(), ARRIVALS, st.integers(1, 4), st.sampled_from(list(Unit)))
def test_the_wait_of_a_refusal_is_true(
    mode: Mode, failed_requests_count: bool, times_s: list[float], limit: int, unit: Unit
) -> None:
    """Whoever waits as long as the last refusal says, and no other comes, is let in."""
    quota = Quota(unit=unit, limit=limit, window_s=1.0, mode=mode)
    account = Account((quota,), 0.0, failed_requests_count=failed_requests_count)
    for time_s in times_s:
        refusal = account.admit(time_s, 1.0)
    if refusal is not None:
        assert refusal.wait_s > 0.0
        assert account.admit(times_s[-1] + refusal.wait_s, 1.0) is None


@pytest.mark.parametrize(("counted", "least", "most"), [(True, 0.0, 0.1), (False, 0.95, 1.0)])
@pytest.mark.parametrize("mode", [Mode.BUCKET, Mode.SLIDING])
def test_failed_requests_that_count_starve_a_client_that_hammers(
    mode: Mode, counted: bool, least: float, most: float
) -> None:
    """At twice the limit without reaction almost nothing passes when refusals count, and the whole limit when not."""
    quota = Quota(unit=REQUESTS, limit=10, window_s=1.0, mode=mode, burst=1)
    account = Account((quota,), 0.0, failed_requests_count=counted)
    share = len(admitted(account, [tick / 20 for tick in range(1, 1201)])) / 600
    assert least <= share <= most


def test_a_request_larger_than_the_limit_never_fits() -> None:
    """Waiting cannot help it, and the refusal says so."""
    for mode in Mode:
        refusal = Account((Quota(unit=TOKENS, limit=1000, mode=mode),), 0.0).admit(0.0, 1001)
        assert refusal is not None
        assert math.isinf(refusal.wait_s)


def test_a_request_is_charged_to_all_quotas_or_to_none() -> None:
    """What the token quota refuses leaves the request quota as it was, unless failed requests count."""
    quotas = (Quota(unit=REQUESTS, limit=2), Quota(unit=TOKENS, limit=1000))
    account = Account(quotas, 0.0, failed_requests_count=False)
    waits = [account.admit(0.0, tokens) is None for tokens in (900, 900, 900, 100, 1)]
    assert waits == [True, False, False, True, False]


def test_a_strict_minute_refuses_a_burst_within_it() -> None:
    """600 a minute is 600 in any 60 s, and at most 11 in any second."""
    account = Account(strict_minute(600), 0.0, failed_requests_count=False)
    assert len(admitted(account, [0.0] * 600)) == 11
    # Nine are still to come in this second's shadow, then 10 a second pass for ever.
    steady = admitted(account, [1.0 + tick / 10 for tick in range(590 + 600)])
    assert len(steady) >= 589 + 590


def test_headers_speak_of_the_minute() -> None:
    """Limits are per minute whatever the window, and the reset is the time until all is free again."""
    account = Account((*strict_minute(600), Quota(unit=TOKENS, limit=1000, window_s=30.0)), 0.0)
    account.admit(0.0, 400)
    account.admit(6.0, 100)
    assert rate_headers([account.meter(unit) for unit in Unit], 10.0) == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "598",
        "x-ratelimit-reset-requests": "56s",
        "x-ratelimit-limit-tokens": "2000",
        "x-ratelimit-remaining-tokens": "500",
        "x-ratelimit-reset-tokens": "26s",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.084, "84ms"),
        (0.0121, "13ms"),
        (1.0, "1s"),
        (1.146, "1.146s"),
        (360.0, "6m0s"),
        (61.5, "1m1.5s"),
    ],
)
def test_durations_are_written_as_providers_write_them(seconds: float, text: str) -> None:
    """Milliseconds below a second, minutes from sixty; rounded up, never down."""
    assert duration(seconds) == text

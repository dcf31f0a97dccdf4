"""Ceilings, throttles, recovery and ramp on a manual clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.model import AccountLimits
from one_ocr_ray.policy.ratelimit.adapt import HEADROOM, LOWEST_SHARE, AdaptiveRate, Probe, Rates, is_of_longer
from one_ocr_ray.policy.ratelimit.messages import Limits, Throttle

SOON = Throttle(retry_after_s=0.0)
NO_JITTER = 0.0


def paused(retry_after_s: float | None, jitter: float) -> float:
    pace = AdaptiveRate(0.0)
    pace.throttle(Throttle(retry_after_s), 0.0, jitter)
    return pace.paused_until


def test_a_pause_lasts_as_long_as_the_hint_and_a_little_more() -> None:
    """The hint is a minimum; the jitter adds up to a tenth of it and half a second; no hint is a second."""
    assert paused(20.0, 0.0) == 20.0
    assert paused(20.0, 1.0) == 22.5
    assert paused(None, 0.0) == 1.0


def held_below_its_limit() -> AdaptiveRate:
    """At its full rate, throttled there a moment ago: the next throttle is no stray one."""
    pace = AdaptiveRate(-100.0)
    pace.throttle(SOON, -10.0, NO_JITTER)
    assert pace.share(0.0) == 1.0
    return pace


def test_a_shorter_hint_does_not_end_a_longer_pause() -> None:
    """Throttles of one moment may carry different hints."""
    pace = AdaptiveRate(0.0)
    pace.throttle(Throttle(30.0), 0.0, NO_JITTER)
    pace.throttle(Throttle(1.0), 0.5, NO_JITTER)
    assert pace.paused_until == 30.0


def test_a_storm_of_throttles_is_one_cut() -> None:
    """All requests under way are refused together; the rate falls by a fifth, once in two seconds."""
    pace = held_below_its_limit()
    for number in range(100):
        pace.throttle(SOON, number / 100, NO_JITTER)
    assert pace.share(1.0) == pytest.approx(0.81, abs=0.001)
    pace.throttle(SOON, 2.5, NO_JITTER)
    assert pace.share(2.5) == pytest.approx(0.8 * 0.825, abs=0.001)


def test_what_was_sent_before_a_pause_is_not_held_against_the_rate_after_it() -> None:
    """A refusal that comes in during a long pause was caused by the old rate, which has been cut already."""
    pace = AdaptiveRate(0.0)
    pace.throttle(Throttle(30.0), 0.0, NO_JITTER)
    pace.throttle(Throttle(25.0), 5.0, NO_JITTER)
    assert pace.share(30.0) == pytest.approx(0.8)


def test_the_rate_recovers_by_a_hundredth_of_the_ceiling_a_second() -> None:
    """From the end of the pause on, up to the ceiling and no further."""
    pace = held_below_its_limit()
    pace.throttle(Throttle(10.0), 0.0, NO_JITTER)
    assert pace.share(10.0) == pytest.approx(0.8)
    assert pace.share(15.0) == pytest.approx(0.85)
    assert pace.share(1000.0) == pytest.approx(1.0)


def test_a_stray_throttle_is_forgotten_soon() -> None:
    """One at the full rate after a while without any came of requests that met on their way, not of the limit."""
    pace = AdaptiveRate(0.0)
    pace.throttle(SOON, 30.0, NO_JITTER)
    assert pace.share(30.0) == pytest.approx(0.8)
    assert pace.share(32.0) == pytest.approx(0.9)
    assert pace.share(34.0) == pytest.approx(1.0)


def test_a_throttle_soon_after_a_stray_one_is_none() -> None:
    """So it was the limit all the same: from then on the rate comes back slowly."""
    pace = AdaptiveRate(0.0)
    pace.throttle(SOON, 30.0, NO_JITTER)
    pace.throttle(SOON, 36.0, NO_JITTER)
    assert pace.share(38.0) == pytest.approx(0.82)


def test_a_rate_that_was_throttled_is_passed_slowly() -> None:
    """A second throttle below the ceiling shows where the truth is: quick to nine tenths of it, then slower."""
    pace = held_below_its_limit()
    pace.throttle(SOON, 0.0, NO_JITTER)
    pace.throttle(SOON, 10.0, NO_JITTER)  # at 0.9: down to 0.72, quick to 0.81, slow to 0.945
    assert pace.share(19.0) == pytest.approx(0.81)
    assert pace.share(29.0) == pytest.approx(0.83)
    assert pace.share(19.0 + 67.5) == pytest.approx(0.945)
    assert pace.share(19.0 + 67.5 + 5.5) == pytest.approx(1.0)


def test_slow_down_halves_the_rate_and_its_recovery() -> None:
    """The provider says that the rate itself rose too fast; the recovery is normal again once it is complete."""
    pace = AdaptiveRate(0.0)
    pace.throttle(Throttle(0.0, slow_down=True), 0.0, NO_JITTER)
    assert pace.share(0.0) == pytest.approx(0.5)
    assert pace.share(10.0) == pytest.approx(0.55)
    assert pace.share(200.0) == pytest.approx(1.0)
    pace.throttle(SOON, 200.0, NO_JITTER)
    assert pace.share(204.0) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.none() | st.floats(0, 60), st.booleans())))
def test_the_share_stays_within_its_bounds(events: list[tuple[float, bool, float | None, bool]]) -> None:
    """Whatever comes, some of the rate is left, and never more than all of it."""
    pace, now = AdaptiveRate(0.0), 0.0
    for passed_s, throttled, hint_s, slow_down in events:
        now += passed_s
        before = pace.share(now)
        assert LOWEST_SHARE <= before <= 1.0
        if throttled:
            pace.throttle(Throttle(hint_s, slow_down), now, 0.5)
            assert pace.share(now) <= before


def told(now: float = 0.0, **limits: float) -> Rates:
    rates = Rates(now)
    rates.set_configured(Limits(**limits), now)  # type: ignore[arg-type]
    return rates


def test_a_small_rate_starts_at_once() -> None:
    """600 a minute is ten a second from the first second."""
    assert told(requests_per_minute=600).at(0.0).requests == pytest.approx(10 * (1 - HEADROOM))


def test_a_large_rate_starts_at_a_fifth_and_doubles() -> None:
    """No server meets the full rate of a large account out of the blue, and none waits long for it."""
    rates = told(requests_per_minute=60_000)
    assert rates.at(0.0).requests == pytest.approx(200 * (1 - HEADROOM))
    assert rates.at(5.0).requests == pytest.approx(400 * (1 - HEADROOM))
    assert rates.at(12.0).requests == pytest.approx(1000 * (1 - HEADROOM))


def test_a_slow_account_keeps_more_distance() -> None:
    """One a second leaves a provider that counts single seconds no room for a late wake-up."""
    assert told(requests_per_minute=60).at(0.0).requests == pytest.approx(0.98)


def test_a_header_below_what_was_told_wins() -> None:
    """Nobody gains from asking for more than the account has; a higher header changes nothing."""
    rates = told(requests_per_minute=600, tokens_per_minute=100_000)
    rates.observe_headers(AccountLimits(requests_per_minute=300, tokens_per_minute=200_000), 0.0)
    assert rates.ceiling == Limits(requests_per_minute=300, tokens_per_minute=100_000)


@pytest.mark.parametrize("nothing", [0.0, -1.0, None])
def test_headers_of_gateways_that_know_no_limit_are_ignored(nothing: float | None) -> None:
    """They say 0 or -1."""
    rates = told(requests_per_minute=600)
    rates.observe_headers(AccountLimits(requests_per_minute=nothing), 0.0)
    assert rates.ceiling.requests_per_minute == 600


def test_an_untold_account_starts_at_60_a_minute_and_takes_the_headers_word() -> None:
    """The first answer with limits ends the guessing."""
    rates = told()
    assert rates.at(0.0).requests == 1.0
    assert not rates.known
    rates.observe_headers(AccountLimits(requests_per_minute=600, tokens_per_minute=60_000), 3.0)
    assert rates.at(3.0).requests == pytest.approx(10 * (1 - HEADROOM))
    assert rates.at(3.0).tokens == pytest.approx(1000 * (1 - HEADROOM))


def test_a_daily_limit_alone_tells_no_rate() -> None:
    """It says nothing about the minute, which is found out like for an untold account."""
    assert told(requests_per_day=1000).at(0.0).requests == 1.0


def probe_that_sends_all(seconds: int, probe: Probe, now: float = 0.0) -> float:
    for step in range(seconds * 10):
        probe.sent(1, now + step / 10) if probe.rate(now + step / 10) < 10 else probe.sent(
            int(probe.rate(now + step / 10) / 10), now + step / 10
        )
    return now + seconds


def test_a_probe_does_not_grow_before_an_answer_has_come_without_limits() -> None:
    """The first answers may tell the limit."""
    probe = Probe(0.0)
    probe_that_sends_all(20, probe)
    assert probe.rate(20.0) == 1.0


def test_a_probe_grows_only_as_far_as_it_is_used() -> None:
    """A rate that nobody asked of the server has not been found out."""
    probe = Probe(0.0)
    probe.answered()
    for second in range(600):
        probe.sent(5, float(second))
    assert 5.0 <= probe.rate(600.0) <= 15.0


def test_a_probe_is_cut_by_a_throttle_and_grows_slowly_afterwards() -> None:
    """It knows about where the limit is now."""
    rates = told()
    rates.probe.answered()
    now = probe_that_sends_all(30, rates.probe)
    found = rates.at(now).requests
    assert found is not None
    assert found > 10  # it began with one a second
    rates.throttle(SOON, now, NO_JITTER)
    cut = rates.at(now).requests
    assert cut == pytest.approx(0.8 * found)
    probe_that_sends_all(10, rates.probe, now)
    later = rates.at(now + 10).requests
    assert later is not None
    assert later <= cut * 1.15


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_s", "longer"),
    [
        (14_400, 14_370, 179.56, True),  # Groq's documentation: requests a day
        (18_000, 17_997, 7.66, False),  # the same: tokens a minute
        (14_400, 14_399, 6.0, True),  # Groq, the first request of a day
        (10_000, 9_999, 8.64, True),  # OpenAI, a free tier
        (200, 0, 43_200.0, True),  # a day that begins at midnight
        (500, 499, 0.12, False),  # OpenAI: requests a minute, refilled evenly
        (600, 599, 59.0, False),  # a minute that begins anew
        (600, 0, 60.0, False),
        (60, 59, None, False),
        (60, None, 1.0, False),
        (None, None, None, False),
        (0, -1, 0.0, False),
    ],
)
def test_a_days_limit_is_told_from_a_minutes(
    limit: float | None, remaining: float | None, reset_s: float | None, longer: bool
) -> None:
    """The headers have one name for both."""
    assert is_of_longer(limit, remaining, reset_s) is longer


def test_a_days_limit_is_no_ceiling() -> None:
    """Requests are paced as if nothing was told of them; tokens a minute hold."""
    rates = Rates(0.0)
    groq = AccountLimits(
        requests_per_minute=14_400,
        tokens_per_minute=18_000,
        remaining_requests=14_399,
        remaining_tokens=17_000,
        reset_requests_s=6.0,
        reset_tokens_s=3.3,
    )
    rates.observe_headers(groq, 0.0)
    assert (rates.ceiling.requests_per_minute, rates.ceiling.tokens_per_minute) == (None, 18_000)
    rates.observe_headers(replace(groq, remaining_requests=14_400, reset_requests_s=0.0), 1.0)
    assert rates.ceiling.requests_per_minute is None
    alone = Rates(0.0)
    alone.observe_headers(AccountLimits(requests_per_minute=14_400), 0.0)
    assert alone.ceiling.requests_per_minute == 14_400
    alone.observe_headers(
        AccountLimits(requests_per_minute=14_400, remaining_requests=14_380, reset_requests_s=120.0), 1.0
    )
    assert not alone.known
    assert alone.at(1.0).requests == pytest.approx(1.0, rel=0.2)

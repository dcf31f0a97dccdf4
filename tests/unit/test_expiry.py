"""The time to erase by: a clock that jumps erases nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from one_ocr_ray.policy.tasks.expiry import CATCH_UP, trusted_time
from tests.values import NOON

MINUTE_S = 60.0


def test_a_clock_that_goes_is_believed() -> None:
    """Also one that is a little off."""
    assert trusted_time(NOON, NOON + timedelta(seconds=MINUTE_S), MINUTE_S) == NOON + timedelta(seconds=MINUTE_S)


@pytest.mark.parametrize("jump", [timedelta(days=7), timedelta(days=20_000)])
def test_a_jump_forward_makes_nothing_old_at_once(jump: timedelta) -> None:
    """A quarter of an hour until the clock is set right costs no more than the hours that it counted meanwhile."""
    last = NOON
    for minute in range(15):
        last = trusted_time(last, NOON + jump + timedelta(minutes=minute), MINUTE_S)
    assert last == NOON + 15 * CATCH_UP * timedelta(seconds=MINUTE_S)
    assert trusted_time(last, NOON + timedelta(minutes=16), MINUTE_S) == NOON + timedelta(minutes=16)


def test_a_service_that_rested_for_a_week_catches_up_in_hours() -> None:
    """What has expired meanwhile is erased on the same day."""
    last, now = NOON, NOON + timedelta(days=7)
    minutes = 0
    while last < now:
        now, minutes = now + timedelta(minutes=1), minutes + 1
        last = trusted_time(last, now, MINUTE_S)
    assert minutes < 180


def test_a_jump_back_is_followed() -> None:
    """What was not old is not made older."""
    assert trusted_time(NOON, NOON - timedelta(days=1), MINUTE_S) == NOON - timedelta(days=1)

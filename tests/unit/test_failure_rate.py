"""When failing pages stop a job."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.failure_rate import FailureRateGuard, fails_as_before


def test_a_fifth_of_the_last_200_pages_is_the_limit() -> None:
    """40 of 200 may fail for one reason; the 41st stops the job."""
    brake = FailureRateGuard()
    assert brake.add(160, {}) is None
    assert brake.add(40, {"refused": 40}) is None
    assert brake.add(1, {"refused": 1}) is ErrorCode.REFUSED


def test_old_failures_are_forgotten() -> None:
    """A bad stretch that is over does not stop a job later."""
    brake = FailureRateGuard()
    for _ in range(20):
        assert brake.add(10, {"refused": 2}) is None
    for _ in range(100):
        assert brake.add(10, {"refused": 1}) is None


def test_different_reasons_do_not_add_up() -> None:
    """Many small troubles are not one cause to mend."""
    assert FailureRateGuard().add(200, {"refused": 39, "recitation": 39, "content_filtered": 39}) is None


def test_a_hostile_file_does_not_stop_the_job() -> None:
    """Its pages fail by its own fault, however many there are."""
    assert FailureRateGuard().add(5000, {"render_failed": 5000}) is None


def test_a_setting_that_the_provider_rejects_stops_at_once() -> None:
    """Three first pages rejected, none good; not when one was good before."""
    assert FailureRateGuard().add(3, {"provider_rejected": 3}) is ErrorCode.PROVIDER_REJECTED
    brake = FailureRateGuard()
    brake.add(1, {})
    assert brake.add(3, {"provider_rejected": 3}) is None


@pytest.mark.parametrize(
    ("code", "before", "nothing_new"),
    [
        (ErrorCode.CONTENT_FILTERED, ErrorCode.CONTENT_FILTERED, True),
        (ErrorCode.PROVIDER_REJECTED, ErrorCode.PROVIDER_REJECTED, True),
        (ErrorCode.CONTENT_FILTERED, ErrorCode.REFUSED, False),
        (ErrorCode.CONTENT_FILTERED, None, False),
        (ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.PROVIDER_UNAVAILABLE, False),
    ],
)
def test_what_fails_as_it_did_before_says_nothing_new(
    code: ErrorCode, before: ErrorCode | None, nothing_new: bool
) -> None:
    """Unless the reason may pass: a server that is down still stops the job."""
    assert fails_as_before(code, before) is nothing_new

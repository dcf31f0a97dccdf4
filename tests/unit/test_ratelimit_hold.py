"""When a client says that the provider holds it up."""

from __future__ import annotations

from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.hold import HoldStatus
from one_ocr_ray.policy.ratelimit.messages import GateState, Held

THROTTLED = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Slower.", Action.THROTTLED, 429, retry_after_s=12.0)
DOWN = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Down.", Action.RETRY, 503)


def test_a_throttle_among_answers_is_not_worth_a_word() -> None:
    """Only what lasts is told, with what is left of the wait."""
    holding = HoldStatus()
    holding.record_answer(THROTTLED, 0.0)
    assert holding.at(1.0) is None
    holding.record_answer(None, 1.5)
    assert holding.at(3.0) is None


def test_a_pause_is_told_until_an_answer_comes() -> None:
    """Also between two refusals, so that the line does not flicker."""
    holding = HoldStatus()
    holding.record_answer(THROTTLED, 0.0)
    assert holding.at(4.0) == Held(GateState.PAUSED, 8.0)
    assert holding.at(13.0) == Held(GateState.PAUSED, 0.0)
    holding.record_answer(THROTTLED, 13.5)
    assert holding.at(14.5) == Held(GateState.PAUSED, 11.0)
    holding.record_answer(DOWN, 27.0)
    assert holding.at(30.0) is None


def test_a_broken_server_is_told_until_it_answers() -> None:
    """A probe that fails is no answer."""
    holding = HoldStatus()
    holding.begin(Held(GateState.BROKEN, 30.0), 0.0)
    holding.record_answer(DOWN, 2.0)
    assert holding.at(3.0) == Held(GateState.BROKEN, 27.0)
    holding.record_answer(None, 31.0)
    assert holding.at(40.0) is None

"""How long an account may refuse everything."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import Action, ErrorCode
from one_ocr_ray.policy.ratelimit.messages import GateState, Throttle
from one_ocr_ray.policy.ratelimit.patience import REFUSALS_NEEDED, REFUSED_AT_MOST_S, Patience
from tests.unit.ratelimit_simulation import Reply, Simulation, rpm


def test_a_quarter_of_an_hour_of_refusals_is_enough() -> None:
    """Not a second less, and not of a few long pauses."""
    patience = Patience()
    for number in range(REFUSALS_NEEDED):
        patience.record(0, 100.0 + number, refused=True)
    assert not patience.is_over(100.0 + REFUSED_AT_MOST_S - 0.1)
    assert patience.is_over(100.0 + REFUSED_AT_MOST_S)
    few = Patience()
    for at in (0.0, 800.0, 1600.0, 2400.0):
        few.record(0, at, refused=True)
        assert not few.is_over(at)


def test_any_answer_begins_it_anew() -> None:
    """A slow account is no dead one."""
    patience = Patience()
    for at in range(0, 3600, 60):
        patience.record(1 if at % 840 == 0 else 0, float(at), refused=True)
        assert not patience.is_over(float(at))


@pytest.mark.parametrize("hint_s", [None, 30.0])
def test_an_account_that_refuses_everything_is_given_up(hint_s: float | None) -> None:
    """The bucket closes with the reason after a quarter of an hour, after few requests; a new job tries again."""
    sim = Simulation(lambda _: Reply(throttle=Throttle(hint_s)))
    sim.client("a", limits=rpm(6000))
    sim.run_until(REFUSED_AT_MOST_S - 10.0)
    assert sim.gate.snapshot(sim.now).stopped is None
    sim.run_until(REFUSED_AT_MOST_S + 90.0)
    stopped = sim.gate.snapshot(sim.now).stopped
    assert stopped is not None
    assert (stopped.code, stopped.action) == (ErrorCode.PROVIDER_UNAVAILABLE, Action.STOP)
    assert "15 minutes" in stopped.message
    assert sim.sent[-1] < REFUSED_AT_MOST_S + 60.0
    sent = len(sim.sent)
    sim.provider = lambda _: Reply()
    sim.client("b", job="another", limits=rpm(6000))
    sim.run_until(sim.now + 30.0)
    assert sim.gate.snapshot(sim.now).state is GateState.OPEN
    assert len(sim.sent) > sent


def test_what_holds_the_account_up_can_be_told() -> None:
    """A pause with its end; nothing while it is open."""
    sim = Simulation(lambda _: Reply(throttle=Throttle(20.0)))
    assert sim.gate.held(0.0) is None
    sim.client("a", limits=rpm(6000))
    sim.run_until(3.0)
    held = sim.gate.held(sim.now)
    assert held is not None
    assert held.state is GateState.PAUSED
    assert 17.0 <= held.ends_in_s <= 20.0

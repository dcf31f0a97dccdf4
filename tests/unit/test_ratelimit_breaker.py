"""The circuit breaker on a manual clock."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from one_ocr_ray.policy.ratelimit.breaker import Breaker
from one_ocr_ray.policy.ratelimit.messages import Feedback, GateState
from tests.unit.ratelimit_simulation import Reply, Simulation, rpm


def broken(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    breaker.record(0, 10, now)
    return breaker


def test_nearly_all_of_at_least_ten_open_it_for_half_a_minute() -> None:
    """Nine failures are too few, and a server that answers now and then is no reason."""
    breaker = Breaker()
    breaker.record(0, 9, 0.0)
    assert breaker.opens_at(0.0) == 0.0
    breaker.record(0, 1, 0.0)
    assert breaker.opens_at(0.0) == 30.0
    now_and_then = Breaker()
    now_and_then.record(3, 17, 0.0)
    assert now_and_then.opens_at(0.0) == 0.0
    now_and_then.record(0, 5, 0.0)
    assert now_and_then.opens_at(0.0) == 30.0


def test_only_the_last_twenty_count() -> None:
    """A long good past does not hide that the server fails now."""
    breaker = Breaker()
    breaker.record(100_000, 0, 0.0)
    breaker.record(0, 18, 1.0)
    assert breaker.opens_at(1.0) == 31.0


def test_it_closes_after_one_and_three_good_probes() -> None:
    """Nobody may send more than the probes until they have passed."""
    breaker = broken()
    assert breaker.allowance(30.0) == 1
    breaker.granted(1, 30.0)
    assert breaker.allowance(30.0) == 0
    breaker.record(1, 0, 31.0)
    assert breaker.allowance(31.0) == 3
    breaker.granted(3, 31.0)
    assert breaker.allowance(31.0) == 0
    breaker.record(3, 0, 32.0)
    assert breaker.allowance(32.0) is None


def test_a_failed_probe_doubles_the_wait_up_to_ten_minutes() -> None:
    """A server that is down for long is asked ever more rarely; once it was well again, all is forgotten."""
    breaker, now, waits = broken(), 0.0, []
    for _ in range(7):
        waits.append(breaker.opens_at(now) - now)
        now = breaker.opens_at(now)
        breaker.granted(1, now)
        breaker.record(0, 1, now)
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    now = breaker.opens_at(now)
    breaker.record(1, 0, now)
    breaker.record(3, 0, now)
    breaker.record(0, 10, now)
    assert breaker.opens_at(now) - now == 30.0


def test_a_server_that_is_back_is_probed_at_once() -> None:
    """A look that found it gone and then there stands for the first probe; a bad one opens it for longer, as ever."""
    breaker = broken()
    breaker.came_back(3.0)
    assert breaker.opens_at(3.0) == 3.0
    assert breaker.allowance(3.0) == 3
    assert breaker.is_outdated(2.9)
    breaker.granted(3, 3.0)
    breaker.came_back(3.5)  # another worker has seen it, too
    assert breaker.allowance(3.5) == 0
    breaker.record(0, 1, 4.0)
    assert breaker.opens_at(4.0) == 64.0
    closed = Breaker()
    closed.came_back(1.0)
    assert closed.allowance(1.0) is None


def test_late_news_of_old_requests_do_not_prolong_it() -> None:
    """What ends while it is open was sent before."""
    breaker = broken()
    breaker.record(0, 200, 10.0)
    assert breaker.opens_at(10.0) == 30.0


def test_a_probe_that_was_not_sent_leaves_its_place_to_another() -> None:
    """Its page had gone elsewhere when the permit came; the breaker waits for no report of it."""
    breaker = broken()
    breaker.granted(1, 30.0)
    breaker.record(1, 0, 31.0)
    breaker.granted(3, 31.0)
    breaker.returned(2)
    assert breaker.allowance(31.0) == 2
    breaker.record(1, 0, 32.0)
    breaker.returned(9)  # permits of before it opened, most of them
    assert breaker.allowance(32.0) == 2
    breaker.granted(2, 32.0)
    breaker.record(2, 0, 33.0)
    assert breaker.allowance(33.0) is None


def test_a_probe_that_never_reports_is_sent_again() -> None:
    """Its worker may have died."""
    breaker = broken()
    breaker.granted(1, 30.0)
    assert breaker.allowance(80.0) == 0
    assert breaker.allowance(91.0) == 1


def test_time_outs_of_old_requests_are_no_failed_probes() -> None:
    """A server that is well again is used after half a minute, though requests from before hang for a while yet."""
    sim = Simulation(lambda now: Reply(failed=now < 20.0, latency_s=0.2))
    who = sim.client("a", limits=rpm(6000)).who
    sim.run_until(5.0)
    assert sim.gate.snapshot(sim.now).state is GateState.BROKEN

    def give_up(at: float) -> None:
        sim.gate.record_feedback(who, replace(sim_news(sim), failed_after_s=(at - 0.5,)), at, 0.5)

    for step in range(60):  # requests of the first second, given up one after the other
        ends_at = 29.0 + step / 4
        sim.after(ends_at - sim.now, partial(give_up, ends_at))
    sim.run_until(40.0)
    assert sim.gate.snapshot(sim.now).state is GateState.OPEN
    assert len([instant for instant in sim.sent if 35.0 <= instant < 40.0]) > 300


def sim_news(sim: Simulation) -> Feedback:
    """What the only client has received and finished so far."""
    news = sim._clients["a"].news
    return Feedback(news.received, news.finished)

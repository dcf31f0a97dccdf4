"""The gate with simulated clients on a clock that jumps: exact figures, whatever the machine does."""

from __future__ import annotations

import math
from bisect import bisect
from statistics import quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.model import AccountLimits, Action, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.gate import LEAD_S, QUANTUM_S, Gate
from one_ocr_ray.policy.ratelimit.messages import (
    NO_QUOTA,
    Feedback,
    GateState,
    LimiterClient,
    Limits,
    Priority,
    Throttle,
)
from tests.provider.quotas import Account, strict_minute
from tests.unit.ratelimit_simulation import JITTER, Reply, Simulation, busiest, rpm

NO_KEY = Failure(ErrorCode.AUTH, "The key was refused.", Action.STOP)


def share_used(sent: list[float], begin: float, end: float, per_minute: float) -> float:
    return len([instant for instant in sent if begin <= instant < end]) / ((end - begin) * per_minute / 60)


def enforced(per_minute: int, **more: object) -> Simulation:
    """A strict account of that many requests a minute; refused requests count too."""
    account = Account(strict_minute(per_minute), 0.0)

    def answer(now: float) -> Reply:
        refusal = account.admit(now, 0.0)
        if refusal is None:
            return Reply(**more)  # type: ignore[arg-type]
        return Reply(throttle=Throttle(retry_after_s=float(math.ceil(refusal.wait_s))), **more)  # type: ignore[arg-type]

    return Simulation(answer)


def good(simulation: Simulation, begin: float, end: float, per_minute: float) -> float:
    """Share of the quota that was used by requests which were not refused."""
    refused = len([instant for instant in simulation.throttled if begin <= instant < end])
    return share_used(simulation.sent, begin, end, per_minute) - refused / ((end - begin) * per_minute / 60)


@pytest.mark.parametrize("clients", [1, 4, 16])
@pytest.mark.parametrize("per_minute", [60, 600, 6000])
def test_a_known_limit_is_used_and_never_passed(per_minute: int, clients: int) -> None:
    """At least 97 per cent of it, no throttle, no window over it."""
    simulation = enforced(per_minute)
    for number in range(clients):
        simulation.client(f"c{number}", limits=rpm(per_minute))
    simulation.run_until(130.0)
    assert not simulation.throttled
    assert good(simulation, 5.0, 130.0, per_minute) >= 0.97
    assert busiest(simulation.sent, 60.0) <= per_minute


def test_jobs_share_the_limit_equally_whatever_their_size() -> None:
    """Three workers of one job get what one of another gets."""
    simulation = enforced(600)
    large = [simulation.client(f"l{number}", job="large") for number in range(3)]
    small = simulation.client("s", job="small")
    simulation.run_until(60.0)
    assert sum(len(client.sent) for client in large) == pytest.approx(len(small.sent), rel=0.02)
    assert [len(client.sent) for client in large] == pytest.approx([len(small.sent) / 3] * 3, rel=0.05)


def test_owners_share_the_limit_equally_however_many_jobs_they_have() -> None:
    """One upload of one key holder gets what thirty of another get together, and each of those an equal part."""
    simulation = enforced(600)
    many = [simulation.client(f"m{number}", job=f"m{number}", owner="many") for number in range(30)]
    one = simulation.client("o", job="o", owner="one")
    simulation.run_until(60.0)
    assert sum(len(client.sent) for client in many) == pytest.approx(len(one.sent), rel=0.03)
    assert max(len(client.sent) for client in many) - min(len(client.sent) for client in many) <= 2


def test_the_lowest_limit_of_two_jobs_holds_for_both() -> None:
    """Two people who use one account and remember different numbers."""
    simulation = enforced(300)
    simulation.client("a", job="a", limits=rpm(600))
    simulation.client("b", job="b", limits=rpm(300))
    simulation.run_until(60.0)
    assert not simulation.throttled


def test_online_requests_pass_a_saturating_batch() -> None:
    """At p95 they wait 0.3 s at most: what was leased to others, and a place between two of those."""
    simulation = enforced(600)
    for number in range(4):
        simulation.client(f"c{number}", job=f"job-{number % 2}")
    waits = []

    def upload(number: int) -> None:
        asked = simulation.now
        client = simulation.client(f"upload-{number}", "online", priority=Priority.ONLINE, wanted=1)

        def look() -> None:
            if client.sent:
                waits.append(client.sent[0] - asked)
                simulation.gate.cancel(client.who.client_id)
                client.wanted = 0
            else:
                simulation.after(0.001, look)

        look()

    for number in range(40):
        simulation.after(5.0 + 0.731 * number, lambda number=number: upload(number))  # type: ignore[misc]
    simulation.run_until(40.0)
    assert len(waits) == 40
    assert quantiles(waits, n=20)[-1] <= 0.3


def test_a_limit_in_the_headers_is_learned_and_used() -> None:
    """Not told any limit: nine tenths of the true one within a minute, from the first request on."""
    simulation = enforced(600, limits=AccountLimits(requests_per_minute=600))
    simulation.client("a", limits=Limits())
    simulation.client("b", limits=Limits())
    simulation.run_until(60.0)
    assert good(simulation, 0.0, 60.0, 600) >= 0.9
    assert not simulation.throttled


@pytest.mark.parametrize("clients", [1, 4])
def test_a_limit_told_twice_too_high_costs_little(clients: int) -> None:
    """After a minute, at least 95 per cent of the true limit is used."""
    simulation = enforced(600)
    for number in range(clients):
        simulation.client(f"c{number}", limits=rpm(1200))
    simulation.run_until(360.0)
    assert good(simulation, 60.0, 360.0, 600) >= 0.95
    assert len(simulation.throttled) <= 0.02 * len(simulation.sent)


def test_no_client_undercuts_a_hint() -> None:
    """Once what was leased has gone out, nobody sends before the hint has passed."""
    hint_s, struck = 7.0, []

    def answer(now: float) -> Reply:
        if now > 10.0 and not struck:
            struck.append(now)
            return Reply(throttle=Throttle(retry_after_s=hint_s))
        return Reply()

    simulation = Simulation(answer)
    for number in range(4):
        simulation.client(f"c{number}")
    simulation.run_until(30.0)
    told_at = simulation.throttled[0]
    late = told_at + LEAD_S + QUANTUM_S
    assert not [instant for instant in simulation.sent if late < instant < told_at + hint_s]
    assert [instant for instant in simulation.sent if instant > told_at + hint_s]


def test_a_stray_throttle_costs_two_seconds() -> None:
    """One refusal at a limit that was kept is a pause, and a rate that is back soon."""
    struck = []

    def answer(now: float) -> Reply:
        if now > 60.0 and not struck:
            struck.append(now)
            return Reply(throttle=Throttle(retry_after_s=1.0))
        return Reply()

    simulation = Simulation(answer)
    simulation.client("a")
    simulation.run_until(100.0)
    assert share_used(simulation.sent, 60.0, 100.0, 600) >= 1 - 0.005 - 2.0 / 40


def test_tokens_bind_where_they_are_scarcer_than_requests() -> None:
    """The slower of both limits sets the pace."""
    simulation = Simulation()
    simulation.client("a", limits=rpm(6000, tokens_per_minute=60_000), tokens_each=100.0)
    simulation.run_until(60.0)
    assert share_used(simulation.sent, 5.0, 60.0, 600) == pytest.approx(1.0, abs=0.02)


def test_a_limit_of_requests_under_way_holds_for_its_job_alone() -> None:
    """A job with slow answers and a small limit does not slow the other one."""
    simulation = Simulation(lambda _: Reply(latency_s=2.0))
    narrow = simulation.client("a", job="narrow", limits=rpm(6000, max_in_flight=10))
    wide = simulation.client("b", job="wide", limits=rpm(6000))
    simulation.run_until(40.0)
    assert share_used(narrow.sent, 10.0, 40.0, 300) == pytest.approx(1.0, rel=0.1)  # 10 every 2 s
    assert len(wide.sent) > 10 * len(narrow.sent)


def test_a_day_that_is_used_up_stops_whoever_asks() -> None:
    """With a code and the time until there is more."""
    simulation = Simulation()
    client = simulation.client("a", limits=rpm(600, requests_per_day=50))
    simulation.run_until(60.0)
    snapshot = simulation.gate.snapshot(simulation.now)
    assert len(client.sent) == 50
    assert snapshot.state is GateState.QUOTA_DAY
    assert snapshot.state_ends_in_s == pytest.approx(25 * 3600 - 60)


def heard(gate: Gate, who: LimiterClient, now: float, **news: object) -> None:
    gate.record_feedback(who, Feedback(**news), now, JITTER)  # type: ignore[arg-type]


def test_a_stop_reaches_all_who_ask_and_holds_until_a_new_job_comes() -> None:
    """A refused key is refused for everybody; a job that was not there then may have a better one."""
    gate, who = Gate(0.0), LimiterClient("a", "job", limits=rpm(600))
    heard(gate, who, 1.0, stop=NO_KEY)
    gate.enqueue(who, 1, 0.0, Feedback())
    assert gate.dispatch(1.0)[0]["a"].stopped == NO_KEY
    assert gate.snapshot(1.0).state is GateState.STOPPED
    newcomer = LimiterClient("b", "another", limits=rpm(600))
    heard(gate, newcomer, 2.0)
    gate.enqueue(newcomer, 1, 0.0, Feedback())
    assert gate.dispatch(2.0)[0]["b"].permits == 1


def test_a_new_gate_is_silent_for_as_long_as_old_permits_may_live() -> None:
    """The one before it may have died a moment ago."""
    simulation = Simulation()
    client = simulation.client("a", limits=rpm(60_000))
    simulation.run_until(1.0)
    assert client.sent[0] >= LEAD_S + QUANTUM_S


def test_a_gate_that_comes_late_leaves_room_for_permits_that_do_too() -> None:
    """Its process had no CPU, perhaps that of its clients had none either: the last permit may go out just now."""
    gate, who = Gate(0.0), LimiterClient("a", "job", limits=rpm(600))
    heard(gate, who, 10.0)
    for now in (10.0, 10.2):
        gate.enqueue(who, 1, 0.0, Feedback())
        assert gate.dispatch(now)[0]["a"].permits == 1
    gate.enqueue(who, 1, 0.0, Feedback())
    answers, look_at = gate.dispatch(10.21)
    assert not answers
    assert look_at == pytest.approx(10.3 - LEAD_S, abs=0.001)
    answers, look_at = gate.dispatch(10.5)
    assert not answers
    assert look_at == pytest.approx(10.6 - LEAD_S, abs=0.001)
    assert gate.dispatch(10.56)[0]["a"].first_in_s == pytest.approx(0.04, abs=0.001)


def test_a_server_without_limits_is_found_out_by_trying() -> None:
    """Nobody told a limit and no header has one: the rate grows from one a second to what the server takes."""
    simulation = enforced(1200)
    simulation.client("a", limits=Limits())
    simulation.run_until(300.0)
    assert simulation.sent[1] - simulation.sent[0] >= 0.9
    assert good(simulation, 120.0, 300.0, 1200) >= 0.9


def test_questions_of_clients_that_left_are_gone() -> None:
    """Nothing is granted to nobody."""
    gate, who = Gate(0.0), LimiterClient("a", "job", limits=rpm(600))
    heard(gate, who, 1.0)
    gate.enqueue(who, 1, 0.0, Feedback())
    heard(gate, who, 1.0, leaving=True)
    assert gate.dispatch(1.0) == ({}, None)
    assert gate.snapshot(1.0).in_flight == 0


jobs = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 64), st.sampled_from(Priority)), min_size=1, max_size=4
)  # workers, permits wanted at once, priority


@settings(max_examples=25, deadline=None)
@given(jobs, st.sampled_from([120.0, 600.0, 3000.0]), st.floats(0.001, 3.0))
def test_whoever_asks_no_window_is_ever_over_the_limit(
    asking: list[tuple[int, int, Priority]], per_minute: float, latency_s: float
) -> None:
    """Any mixture of jobs, workers, appetites and speeds keeps seconds and minutes, and the best ones use them up."""
    simulation = Simulation(lambda _: Reply(latency_s=latency_s))
    for job, (workers, wanted, priority) in enumerate(asking):
        for number in range(workers):
            simulation.client(f"{job}-{number}", f"job-{job}", rpm(per_minute), wanted=wanted, priority=priority)
    simulation.run_until(70.0)
    assert busiest(simulation.sent, 60.0) <= per_minute
    assert busiest(simulation.sent, 1.0) <= max(1.1 * per_minute / 60, per_minute / 60 + 1)
    assert share_used(simulation.sent, 5.0, 70.0, per_minute) >= 0.95


def served(seats: int, *, tells: bool = False, refuses: bool = False) -> Simulation:
    """A server with so many seats and answers of half a second; others wait there, or are refused."""
    simulation = Simulation()

    def answer(now: float) -> Reply:
        under_way = len(simulation.sent) - bisect(simulation.sent, now - 0.5)
        queue = (min(seats, under_way), max(0, under_way - seats)) if tells else None
        is_full = refuses and under_way > seats
        return Reply(throttle=Throttle() if is_full else None, queue=queue)

    simulation.provider = answer
    return simulation


def test_a_server_without_a_quota_is_used_at_once() -> None:
    """Only the window holds it: eight at once at first, and no step by step from one a second."""
    simulation = served(1000)
    simulation.client("c", limits=rpm(NO_QUOTA))
    simulation.run_until(0.5)
    assert len(simulation.sent) == 8
    simulation.run_until(3.0)
    assert len(simulation.sent) > 50


def test_jobs_share_a_server_without_a_quota_equally() -> None:
    """Three workers of one job get what one of another gets, as where a rate is known."""
    simulation = served(16, tells=True)
    large = [simulation.client(f"l{number}", job="large", limits=rpm(NO_QUOTA)) for number in range(3)]
    small = simulation.client("s", job="small", limits=rpm(NO_QUOTA))
    simulation.run_until(60.0)
    assert sum(len(client.sent) for client in large) == pytest.approx(len(small.sent), rel=0.2)


def test_a_full_server_without_a_quota_makes_the_window_smaller() -> None:
    """It has refused for the number at once, not for a rate."""
    simulation = served(20, refuses=True)
    simulation.client("c", limits=rpm(NO_QUOTA))
    simulation.run_until(60.0)
    assert 0 < len(simulation.throttled) < 0.05 * len(simulation.sent)
    assert simulation.gate.snapshot(60.0).window <= 28  # type: ignore[operator]


@pytest.mark.parametrize("limits", [rpm(NO_QUOTA), rpm(60_000), Limits()], ids=["own", "rate", "nothing named"])
def test_a_server_that_tells_its_queue_is_held_by_it(limits: Limits) -> None:
    """Also where somebody has named a rate: what waits there helps nobody."""
    simulation = served(16, tells=True)
    simulation.client("c", limits=limits)
    simulation.run_until(60.0)
    assert 16 <= simulation.gate.snapshot(60.0).window <= 28  # type: ignore[operator]
    assert share_used(simulation.sent, 20.0, 60.0, 60 * 16 / 0.5) >= 0.9

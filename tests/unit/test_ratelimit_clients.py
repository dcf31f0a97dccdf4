"""Who is at work on a bucket, and what each has in flight, on a manual clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.ratelimit.clients import CLIENT_SILENCE_S, JOB_SILENCE_S, ClientTable
from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient, Limits

SLOW = Limits(requests_per_minute=60, max_in_flight=10)
FAST = Limits(requests_per_minute=600, tokens_per_minute=1000)
A, B = LimiterClient("a", "job", limits=SLOW), LimiterClient("b", "other", limits=FAST)


def two_clients() -> ClientTable:
    """One client of each of two jobs, at 0 s."""
    clients = ClientTable()
    clients.see(A, Feedback(), 0.0)
    clients.see(B, Feedback(), 0.0)
    return clients


def test_the_lowest_limits_of_all_jobs_hold() -> None:
    """Of each kind by itself; the number of requests under way is each job's own."""
    clients = two_clients()
    assert clients.limits == Limits(requests_per_minute=60, tokens_per_minute=1000)
    assert (clients.job("job").capacity, clients.job("other").capacity) == (10, float("inf"))


def test_a_job_may_change_its_limits() -> None:
    """The limits travel with every message: the last word counts."""
    clients = two_clients()
    clients.see(LimiterClient("a", "job", limits=FAST), Feedback(), 1.0)
    assert clients.limits.requests_per_minute == 600
    assert clients.job("job").capacity == float("inf")


def test_only_a_job_that_nobody_knew_is_new() -> None:
    """A second client of it is not."""
    clients = ClientTable()
    assert clients.see(A, Feedback(), 0.0)
    assert not clients.see(A, Feedback(), 1.0)
    assert not clients.see(LimiterClient("c", "job", limits=SLOW), Feedback(), 1.0)


def test_what_was_granted_and_has_not_ended_is_in_flight() -> None:
    """Of the client's job and of the bucket."""
    clients = two_clients()
    clients.granted("a", 4)
    clients.granted("b", 2)
    clients.see(A, Feedback(received=4, finished=3), 1.0)
    assert (clients.in_flight, clients.job("job").in_flight, clients.job("other").in_flight) == (3, 1, 2)
    assert clients.job("job").capacity == 9


def test_a_grant_that_got_lost_is_not_in_flight_for_ever() -> None:
    """A client that asks again says how many permits ever reached it."""
    clients = two_clients()
    clients.granted("a", 4)
    clients.received("a", 0)
    assert clients.in_flight == 0


def test_an_older_message_that_comes_later_changes_nothing() -> None:
    """Messages may overtake each other on their way."""
    clients = two_clients()
    clients.granted("a", 4)
    clients.see(A, Feedback(received=4, finished=4), 1.0)
    clients.see(A, Feedback(received=4, finished=1), 1.1)
    assert clients.in_flight == 0


def test_clients_that_a_new_gate_does_not_know_bring_their_requests_along() -> None:
    """After a restart of the limiter, what is under way is known from the first message."""
    clients = ClientTable()
    clients.see(A, Feedback(received=100, finished=93), 0.0)
    assert clients.in_flight == 7


def test_whoever_leaves_takes_everything_along() -> None:
    """Its requests are nobody's any more; its job stays, for others of it may come."""
    clients = two_clients()
    clients.granted("a", 4)
    clients.leave("a")
    assert clients.in_flight == 0
    assert clients.job("job").in_flight == 0


def test_silent_clients_and_jobs_are_forgotten() -> None:
    """A worker that died gives its places back after a while, a job its limits."""
    clients = two_clients()
    clients.granted("a", 4)
    clients.see(B, Feedback(), CLIENT_SILENCE_S + 1)
    assert clients.sweep([], CLIENT_SILENCE_S + 1) == []
    assert clients.in_flight == 0
    clients.see(B, Feedback(), JOB_SILENCE_S + 1)
    assert clients.sweep([], JOB_SILENCE_S + 1) == ["job"]
    assert clients.limits == FAST


def test_whoever_waits_is_not_silent() -> None:
    """A question is open for five seconds, and a pause may last for minutes."""
    clients = two_clients()
    clients.granted("a", 4)
    assert clients.sweep(["a"], 10 * JOB_SILENCE_S) == ["other"]
    assert clients.in_flight == 4


events = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["see", "granted", "received", "leave", "sweep"]),
        st.integers(0, 9),
        st.floats(0, 30),
    ),
    max_size=60,
)


@given(events)
def test_the_sums_are_those_of_the_clients(story: list[tuple[str, str, int, float]]) -> None:
    """Whatever is said in whatever order, the bucket's and the jobs' counts are the sums over their clients."""
    clients, now = ClientTable(), 0.0
    known: set[str] = set()
    for name, event, number, passed_s in story:
        now += passed_s
        if event == "see" or name not in known:
            clients.see(LimiterClient(name, f"job-{name > 'a'}"), Feedback(received=number, finished=number // 2), now)
            known.add(name)
        elif event in {"granted", "received"}:
            getattr(clients, event)(name, number)
        elif event == "leave":
            clients.leave(name)
            known.discard(name)
        else:
            clients.sweep([], now)
            known &= set(clients._clients)
        in_flight = [client.in_flight for client in clients._clients.values()]
        assert clients.in_flight == sum(in_flight) == sum(job.in_flight for job in clients._jobs.values())

"""The window of requests under way on a manual clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.ratelimit.inflight import InFlightWindow

if TYPE_CHECKING:
    from collections.abc import Callable


def after_rounds(window: InFlightWindow, rounds: int, latency_s: float = 1.0, now: float = 0.0) -> InFlightWindow:
    """`rounds` round trips in which the whole window is used and every request succeeds."""
    for _ in range(rounds):
        window.record(window.size, 0, window.size * latency_s, window.size, now)
    return window


def test_it_starts_at_eight_and_doubles() -> None:
    """Five round trips find out a server for 256."""
    assert InFlightWindow().size == 8
    assert after_rounds(InFlightWindow(), 5).size == 256


def test_failures_cut_it_once_and_end_the_doubling() -> None:
    """A server that fails a batch of requests is not cut down to nothing, and approached slowly afterwards."""
    window = after_rounds(InFlightWindow(), 4)
    for _ in range(50):
        window.record(0, 1, 0.0, 128, 10.0)
    assert window.size == 89
    assert after_rounds(window, 3, now=10.0).size in {91, 92}


def test_a_window_that_is_not_used_does_not_grow() -> None:
    """Few requests prove nothing about many."""
    window = InFlightWindow()
    window.record(100, 0, 100.0, 2, 0.0)
    assert window.size == 8


def test_a_server_that_only_queues_gets_no_more() -> None:
    """Twice the best latency: more at once would wait in its queue."""
    window = after_rounds(InFlightWindow(), 2)
    grown = after_rounds(window, 1, latency_s=10.0).size
    assert after_rounds(window, 20, latency_s=10.0).size == grown
    assert after_rounds(window, 40, latency_s=1.0).size > grown


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.floats(0.01, 300), st.integers(0, 500))))
def test_there_is_always_room_for_one(events: list[tuple[int, int, float, int]]) -> None:
    """No sequence of failures closes the window."""
    window = InFlightWindow()
    for second, (successes, failures, latency_s, in_flight) in enumerate(events):
        window.record(successes, failures, successes * latency_s, in_flight, 3.0 * second)
        assert window.size >= 1


@dataclass
class BatchingServer:
    """Continuous batching: each step gives every seat a token and takes `fixed_s + seat_s * seats`; others wait."""

    fixed_s: float
    seat_s: float
    seats: int
    tokens: int = 200

    def run(
        self,
        seconds: float,
        size: Callable[[], int],
        window: InFlightWindow | None = None,
        *,
        tells: bool = False,
        others: int = 0,
    ) -> float:
        """Answers a second in the last half of that time, with `size` requests under way.

        `tells`: the window hears of the queue every 2 s. `others`: requests of somebody else in its seats.
        """
        now, step, sent, answered, told_at = 0.0, 0, 0, 0, 0.0
        waiting: deque[float] = deque()
        at_work: deque[tuple[int, float]] = deque()  # the step at which each ends, and when it was sent
        while now < seconds:
            while sent < size():
                waiting.append(now)
                sent += 1
            if tells and window is not None and now - told_at >= 2.0:
                told_at = now
                window.record_queue(len(at_work) + others, len(waiting), now)
            while waiting and len(at_work) < self.seats - others:
                at_work.append((step + self.tokens, waiting.popleft()))
            now += self.fixed_s + self.seat_s * (len(at_work) + others)
            step += 1
            while at_work and at_work[0][0] <= step:
                sent_at = at_work.popleft()[1]
                if window is not None:
                    window.record(1, 0, now - sent_at, sent, now)
                sent -= 1
                answered += now > seconds / 2
        return answered / (seconds / 2)


SERVERS = pytest.mark.parametrize(
    "server",
    [
        BatchingServer(0.008, 0.0001, 500),
        BatchingServer(0.02, 0.0003, 64),
        BatchingServer(0.02, 0.0, 16),
        BatchingServer(0.005, 0.005, 32),
    ],
    ids=["large card", "small card", "16 seats", "hardly batches"],
)


@SERVERS
def test_it_finds_nearly_the_best_for_a_server_that_batches(server: BatchingServer) -> None:
    """Within 15 % of the best window that an exhaustive search finds, and not half of the requests in its queue."""
    best = max(server.run(120.0, lambda at_once=at_once: at_once) for at_once in (1, 4, 8, 16, 32, 64, 128, 256, 512))
    window = InFlightWindow()
    assert server.run(240.0, lambda: window.size, window) >= 0.85 * best
    assert window.size <= 2 * server.seats


@SERVERS
def test_it_follows_a_server_that_tells_its_queue(server: BatchingServer) -> None:
    """Within 15 % of the best in the second minute already, and few requests wait in the server."""
    best = max(server.run(120.0, lambda at_once=at_once: at_once) for at_once in (1, 4, 8, 16, 32, 64, 128, 256, 512))
    window = InFlightWindow()
    assert server.run(120.0, lambda: window.size, window, tells=True) >= 0.85 * best
    assert window.size <= 1.25 * server.seats + 8


def test_it_leaves_room_for_others() -> None:
    """Who else uses the server is seen in its queue: what they take is not waited for."""
    server, window = BatchingServer(0.02, 0.0003, 64), InFlightWindow()
    server.run(120.0, lambda: window.size, window, tells=True, others=48)
    assert window.size - 64 <= 12


def test_a_server_that_falls_silent_is_tried_again() -> None:
    """Ten seconds after its last word the latency counts again."""
    window = InFlightWindow()
    window.record_queue(20, 0, 0.0)
    assert after_rounds(window, 5, now=5.0).size == 28
    assert after_rounds(window, 40, now=11.0).size > 28

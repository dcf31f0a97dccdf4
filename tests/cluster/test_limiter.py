"""The limiter as a real Ray actor, with clients in other processes."""

from __future__ import annotations

import asyncio
import functools
import operator
import os
import signal
import time
from statistics import quantiles
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import ray

from one_ocr_ray.cluster.limiter import (
    RateLimiter,
    RemoteLimiter,
    account_fingerprint,
    get_limiter,
    limiter_actor_class,
    limiter_name,
)
from one_ocr_ray.cluster.permits import LeasedPermits
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.messages import Client, Feedback, GateState, Limits, Priority, Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_S = 100.0
LIMITS = Limits(requests_per_minute=60 * PER_S)
RATE = PER_S * 0.995  # a little is left unused on purpose
SECONDS = 4.0

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Spender:
    """A worker process with one `LeasedPermits`."""

    def __init__(self, name: str, client: Client) -> None:
        self._permits = LeasedPermits(RemoteLimiter(name), client)

    async def saturate(self, seconds: float, coroutines: int) -> list[float]:
        """Send as much as allowed for so long; when each request went out (wall clock)."""
        sent: list[float] = []

        async def send() -> None:
            while True:
                await self._permits.acquire(0)
                sent.append(time.time())
                await asyncio.sleep(0.05)
                self._permits.report(0, Answer(), 0.05)

        senders = [asyncio.create_task(send()) for _ in range(coroutines)]
        done, _ = await asyncio.wait(senders, timeout=seconds)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        assert not done
        return sent

    async def now_and_then(self, times: int) -> list[float]:
        """Ask for one permit every 0.15 s; the seconds it took each time."""
        waits = []
        for _ in range(times):
            asked = time.monotonic()
            await self._permits.acquire(0)
            waits.append(time.monotonic() - asked)
            self._permits.report(0, Answer(), 0.05)
            await asyncio.sleep(0.15)
        return waits

    async def throttled(self, pause_s: float) -> float:
        """Send one request that is throttled; the wall clock when the limiter was told."""
        await self._permits.acquire(0)
        failure = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Too fast.", Action.PAUSE, retry_after_s=pause_s)
        self._permits.report(0, Answer(failure=failure), 0.05)
        return time.time()


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a limiter of its own, gone after the test."""
    name = limiter_name("openai", account_fingerprint("http://127.0.0.1", "no-key"), uuid4().hex)
    yield name
    ray.kill(get_limiter(name), no_restart=True)


def spender(name: str, job: str, priority: Priority = Priority.BATCH) -> Any:
    actor = ray.remote(num_cpus=0)(Spender)
    return actor.remote(name, Client(uuid4().hex, job, priority, LIMITS))


def per_second(sent: list[float], begin: float, end: float) -> float:
    return len([instant for instant in sent if begin <= instant < end]) / (end - begin)


def test_two_jobs_share_the_rate_and_online_work_passes_them(name: str) -> None:
    """One worker of a job gets what two of another get; together the limit; and an upload does not wait for either."""
    large = [spender(name, "large"), spender(name, "large")]
    small = spender(name, "small")
    online = spender(name, "online", Priority.ONLINE)
    workers = *large, small
    ray.get([worker.now_and_then.remote(0) for worker in (*workers, online)])  # all processes are up
    running = [worker.saturate.remote(SECONDS + 1.5, 60) for worker in workers]
    begin = time.time() + 1.0
    time.sleep(1.0)
    waits = ray.get(online.now_and_then.remote(16))
    first, second, alone = ray.get(running)
    end = begin + SECONDS
    by_job = per_second(first + second, begin, end), per_second(alone, begin, end)
    asked = len(waits) / SECONDS
    assert sum(by_job) + asked == pytest.approx(RATE, rel=0.05)
    assert by_job[0] == pytest.approx(by_job[1], rel=0.2)
    assert quantiles(waits, n=20)[-1] <= 0.3


def test_a_pause_reaches_all_workers(name: str) -> None:
    """One worker's throttle silences the others within a lease."""
    workers = [spender(name, "job") for _ in range(2)]
    running = [worker.saturate.remote(5.5, 60) for worker in workers]
    time.sleep(2.5)
    unlucky = spender(name, "job")
    throttled_at = ray.get(unlucky.throttled.remote(2.0))
    sent = functools.reduce(operator.iadd, ray.get(running), [])
    assert per_second(sent, throttled_at - 1.0, throttled_at) > 0.5 * RATE
    assert per_second(sent, throttled_at + 0.5, throttled_at + 2.0) == 0.0
    assert ray.get(get_limiter(name).snapshot.remote()).throttles == 1


def test_a_restarted_limiter_keeps_the_rate(name: str) -> None:
    """Killed in the middle, it comes back with nothing saved up, knows the limit again, and the workers go on."""
    worker = spender(name, "job")
    running = worker.saturate.remote(7.0, 60)
    time.sleep(2.0)
    limiter = get_limiter(name)
    pid = ray.get(limiter.__ray_call__.remote(lambda _: os.getpid()))
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    sent = ray.get(running)
    seconds = int(sent[-1] - sent[0])
    by_second = [per_second(sent, sent[0] + second, sent[0] + second + 1) for second in range(seconds)]
    assert max(by_second) <= 1.1 * PER_S
    assert per_second(sent, sent[-1] - 1.5, sent[-1]) == pytest.approx(RATE, rel=0.1)
    assert sent[-1] > killed_at + 2.0
    assert ray.get(limiter.snapshot.remote()).configured_rpm == LIMITS.requests_per_minute


def test_control_calls_pass_a_full_waiting_room() -> None:
    """A throttle and a question for the state get in while no acquire does."""
    limiter = limiter_actor_class(acquires=4).remote()
    waiting = [
        limiter.acquire.remote(Client(f"client-{number}", "job", limits=Limits(0.001)), 1, 0.0, Feedback())
        for number in range(12)
    ]
    time.sleep(0.5)
    teller = Client("teller", "job", limits=Limits(0.001))
    asked = time.monotonic()
    ray.get(limiter.report.remote(teller, Feedback(throttle=Throttle(retry_after_s=60.0))))
    snapshot = ray.get(limiter.snapshot.remote())
    took_s = time.monotonic() - asked
    still_waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0)[1]
    assert snapshot.state is GateState.PAUSED
    assert len(still_waiting) >= 11
    assert took_s < 2.0  # an acquire is answered after five seconds
    ray.kill(limiter)


def test_the_name_of_an_account_does_not_tell_its_key() -> None:
    """Another key or address is another limiter; the key stands in no name."""
    one = account_fingerprint("https://api.example.com/v1", "sk-secret")
    assert one == account_fingerprint("https://api.example.com/v1", "sk-secret")
    assert one != account_fingerprint("https://api.example.com/v1", "sk-other")
    assert one != account_fingerprint("https://api.example.org/v1", "sk-secret")
    assert "secret" not in limiter_name("openai", one, "some-model")


def test_jobs_find_the_same_actor(name: str) -> None:
    """Whoever asks for a name gets the one actor of that name."""
    assert get_limiter(name) == get_limiter(name)
    assert isinstance(RateLimiter(), RateLimiter)  # the body needs no Ray

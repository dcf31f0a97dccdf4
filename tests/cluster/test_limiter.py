"""The limiter as a real Ray actor, with clients in other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from bisect import bisect_left
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import ray
from ray.exceptions import RayActorError

from one_ocr_ray.cluster.limiter import (
    RateLimiter,
    RemoteLimiter,
    account_fingerprint,
    get_limiter,
    limiter_actor_class,
    limiter_name,
)
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure
from one_ocr_ray.policy.ratelimit.messages import Feedback, GateState, LimiterClient, Limits, Priority, Throttle
from one_ocr_ray.reading.limits.permits import LeasedPermits
from tests.waiting import PATIENCE_S, eventually, until

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_S = 100.0
LIMITS = Limits(requests_per_minute=60 * PER_S)

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Spender:
    """A worker process with one `LeasedPermits`. Instants are of the wall clock, in seconds."""

    def __init__(self, name: str, client: LimiterClient) -> None:
        self._permits = LeasedPermits(RemoteLimiter(name), client)
        self._sent: list[float] = []
        self._waits: list[float] = []
        self._senders: list[asyncio.Task[None]] = []

    async def saturate(self, coroutines: int) -> None:
        """Send as much as allowed from now on."""
        self._senders = [asyncio.create_task(self._send()) for _ in range(coroutines)]

    async def _send(self) -> None:
        while True:
            asked = time.time()
            await self._permits.acquire(0)
            self._sent.append(time.time())
            self._waits.append(time.time() - asked)
            await asyncio.sleep(0.05)
            self._permits.report(0, Answer(), 0.05)

    async def sent(self) -> list[float]:
        """When each request went out."""
        return self._sent

    async def end(self) -> tuple[list[float], list[float]]:
        """Stop sending; when each request went out, and how long each had waited for its permit."""
        for sender in self._senders:
            sender.cancel()
        ended = await asyncio.gather(*self._senders, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
        return self._sent, self._waits

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
        """Send one request that is throttled; when the limiter was told, or a little before."""
        await self._permits.acquire(0)
        failure = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Too fast.", Action.THROTTLED, retry_after_s=pause_s)
        told_at = time.time()
        self._permits.report(0, Answer(failure=failure), 0.05)
        return told_at


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a limiter of its own, gone after the test."""
    name = limiter_name("openai", account_fingerprint("http://127.0.0.1", "no-key"), uuid4().hex)
    yield name
    ray.kill(get_limiter(name), no_restart=True)


def spender(name: str, job: str, priority: Priority = Priority.BATCH) -> Any:
    actor = ray.remote(num_cpus=0)(Spender)
    return actor.remote(name, LimiterClient(uuid4().hex, job, priority, LIMITS))


def process_of(actor: Any) -> int:
    pid: int = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    return pid


def wait_until_sent(worker: Any, count: int, after: float = 0.0) -> None:
    """Until `worker` has sent `count` requests after that instant."""
    until(lambda: sum(instant > after for instant in ray.get(worker.sent.remote())) >= count, f"{count} requests")


def test_two_jobs_share_the_rate_and_online_work_passes_them(name: str) -> None:
    """Together they keep the limit, none goes without, and an upload does not wait behind either."""
    large = [spender(name, "large"), spender(name, "large")]
    small = spender(name, "small")
    online = spender(name, "online", Priority.ONLINE)
    workers = *large, small
    ray.get([worker.sent.remote() for worker in (*workers, online)])  # all processes are up
    ray.get([worker.saturate.remote(60) for worker in workers])
    for worker in workers:
        wait_until_sent(worker, 60)  # the first to come had the limiter for themselves
    begin = time.time()
    online_waits = ray.get(online.now_and_then.remote(20))
    end = time.time()
    ended = ray.get([worker.end.remote() for worker in workers])
    first, second, alone = (len([instant for instant in sent if begin <= instant < end]) for sent, _ in ended)
    assert first + second + alone + len(online_waits) <= 1.1 * PER_S * (end - begin)
    assert 1 / 3 < (first + second) / alone < 3  # that they are equal is the gate's test, without a machine's load
    batch_waits = [wait for sent, waits in ended for at, wait in zip(sent, waits, strict=True) if begin <= at < end]
    assert median(online_waits) < 0.5 * median(batch_waits)  # in one queue they would be equal


def test_a_pause_reaches_all_workers(name: str) -> None:
    """One worker's throttle silences the others within a lease, and for all of its hint."""
    pause_s = 8.0
    workers = [spender(name, "job") for _ in range(2)]
    ray.get([worker.saturate.remote(60) for worker in workers])
    for worker in workers:
        wait_until_sent(worker, 20)
    throttled_at = ray.get(spender(name, "job").throttled.remote(pause_s))
    for worker in workers:
        wait_until_sent(worker, 1, after=throttled_at + pause_s)
    ended = ray.get([worker.end.remote() for worker in workers])
    sent = sorted(instant for instants, _ in ended for instant in instants)
    silence_s, silent_from = max((after - before, before) for before, after in pairwise(sent))
    assert silent_from + silence_s >= throttled_at + pause_s
    assert silent_from > throttled_at - pause_s
    assert silence_s > 0.5 * pause_s  # what is on leases may still go out, for a quarter of a second and its delays
    assert ray.get(get_limiter(name).snapshot.remote()).throttles == 1


def test_a_restarted_limiter_keeps_the_rate(name: str) -> None:
    """Killed in the middle, it comes back with nothing saved up, knows the limit again, and the workers go on."""
    worker = spender(name, "job")
    ray.get(worker.saturate.remote(150))
    wait_until_sent(worker, 50)
    limiter = get_limiter(name)
    pid = process_of(limiter)
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    wait_until_sent(worker, 150, after=killed_at + 1.0)
    sent, _ = ray.get(worker.end.remote())
    assert max(bisect_left(sent, instant + 1.0) - number for number, instant in enumerate(sent)) <= 1.5 * PER_S
    assert process_of(limiter) != pid
    assert ray.get(limiter.snapshot.remote()).configured_rpm == LIMITS.requests_per_minute


def test_control_calls_pass_a_full_waiting_room() -> None:
    """A throttle and a question for the state get in while no acquire does."""
    limiter = limiter_actor_class(acquires=4).remote()
    waiting = [
        limiter.acquire.remote(LimiterClient(f"client-{number}", "job", limits=Limits(0.001)), 1, 0.0, Feedback())
        for number in range(40)
    ]
    time.sleep(0.5)
    teller = LimiterClient("teller", "job", limits=Limits(0.001))
    ray.get(limiter.report.remote(teller, Feedback(throttle=Throttle(retry_after_s=60.0))))
    snapshot = ray.get(limiter.snapshot.remote())
    still_waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0)[1]
    assert snapshot.state is GateState.PAUSED
    assert len(still_waiting) >= 5  # four are answered every five seconds: all but four after 45
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


def has_ended(actor: Any) -> bool:
    """True if it has; to look at it is not to speak to it."""
    try:
        ray.get(actor.snapshot.remote())
    except RayActorError:
        return True
    return False


async def test_a_limiter_that_nobody_needs_ends_and_comes_back() -> None:
    """Names come and go with the models that are asked for; a process for each would fill the head node."""
    name = limiter_name("openai", "idle", uuid4().hex)
    actor = get_limiter(name, idle_s=1.0)
    assert ray.get(actor.snapshot.remote()).in_flight == 0
    await eventually(lambda: has_ended(actor), "the end of the limiter")
    permits = LeasedPermits(RemoteLimiter(name), LimiterClient("a", "job", limits=LIMITS))
    async with asyncio.timeout(PATIENCE_S):
        await permits.acquire(0)
    permits.report(0, Answer(), 0.05)
    await permits.close()

"""LeasedPermits against a real RateLimiter in one process, in virtual time: no Ray, no waiting."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.limiter import RateLimiter
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, TokenUsage
from one_ocr_ray.policy.cost.metering import input_tokens
from one_ocr_ray.policy.ratelimit.adapt import HEADROOM, HEADROOM_WHEN_SLOW
from one_ocr_ray.policy.ratelimit.messages import Feedback, Grant, LimiterClient, Limits
from one_ocr_ray.policy.ratelimit.meter import MISSED_AT_MOST_S
from one_ocr_ray.reading.limits.permits import LATE_S, LATE_WHEN_SLOW_S, LeasedPermits
from tests.cluster.virtual_time import run_virtually
from tests.provider.quotas import Account, strict_minute
from tests.unit.ratelimit_simulation import busiest

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.policy.ratelimit.messages import Snapshot

TRIP_S = 0.002
THROTTLED = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Too fast.", Action.THROTTLED, retry_after_s=3.0)
NO_KEY = Failure(ErrorCode.AUTH, "The key was refused.", Action.STOP)


@dataclass
class Near:
    """A limiter in the same process, `TRIP_S` away; out of reach while `away`."""

    limiter: RateLimiter
    away: bool = False
    questions: int = 0
    sending: set[asyncio.Task[None]] = field(default_factory=set)

    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant | None:
        self.questions += 1
        await asyncio.sleep(TRIP_S)
        if self.away:
            return None
        grant = await self.limiter.acquire(client, wanted, tokens_each, feedback)
        await asyncio.sleep(TRIP_S)
        return grant

    def report(self, client: LimiterClient, feedback: Feedback) -> None:
        if not self.away:
            task = asyncio.get_running_loop().create_task(self._report(client, feedback))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _report(self, client: LimiterClient, feedback: Feedback) -> None:
        await asyncio.sleep(TRIP_S)
        await self.limiter.report(client, feedback)


def near() -> Near:
    return Near(RateLimiter(asyncio.get_running_loop().time))


def permits(limiter: Near, name: str = "a", limits: Limits = Limits(600.0)) -> LeasedPermits:
    return LeasedPermits(limiter, LimiterClient(name, "job", limits=limits))


async def work(
    account: LeasedPermits, answer: Callable[[], Answer], sent: list[float], latency_s: float = 1.0, tokens: int = 0
) -> None:
    """Send requests for ever, one after the other."""
    loop = asyncio.get_running_loop()
    while True:
        await account.acquire(tokens)
        sent.append(loop.time())
        answered = answer()
        await asyncio.sleep(0.02 if answered.failure else latency_s)
        account.report(tokens, answered, latency_s)


async def work_for(seconds: float, workers: list[asyncio.Task[None]]) -> None:
    """Let the workers work so long; then stop them, and fail if one had stopped by itself."""
    done, _ = await asyncio.wait(workers, timeout=seconds)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert not done, [worker.exception() for worker in done]


def test_a_strict_account_is_used_to_97_per_cent_without_a_single_throttle() -> None:
    """Four workers on 600 a minute, enforced over any 60 s and any second: all of it is used, none of it overrun."""

    async def main() -> tuple[list[float], int]:
        limiter, sent, refused = near(), [], 0
        loop = asyncio.get_running_loop()
        account = Account(strict_minute(600), loop.time())

        def answer() -> Answer:
            nonlocal refused
            if account.admit(loop.time(), 0.0) is None:
                return Answer(text="page")
            refused += 1
            return Answer(failure=THROTTLED)

        workers = [
            asyncio.create_task(work(client, answer, sent))
            for client in (permits(limiter, f"worker-{number}") for number in range(4))
            for _ in range(16)
        ]
        await work_for(100.0, workers)
        return sent, refused

    sent, refused = run_virtually(main())
    assert refused == 0
    assert len([instant for instant in sent if instant >= 5]) >= 0.97 * 10 * 95


def stand_still(seconds: float) -> None:
    """The process gets no CPU for so long: virtual time passes, and nothing is done in it."""
    asyncio.get_running_loop()._jump.now += seconds  # type: ignore[attr-defined]


def test_late_permits_keep_their_distance() -> None:
    """After a moment without CPU nothing is caught up with at once, and a second holds no more than it may."""

    async def main() -> list[float]:
        limiter, sent = near(), []
        account = permits(limiter, limits=Limits(6000.0))
        workers = [asyncio.create_task(work(account, Answer, sent, latency_s=0.01)) for _ in range(64)]
        await asyncio.sleep(5.0)
        stand_still(0.15)
        await work_for(5.0, workers)
        return [instant for instant in sent if instant > 3.0]

    sent = run_virtually(main())
    assert busiest(sent, 0.1) <= 11
    assert busiest(sent, 1.0) <= 105
    assert len(sent) >= 0.97 * 100 * (sent[-1] - sent[0])


def test_a_machine_that_stumbles_is_not_throttled() -> None:
    """Every two seconds or so all stands still for up to 0.3 s: a strict account refuses nothing."""
    dice = random.Random(0)

    async def main() -> tuple[int, float]:
        limiter, sent, refused = near(), [], 0
        loop = asyncio.get_running_loop()
        account = Account(strict_minute(600), loop.time())

        def answer() -> Answer:
            nonlocal refused
            refusal = account.admit(loop.time(), 0.0)
            refused += refusal is not None
            return Answer() if refusal is None else Answer(failure=THROTTLED)

        client = permits(limiter)
        workers = [asyncio.create_task(work(client, answer, sent)) for _ in range(24)]
        for _ in range(60):
            await asyncio.sleep(dice.uniform(1.0, 3.0))
            stand_still(dice.uniform(0.0, 0.3))
        await work_for(1.0, workers)
        return refused, len(sent) / (sent[-1] - sent[0])

    refused, per_s = run_virtually(main())
    assert refused == 0
    assert per_s >= 0.9 * 10


def test_waiting_coroutines_go_first_come_first_served() -> None:
    """The order of the calls is the order of the permits."""

    async def main() -> list[int]:
        account, order = permits(near()), []

        async def one(number: int) -> None:
            await account.acquire(0)
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))
        return order

    assert run_virtually(main()) == list(range(20))


def test_a_client_asks_a_few_times_a_second_whatever_the_rate() -> None:
    """Leases, not single permits: hundreds of permits a second cost a handful of questions."""

    async def main() -> tuple[int, int]:
        limiter, sent = near(), []
        account = permits(limiter, limits=Limits(60 * 500.0))
        workers = [asyncio.create_task(work(account, Answer, sent)) for _ in range(800)]
        await work_for(20.0, workers)
        return limiter.questions, len([instant for instant in sent if instant >= 15])

    questions, sent = run_virtually(main())
    assert sent >= 0.98 * 500 * 5
    assert questions <= 8 * 20


def test_a_throttle_takes_back_the_permits_of_its_client_and_pauses_the_others() -> None:
    """After a throttle nothing goes out on permits from before it, and nobody sends until the hint has passed."""

    async def main() -> tuple[float, list[float], list[float]]:
        limiter, mine, others = near(), [], []
        loop = asyncio.get_running_loop()
        unlucky, lucky = permits(limiter, "a"), permits(limiter, "b")
        workers = [asyncio.create_task(work(unlucky, Answer, mine)) for _ in range(64)]
        workers += [asyncio.create_task(work(lucky, Answer, others)) for _ in range(64)]
        await asyncio.sleep(5.0)
        throttled_at = loop.time()
        await unlucky.acquire(0)
        unlucky.report(0, Answer(failure=THROTTLED), 0.1)
        throttled_at = loop.time()
        await work_for(10.0, workers)
        return throttled_at, mine, others

    throttled_at, mine, others = run_virtually(main())
    assert not [instant for instant in mine if throttled_at < instant < throttled_at + 3.0]
    assert not [instant for instant in others if throttled_at + 0.3 < instant < throttled_at + 3.0]
    assert min(instant for instant in mine + others if instant > throttled_at + 0.3) < throttled_at + 4.5


def test_a_stop_reaches_everybody_who_waits() -> None:
    """One refused key closes the bucket: all waiters of all clients raise the same code."""

    async def main() -> None:
        limiter = near()
        first, second = permits(limiter, "a"), permits(limiter, "b")
        await first.acquire(0)
        waiting = [asyncio.create_task(account.acquire(0)) for account in (first, second) for _ in range(30)]
        first.stop(NO_KEY)
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1.0)
        stopped = [result for result in results if isinstance(result, StoppedError)]
        assert len(stopped) >= 50
        assert {error.code for error in stopped} == {ErrorCode.AUTH}

    run_virtually(main())


def test_a_refusal_stops_nobody_before_the_policy_has_decided_so() -> None:
    """One 401 among thirty, which the page loop asks again: no permit is lost by it, of this client or another."""

    async def main() -> tuple[list[float], Snapshot]:
        limiter, sent = near(), []
        answers = iter([Answer(failure=NO_KEY)])
        workers = [
            asyncio.create_task(work(account, lambda: next(answers, Answer()), sent))
            for account in (permits(limiter, "a"), permits(limiter, "b"))
            for _ in range(15)
        ]
        await work_for(5.0, workers)
        return sent, await limiter.limiter.snapshot()

    sent, after = run_virtually(main())
    assert len(sent) >= 0.9 * 10 * 5
    assert after.stopped is None


def test_while_the_limiter_is_away_nothing_is_sent_and_few_questions_are_asked() -> None:
    """A client without a limiter waits with back-off; it never runs free, and goes on by itself afterwards."""

    async def main() -> None:
        limiter, sent = near(), []
        limiter.away = True
        worker = asyncio.create_task(work(permits(limiter), Answer, sent))
        await asyncio.sleep(30.0)
        assert not sent
        assert limiter.questions < 30
        limiter.away = False
        await work_for(5.0, [worker])
        assert sent

    run_virtually(main())


def test_a_permit_that_is_far_too_late_is_given_back() -> None:
    """An event loop that stood still does not fire a backlog."""

    async def main() -> None:
        limiter = near()
        account = permits(limiter, limits=Limits(6000.0))
        waiting = [asyncio.create_task(account.acquire(0)) for _ in range(100)]
        await asyncio.sleep(0.3)
        went = sum(task.done() for task in waiting)
        stand_still(5 * LATE_S)
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        assert sum(task.done() for task in waiting) == went
        await asyncio.wait_for(asyncio.gather(*waiting), 5.0)

    run_virtually(main())


async def snapshot_after(limiter: Near, seconds: float) -> Snapshot:
    await asyncio.sleep(seconds)
    return await limiter.limiter.snapshot()


def test_cancelled_coroutines_leave_nothing_in_flight() -> None:
    """Whoever is cancelled while waiting gives up the place, and a permit that came too late for it."""

    async def main() -> None:
        limiter = near()
        account = permits(limiter)
        waiting = [asyncio.create_task(account.acquire(0)) for _ in range(40)]
        await asyncio.sleep(1.0)
        sent = sum(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await snapshot_after(limiter, 1.0)).in_flight == sent
        for _ in range(sent):
            account.report(0, None, 0.0)
        assert (await snapshot_after(limiter, 1.0)).in_flight == 0

    run_virtually(main())


def test_the_whole_job_keeps_its_limit_of_requests_under_way() -> None:
    """`max_in_flight` holds over all workers of a job, and is reached."""

    async def main() -> int:
        limiter, under_way, most = near(), 0, 0

        async def one(account: LeasedPermits) -> None:
            nonlocal under_way, most
            while True:
                await account.acquire(0)
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.5)
                under_way -= 1
                account.report(0, Answer(), 0.5)

        clients = [permits(limiter, name, Limits(60_000.0, max_in_flight=20)) for name in "abc"]
        await work_for(10.0, [asyncio.create_task(one(client)) for client in clients for _ in range(20)])
        return most

    assert run_virtually(main()) == 20


def test_tokens_are_settled_with_what_was_used() -> None:
    """Pages that use half of their estimate go out twice as fast as the estimate would allow."""

    async def main() -> int:
        limiter, sent = near(), []
        account = permits(limiter, limits=Limits(tokens_per_minute=600_000.0))
        answer = Answer(usage=TokenUsage(input_tokens=800, output_tokens=200))
        workers = [asyncio.create_task(work(account, lambda: answer, sent, tokens=2000)) for _ in range(64)]
        await work_for(70.0, workers)
        return len([instant for instant in sent if instant >= 10])

    assert run_virtually(main()) == pytest.approx(60 * 10, rel=0.03)


def test_tokens_are_settled_as_the_account_counts_them() -> None:
    """Gemini counts input alone: however long the answers are, they cost nothing of its limit."""

    async def main() -> int:
        limiter, sent = near(), []
        account = LeasedPermits(
            limiter, LimiterClient("a", "job", limits=Limits(tokens_per_minute=600_000.0)), tokens_counted=input_tokens
        )
        answer = Answer(usage=TokenUsage(input_tokens=1000, output_tokens=5000))
        workers = [asyncio.create_task(work(account, lambda: answer, sent, tokens=1000)) for _ in range(64)]
        await work_for(70.0, workers)
        return len([instant for instant in sent if instant >= 10])

    assert run_virtually(main()) == pytest.approx(60 * 10, rel=0.03)


def test_close_gives_everything_back() -> None:
    """A client that says goodbye holds no place of the job any more."""

    async def main() -> None:
        limiter = near()
        account = permits(limiter)
        await account.acquire(0)
        await account.close()
        assert (await snapshot_after(limiter, 0.1)).in_flight == 0

    run_virtually(main())


def test_what_may_come_late_fits_into_the_unused_part_of_a_minute() -> None:
    """The first of a minute's permits at its latest, the rest on time, and a meter that makes up for a moment."""
    assert LATE_S + MISSED_AT_MOST_S <= 60 * HEADROOM
    assert LATE_WHEN_SLOW_S + MISSED_AT_MOST_S <= 60 * HEADROOM_WHEN_SLOW

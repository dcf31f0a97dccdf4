"""Several endpoints, and readers that follow one another, in virtual time against real limiters: no Ray."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cluster.limiter import RateLimiter
from one_ocr_ray.engines.llm.http import BROKEN, NO_CONNECTION
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.job import Endpoint
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest, TokenUsage
from one_ocr_ray.policy.cost.metering import total_tokens
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.ratelimit.messages import GateState, LimiterClient, Limits
from one_ocr_ray.reading.failure_notes import FailureNotes
from one_ocr_ray.reading.limits.endpoints import EndpointPermits
from one_ocr_ray.reading.page.loop import ReadContext, ignore_spending, read_page
from one_ocr_ray.reading.route.reader import NoMetering, Permits, Reader
from tests.cluster.test_permits import Near
from tests.cluster.virtual_time import run_virtually
from tests.provider.quotas import Account, strict_minute
from tests.unit.wire_samples_reader import page_image
from tests.values import NOON, document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.model import PageImage, PageResult
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.ratelimit.messages import Snapshot
    from one_ocr_ray.reading.page.events import Observer

TOO_FAST = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Too fast.", Action.THROTTLED, 429, retry_after_s=3.0)
NO_CREDIT = Failure(ErrorCode.BILLING, "Pay.", Action.STOP, 429)
GOOD_S = 1.0  # of an answer


def now() -> float:
    return asyncio.get_running_loop().time()


class LoopClock:
    """The time of the event loop."""

    def monotonic_s(self) -> float:
        return now()

    def utc(self) -> datetime:
        return NOON + timedelta(seconds=now())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Server:
    """An engine at one endpoint: a strict quota, and times in which it cannot be reached."""

    rpm: float
    dead: tuple[float, float] = (0.0, 0.0)
    refusal: Failure | None = None
    name: str = "openai"
    model: str = "m"
    hangs: bool = False  # while it is dead, whoever has asked before waits for ever
    ended_by: frozenset[int] = frozenset()  # pages that end the server for 20 s
    ends: int = 0
    asked: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    shown: list[tuple[float, GateState]] = field(default_factory=list)  # by the metrics

    def show(self, rates: Snapshot, _: tuple[str, str] | None) -> None:
        self.shown.append((now(), rates.state))

    answered: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0
    account: Account | None = None

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        self.account = self.account or Account(strict_minute(int(self.rpm)), now())
        begun = now()
        self.asked.append(begun)
        if self.dead[0] <= begun < self.dead[1]:
            return Answer(failure=NO_CONNECTION)
        if self.refusal is not None:
            return Answer(failure=self.refusal)
        if self.account.admit(begun, 0.0) is not None:
            self.refused += 1
            return Answer(failure=TOO_FAST)
        if image.page_number in self.ended_by:
            await asyncio.sleep(GOOD_S / 2)
            self.dead, self.ends = (now(), now() + 20.0), self.ends + 1
            return Answer(failure=BROKEN)
        await asyncio.sleep(GOOD_S)
        if self.dead[0] <= now() < self.dead[1]:  # while it was under way
            if self.hangs:
                await asyncio.sleep(10_000)
            return Answer(failure=BROKEN if self.ended_by else NO_CONNECTION)
        self.answered.append((now(), image.page_number))
        return Answer(text="page", usage=TokenUsage(1, 1), finish_reason="stop")

    async def check(self) -> Failure | None:
        self.looks.append(now())
        return NO_CONNECTION if self.dead[0] <= now() < self.dead[1] else None

    async def close(self) -> None:
        pass


def reader(name: str, servers: Sequence[Server], *, has_next: bool = False, may_grow: bool = False) -> Reader:
    """A reader of a route with these endpoints, each under a limiter of its own."""

    def join(endpoint: Endpoint, server: Engine) -> None:
        elsewhere = has_next or len(servers) > 1 or may_grow
        client = LimiterClient(f"{name}-{endpoint.name}", "job", limits=endpoint.limits, elsewhere=elsewhere)
        limiter = Near(RateLimiter(now, server.show if isinstance(server, Server) else None))
        permits.add(endpoint.name, server, limiter, client, total_tokens)

    permits = EndpointPermits(has_next=has_next, join=join, are_started_again=may_grow)
    for number, server in enumerate(servers):
        join(endpoint(number, server), server)
    return Reader(
        engine=servers[0],
        permits=permits,
        request=PageRequest(prompt="Read."),
        prompt_sha256=None,
        metering=NoMetering(),
        judge=judge,
        name=name,
    )


def endpoint(number: int, server: Server) -> Endpoint:
    """What a job knows of `server`."""
    return Endpoint(f"e{number}", EngineOptions(name="openai", model="m", base_url=""), Limits(server.rpm))


async def read_for(
    seconds: float,
    readers: Callable[[], Sequence[Reader]],
    *,
    at_once: int = 64,
    observers: tuple[Observer, ...] = (),
    record_spending: Callable[[Spending], None] = ignore_spending,
) -> list[PageResult]:
    """The rows of the pages that `at_once` readers finish in that time; what is under way then is not cut off."""
    identity = RunIdentity("run", "config")
    context = ReadContext(tuple(readers()), identity, observers, LoopClock(), lambda: 0.5, record_spending)
    rows: list[PageResult] = []

    async def work(first: int) -> None:
        number = first
        while now() < seconds:
            rows.append(await read_page(document(1), page_image(number=number), context))
            number += at_once

    await asyncio.gather(*(work(number) for number in range(1, at_once + 1)))
    return rows


def test_rates_of_endpoints_add_up_and_one_may_die_for_a_minute() -> None:
    """Quotas of 600, 300, 300 and 60 a minute: nearly all is used, none passed, and no page fails or is paid twice."""
    servers = [Server(600), Server(300), Server(300, dead=(60.0, 120.0)), Server(60)]
    rows = run_virtually(read_for(240.0, lambda: [reader("large", servers)]))
    assert {row.status for row in rows} == {"ok"}
    assert {row.attempts for row in rows} == {1}
    assert not [server.refused for server in servers if server.refused]
    paid = Counter(number for server in servers for _, number in server.answered)
    assert max(paid.values()) == 1
    allowed = (600 + 300 + 60) * 4 + 300 * 3
    assert sum(paid.values()) >= 0.97 * allowed
    third = servers[2]
    assert sum(60.0 <= at < 120.0 for at in third.asked) < 30  # those under way, and a trial now and then
    seen = [[state for at, state in third.shown if at < second][-1] for second in range(62, 120)]
    assert seen.count(GateState.BROKEN) > 50  # and is told in the metrics
    assert 10 < len(third.looks) < 60  # without a page
    assert sum(120.0 <= at < 130.0 for at, _ in third.answered) > 25  # it is back, and used at once


def test_requests_under_way_at_a_server_that_is_gone_go_elsewhere() -> None:
    """They would hang until they time out; nobody waits for them once the server is known to be gone."""
    servers = [Server(300), Server(300, dead=(20.0, 50.0), hangs=True)]
    beside: list[Spending] = []
    read = read_for(80.0, lambda: [reader("r", servers)], at_once=32, record_spending=beside.append)
    rows = run_virtually(read)
    assert {(row.status, row.attempts) for row in rows} == {("ok", 1)}
    moved = sum(len(server.asked) for server in servers) - len(rows)
    assert sum(each.requests for each in beside) == moved > 0  # no attempts, and sent all the same
    answered = [at for server in servers for at, _ in server.answered]
    assert len(answered) == len(rows)
    assert max(answered) < 100.0
    assert not [server.refused for server in servers if server.refused]


def test_endpoints_join_and_leave_while_pages_are_read() -> None:
    """The new one takes its share at once, the one that leaves finishes what it has; no page notices."""
    first, second = Server(300), Server(600)
    places = [endpoint(0, first), endpoint(1, second)]

    async def change(permits: Permits) -> None:
        assert isinstance(permits, EndpointPermits)
        await asyncio.sleep(60)
        for _ in range(2):  # workers are told again and again
            permits.join(places[0], lambda _: first)
            permits.join(places[1], lambda _: second)
        await asyncio.sleep(60)
        permits.keep(places[1:])

    async def both() -> list[PageResult]:
        own = reader("own", [first], may_grow=True)
        rows, _ = await asyncio.gather(read_for(180.0, lambda: [own]), change(own.permits))
        return rows

    rows = run_virtually(both())
    assert {(row.status, row.attempts) for row in rows} == {("ok", 1)}
    assert not second.asked or min(second.asked) >= 60.0
    assert sum(at < 120.0 for at, _ in second.answered) > 400
    assert max(first.asked) <= 120.0
    assert len(first.answered) == len(first.asked) > 400


def test_an_endpoint_that_has_left_is_looked_at_no_more() -> None:
    """It was dead when its server was given up."""
    first, second = Server(300), Server(300, dead=(10.0, 600.0))

    async def leave(permits: Permits) -> None:
        assert isinstance(permits, EndpointPermits)
        await asyncio.sleep(30)
        permits.keep([endpoint(0, first)])

    async def both() -> None:
        own = reader("own", [first, second])
        await asyncio.gather(read_for(60.0, lambda: [own], at_once=16), leave(own.permits))

    run_virtually(both())
    assert 10.0 < max(second.looks) < 35.0


def test_the_next_reader_reads_while_a_provider_is_down() -> None:
    """No page fails, the limits of both hold, and the first is used again when it is back."""
    first, second = Server(600, dead=(30.0, 90.0)), Server(300)
    both = lambda: [reader("first", [first], has_next=True), reader("second", [second])]  # noqa: E731
    rows = run_virtually(read_for(180.0, both, at_once=16))
    assert {row.status for row in rows} == {"ok"}
    assert (first.refused, second.refused) == (0, 0)
    paid = Counter(number for server in (first, second) for _, number in server.answered)
    assert max(paid.values()) == 1
    by_second = [row for row in rows if row.engine == "second"]
    assert {row.route_reason for row in by_second} == {"failed_over"}
    assert len(by_second) > 250
    assert not [at for at, _ in second.answered if at < 30.0 or at > 115.0]  # a trial at least once in 40 s
    assert sum(30.0 <= at < 90.0 for at in first.asked) < 40
    assert sum(at > 115.0 for at, _ in first.answered) > 600


def test_a_page_that_waits_at_the_last_reader_goes_back_to_one_that_is_there_again() -> None:
    """The second dies while the first is dead, and stays so: pages go on at the first, and none is paid twice."""
    first, second = Server(600, dead=(30.0, 60.0)), Server(300, dead=(50.0, 600.0))
    both = lambda: [reader("first", [first], has_next=True), reader("second", [second])]  # noqa: E731
    rows = run_virtually(read_for(180.0, both, at_once=32))
    assert {row.status for row in rows} == {"ok"}
    paid = Counter(number for server in (first, second) for _, number in server.answered)
    assert max(paid.values()) == 1
    assert sum(paid.values()) == len(rows)
    assert (first.refused, second.refused) == (0, 0)
    assert sum(at > 80.0 for at, _ in first.answered) > 900
    assert max(at for at, _ in first.answered) < 190.0  # those that were held up at the second are not there for ever


def test_a_page_that_came_back_does_not_ask_again_who_has_answered_it() -> None:
    """The first is away, the second's answer cannot be used, the third is away: the first reads it, or the third."""
    useless = Failure(ErrorCode.REPETITION, "On and on.", Action.FAIL, 200)
    first, second = Server(600, dead=(0.0, 20.0)), Server(600, refusal=useless)
    third = Server(600, dead=(0.0, 120.0))
    servers = [first, second, third]
    rows = run_virtually(read_for(40.0, partial(_in_turn, *servers), at_once=16))
    assert {row.status for row in rows} == {"ok"}
    assert {row.engine for row in rows} == {"r0"}
    assert len(second.asked) <= len(rows)
    assert not third.answered


def test_an_account_without_credit_leaves_the_route() -> None:
    """It is asked by the pages that were under way, and then by nobody for ten minutes; the user is told once."""
    poor, rich, notes = Server(600, refusal=NO_CREDIT), Server(600), FailureNotes()
    rows = run_virtually(read_for(30.0, lambda: [reader("r", [poor, rich])], observers=(notes.observe,)))
    assert notes.to_show(None) == {"r at e0": "r at e0 refuses every page: Pay."}
    assert {(row.status, row.attempts) for row in rows} == {("ok", 1)}
    assert len(poor.asked) < 20
    poor.asked.clear()
    rows = run_virtually(read_for(30.0, partial(_in_turn, poor, Server(600))))
    assert {row.status for row in rows} == {"ok"}
    assert len(poor.asked) < 20


def _in_turn(*servers: Server) -> list[Reader]:
    last = len(servers) - 1
    return [reader(f"r{number}", [each], has_next=number < last) for number, each in enumerate(servers)]


def test_an_account_that_nobody_stands_in_for_stops_the_job() -> None:
    """After the second look that a single account gets; several stop it when the last one refuses."""
    for readers in (
        lambda: [reader("r", [Server(600, refusal=NO_CREDIT)])],
        lambda: [reader("r", [Server(600, refusal=NO_CREDIT), Server(600, refusal=NO_CREDIT)])],
    ):
        with pytest.raises(StoppedError, match="Pay"):
            run_virtually(read_for(30.0, readers, at_once=1))


def test_a_server_that_is_started_again_costs_the_last_pages_nothing() -> None:
    """With one page under way each trial is that page's; the start of a server takes minutes."""
    own = Server(600, dead=(10.0, 150.0))
    rows = run_virtually(read_for(20.0, lambda: [reader("own", [own], may_grow=True)], at_once=1))
    assert {row.status for row in rows} == {"ok"}
    assert {row.attempts for row in rows} == {1}


@pytest.mark.parametrize("servers", [1, 3])
def test_a_page_that_ends_servers_fails_alone(servers: int) -> None:
    """It has ended three, and the pages that were under way with it are read. Two such pages do not spoil others."""
    own = [Server(6000, ended_by=frozenset({5, 6})) for _ in range(servers)]
    rows = run_virtually(read_for(120.0, lambda: [reader("own", own, may_grow=True)], at_once=24))
    failed = {row.page_number: row.failure for row in rows if row.status == "failed"}
    assert failed.keys() == {5, 6}
    for error in failed.values():
        assert error is not None
        assert (error.code, error.code.retryable) == (ErrorCode.PROVIDER_REJECTED, False)
        assert error.message == "A model server ended while it read this page, 3 times."
    assert 3 <= sum(server.ends for server in own) <= 6

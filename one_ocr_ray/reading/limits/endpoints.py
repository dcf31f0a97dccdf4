"""The endpoints of one engine, for one worker. The first that grants a permit gets the request.

All endpoints grant to one queue, so that their rates add up, and the roomier one asks its limiter sooner. One that is
away (its breaker is open, its account is closed) grants nothing and comes back by itself. One that cannot be reached is
looked at without a page meanwhile, and used at once when it is there again.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from one_ocr_ray.errors import OneOcrError, StoppedError
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure
from one_ocr_ray.policy.page.moves import MOVES_MAX, closes_the_endpoint, is_of_the_endpoint
from one_ocr_ray.reading.limits.permits import LeasedPermits
from one_ocr_ray.reading.limits.waiting import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.job import Endpoint
    from one_ocr_ray.model import PageImage, PageRequest, TokenUsage
    from one_ocr_ray.policy.ratelimit.messages import Held, LimiterClient
    from one_ocr_ray.reading.limits.ports import Limiter
    from one_ocr_ray.reading.limits.waiting import Waiter

# A request waits so long for each roomier endpoint before the next one is asked. Nobody notices it in a page's time.
ROOMIER_FIRST_S = 0.02
LOOK_IF_THERE_S = 0.75, 2.25  # at a server that is away: at random between the two, so that workers do not go in step
LOOK_BACK_EVERY_S = 1.0  # while a page waits at the last reader that it could also go back from
AWAY = Failure(
    ErrorCode.PROVIDER_UNAVAILABLE, "The provider is away: it has failed nearly every request.", Action.RETRY
)


LOST = Failure(
    ErrorCode.PROVIDER_UNAVAILABLE,
    "The provider's server was gone while the request was under way.",
    Action.RETRY,
    answer_lost=True,
)


class ProviderAwayError(OneOcrError):
    """No endpoint of the engine answers now, and the page can go to another reader."""

    def __init__(self, failure: Failure, permits: EndpointPermits) -> None:
        """`permits`: of the engine, which may be open again later."""
        super().__init__(failure.message)
        self.failure = failure
        self.permits = permits


@dataclass(eq=False, slots=True)
class Lane:
    """One endpoint: its engine, and the permits of its account."""

    name: str
    engine: Engine
    permits: LeasedPermits
    weight: float
    siblings: EndpointPermits  # itself among them
    asked: set[asyncio.Task[Answer]] = field(default_factory=set)  # requests under way
    watch: asyncio.Task[None] | None = None  # while its server is away

    @property
    def is_alone(self) -> bool:
        """True if the engine has no other."""
        return len(self.siblings.lanes) == 1

    @property
    def is_open(self) -> bool:
        """False while it grants nothing."""
        return asyncio.get_running_loop().time() >= self.permits.away_until

    async def ask(self, image: PageImage, request: PageRequest) -> Answer:
        """Send one request. Its answer is not waited for once the server is known to be gone."""
        asked = asyncio.ensure_future(self.engine.analyze_image_async(image, request))
        self.asked.add(asked)
        try:
            return await asked
        except asyncio.CancelledError:
            if (page := asyncio.current_task()) is not None and page.cancelling():
                raise
            return Answer(failure=LOST)
        finally:
            self.asked.discard(asked)

    def look_while_away(self) -> None:
        """Look now and then if the server is there. Use it once it is back."""
        if self.watch is None or self.watch.done():
            self.watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        was_gone = False
        while self._may_come_back:
            await asyncio.sleep(random.uniform(*LOOK_IF_THERE_S))  # noqa: S311 - spreads looks
            failure = await self.engine.check()
            if failure is not None and failure.code is ErrorCode.PROVIDER_UNAVAILABLE:
                was_gone = True
                for asked in self.asked:  # they would hang until they time out
                    asked.cancel()
            elif was_gone and self._may_come_back:
                self.permits.come_back()

    @property
    def _may_come_back(self) -> bool:
        return not self.is_open and self.permits.away_until < inf and self.permits.stopped is None

    def passes_on(self, failure: Failure | None, failed_at: Sequence[Lane]) -> bool:
        """True if another endpoint is asked at once: this one fails, another is open.

        An account that refuses everybody is closed then. The last one is not, before the policy has decided so.
        """
        if failure is None or not is_of_the_endpoint(failure) or len(failed_at) == MOVES_MAX:
            return False
        moves = self.siblings.has_other((*failed_at, self))
        if moves and closes_the_endpoint(failure):
            self.permits.stop(failure)
        return moves


class EndpointPermits:
    """`Permits` of an engine with several endpoints, or with a next reader for its pages."""

    def __init__(
        self,
        *,
        has_next: bool,
        join: Callable[[Endpoint, Engine], None] | None = None,
        are_started_again: bool = False,
    ) -> None:
        """`has_next`: pages that nobody here answers go to the next reader without waiting.

        `join` adds an endpoint that becomes known later. `are_started_again`: the run's own servers, when they end.
        """
        self.may_leave = has_next
        self.are_started_again = are_started_again
        self.one_at_a_time = asyncio.Semaphore(1)  # for requests that may be what ends the servers
        self._join = join
        self._waiting = WaitingRequests()
        self.lanes: list[Lane] = []

    def add(
        self,
        name: str,
        engine: Engine,
        limiter: Limiter,
        client: LimiterClient,
        tokens_counted: Callable[[TokenUsage], int | None],
        *,
        weight: float = 1.0,
    ) -> None:
        """Let one more endpoint answer."""
        peers = self if client.elsewhere else None
        permits = LeasedPermits(limiter, client, tokens_counted, waiting=self._waiting, peers=peers)
        self.lanes.append(Lane(name, engine, permits, weight, self))

    def join(self, endpoint: Endpoint, engine_of: Callable[[Endpoint], Engine]) -> None:
        """Let `endpoint` answer, too, from now on. One that is known already is left as it is."""
        if self._join is not None and all(lane.name != endpoint.name for lane in self.lanes):
            self._join(endpoint, engine_of(endpoint))
            self.lanes[-1].permits.look()

    def keep(self, endpoints: Iterable[Endpoint]) -> None:
        """Ask none but `endpoints` from now on; what is under way elsewhere is finished."""
        kept = {endpoint.name for endpoint in endpoints}
        for lane in self.lanes:
            if lane.name not in kept and lane.permits.away_until != inf:
                lane.permits.leave(inf)

    async def ready(self) -> None:
        """Have the limiters started."""
        await asyncio.gather(*(lane.permits.ready() for lane in self.lanes))

    async def acquire(
        self, tokens: int, avoids: Collection[Lane] = (), missed: Collection[EndpointPermits] = ()
    ) -> Lane:
        """Wait until an endpoint takes a request of about `tokens` tokens. One of `avoids` only if no other is open.

        `missed`: readers that the page went past while they were away. Raises ProviderAwayError if none is open here
        and there is a next reader, or one of `missed` is back; and StoppedError if every account refuses.
        """
        self._refuse_if_away()
        waiter = self._waiting.add(tokens, [lane.permits for lane in avoids] if self.has_other(avoids) else ())
        for lane in self.lanes:
            lane.permits.look()
        look_back = asyncio.create_task(self._look_back(waiter, missed)) if missed else None
        try:
            account = await self._waiting.wait(waiter)
        finally:
            if look_back is not None:
                look_back.cancel()
        return next(lane for lane in self.lanes if lane.permits is account)

    async def _look_back(self, waiter: Waiter, missed: Collection[EndpointPermits]) -> None:
        """End the wait of `waiter` if nobody here answers and one of `missed` has opened."""
        while self.held() is None or not any(each.is_open for each in missed):  # noqa: ASYNC110 - time opens, no event
            await asyncio.sleep(LOOK_BACK_EVERY_S)
        self._waiting.drop(waiter, ProviderAwayError(AWAY, self))

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        """Never called: each request is reported to the lane that has granted it."""
        raise NotImplementedError

    def stop(self, failure: Failure) -> None:
        """Close every account."""
        for lane in self.lanes:
            lane.permits.stop(failure)

    def has_other(self, than: Collection[Lane]) -> bool:
        """True if an endpoint is open that is none of `than`."""
        return any(lane.is_open for lane in self.lanes if lane not in than)

    @property
    def is_open(self) -> bool:
        """True if an endpoint is open."""
        return self.has_other(())

    @property
    def has_open_account(self) -> bool:
        """True if an account is left that does not refuse everybody."""
        return any(lane.permits.stopped is None for lane in self.lanes)

    def held(self) -> Held | None:
        """What keeps every endpoint from being asked, if anything."""
        held = [lane.permits.held() for lane in self.lanes]
        return held[0] if all(held) and not self.may_leave else None

    async def close(self) -> None:
        """Give everything back."""
        for lane in self.lanes:
            if lane.watch is not None:
                lane.watch.cancel()
            await lane.permits.close()

    def delay_s(self, permits: LeasedPermits) -> float:
        """How long the lane of `permits` leaves waiting requests to roomier ones."""
        loads = {lane.permits: lane.permits.load / lane.weight for lane in self.lanes if lane.is_open}
        order = sorted(loads, key=lambda each: loads[each])
        return ROOMIER_FIRST_S * order.index(permits) if permits in order else 0.0

    def away(self, permits: LeasedPermits, *, is_broken: bool) -> None:
        """Hear that the lane of `permits` grants nothing for a while. `is_broken`: because its server fails."""
        self._waiting.avoid_nobody()
        for lane in self.lanes:
            lane.permits.look()
            if is_broken and lane.permits is permits:
                lane.look_while_away()
        try:
            self._refuse_if_away()
        except OneOcrError as error:
            self._waiting.fail(error)

    def _refuse_if_away(self) -> None:
        if self.is_open:
            return
        stopped = [lane.permits.stopped for lane in self.lanes]
        if self.may_leave:
            raise ProviderAwayError(next(filter(None, stopped), AWAY), self)
        if (failure := stopped[0]) is not None and all(stopped):
            raise StoppedError(failure.message, failure.code)

"""The rate limiter of one account and model. All jobs and the service share this detached actor.

All decisions are those of `policy.ratelimit.gate`; here are the waiting, the clock and the name.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import ActorDiedError, RayActorError

from one_ocr_ray.cluster.metrics import show_rates
from one_ocr_ray.cluster.nodes import NAMESPACE, shared_by_the_cluster
from one_ocr_ray.errors import EngineError
from one_ocr_ray.policy.ratelimit.gate import Gate
from one_ocr_ray.policy.ratelimit.messages import Grant

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.job import SentBefore
    from one_ocr_ray.policy.ratelimit.messages import Feedback, LimiterClient, RequestHistory, Snapshot

ACQUIRE = "acquire"
CONTROL = "control"
ANSWER_WITHIN_S = 5.0
# Two answers late: the actor, its node or the network is gone.
GIVE_UP_AFTER_S = 2 * ANSWER_WITHIN_S
DEATHS = 5
SHOW_EVERY_S = 1.0
# A limiter that nobody uses for so long ends; the next client starts a new one. One that counts the requests of a day
# stays until the day is over.
IDLE_S = 3600.0
# Releases of this package may share the actor. Raise the version when the shape of a pickled message changes.
_PROTOCOL = "v7"


class RateLimiter:
    """Actor body around one `Gate`. Ray runs each concurrency group on a thread of its own, hence the lock."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        show: Callable[[Snapshot, tuple[str, str] | None], None] | None = None,
        end: Callable[[], None] | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        """`show` is told the rates now and then, for the metrics. `end` is called after `idle_s` of silence."""
        self._clock = clock
        self._heard_at = clock()
        if end is not None:
            threading.Thread(target=self._watch, args=(end, idle_s), name="idle", daemon=True).start()
        self._show = show
        self._show_at = clock()
        self._shown_as: tuple[str, str] | None = None
        self._lock = threading.Lock()  # around the gate
        self._gate = Gate(clock())
        # Of the event loop that runs `acquire`, and touched there alone.
        self._home: asyncio.AbstractEventLoop | None = None
        self._answers: dict[str, asyncio.Future[Grant]] = {}
        self._alarm: asyncio.TimerHandle | None = None

    @ray.method(concurrency_group=ACQUIRE, max_task_retries=0)
    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant:
        """Wait for up to `wanted` permits for requests of `tokens_each`. An empty grant after five seconds.

        A client has one request: a second one takes the place of the first. Ray does not retry it. The client asks
        again by itself, and says how many permits it ever received.
        """
        self._home = asyncio.get_running_loop()
        self._heard_at = self._clock()
        self._shown_as = client.shown_as or self._shown_as
        answer: asyncio.Future[Grant] = self._home.create_future()
        with self._lock:
            self._gate.record_feedback(client, feedback, self._clock(), _jitter())
            self._gate.enqueue(client, wanted, tokens_each, feedback)
        older = self._answers.pop(client.client_id, None)
        if older is not None and not older.done():
            older.set_result(Grant())
        self._answers[client.client_id] = answer
        self._turn()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            with self._lock:
                return Grant(held=self._gate.held(self._clock()))
        finally:
            if self._answers.get(client.client_id) is answer:
                del self._answers[client.client_id]
                with self._lock:
                    self._gate.cancel(client.client_id)

    @ray.method(concurrency_group=CONTROL, max_task_retries=-1)
    async def report(self, client: LimiterClient, feedback: Feedback) -> None:
        """Record what a client has seen. Safe to repeat: at worst a throttle counts twice."""
        self._heard_at = self._clock()
        with self._lock:
            self._gate.record_feedback(client, feedback, self._clock(), _jitter())
        if self._home is not None:  # else nobody has asked yet
            self._home.call_soon_threadsafe(self._turn)

    @ray.method(concurrency_group=CONTROL, max_task_retries=-1)
    async def remember(self, earlier: RequestHistory) -> None:
        """Count requests of earlier jobs towards the day. Safe to repeat."""
        with self._lock:
            self._gate.remember(earlier, self._clock())

    @ray.method(concurrency_group=CONTROL, max_task_retries=-1)
    async def snapshot(self) -> Snapshot:
        """Rates, state and load of the bucket now."""
        with self._lock:
            return self._gate.snapshot(self._clock())

    def _watch(self, end: Callable[[], None], idle_s: float) -> None:
        while True:
            time.sleep(idle_s / 4)
            now = self._clock()
            with self._lock:
                idle = now - self._heard_at > idle_s and not self._gate.counts_a_day(now)
            if idle:
                end()

    def _turn(self) -> None:
        """Answer the clients that are due, and set the alarm for the next one."""
        with self._lock:
            now = self._clock()
            answers, look_at = self._gate.dispatch(now)
        for client_id, grant in answers.items():
            answer = self._answers.pop(client_id)
            if not answer.done():
                answer.set_result(grant)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if look_at is not None and self._home is not None:
            self._alarm = self._home.call_later(look_at - now, self._turn)
        if self._show is not None and now >= self._show_at:
            self._show_at = now + SHOW_EVERY_S
            with self._lock:
                rates = self._gate.snapshot(now)
            self._show(rates, self._shown_as)


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing


def account_fingerprint(base_url: str, api_key: str) -> str:
    """A name for an account, in names and metrics, that does not tell the key."""
    return hashlib.sha256(f"{base_url}\0{api_key}".encode()).hexdigest()[:12]


def limiter_name(engine: str, account: str, group: str) -> str:
    """The actor's name. `account` is a fingerprint; `group` is a model, or models that share a quota."""
    return f"limiter:{_PROTOCOL}:{engine}:{account}:{group}"


def get_limiter(name: str, idle_s: float = IDLE_S) -> Any:
    """Find the actor of that name, or start it. Blocks for a few milliseconds.

    It lives until its cluster does, or nobody needs it any more. Its code is that of the job that made it: Ray (2.60)
    lets an actor inherit the packages of its job whatever its `runtime_env` says, and keeps them for as long as it
    lives. So it is importable on every node, whether the package is installed there or came with the working directory;
    and the name carries a version.
    """
    engine, _account, group = name.split(":", 4)[2:]  # the name of a model may have colons of its own
    limiter = limiter_actor_class().options(**shared_by_the_cluster(name))
    return limiter.remote(show=partial(show_rates, engine, group), end=partial(end_limiter, name), idle_s=idle_s)


def end_limiter(name: str) -> None:
    """End the actor of that name, if there is one."""
    with suppress(ValueError):
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)


def limiter_actor_class(acquires: int = 4096) -> Any:
    """`RateLimiter` as an actor class. `acquires` clients wait at once; control calls pass them."""
    groups = {ACQUIRE: acquires, CONTROL: 64}
    return ray.remote(concurrency_groups=groups)(RateLimiter)  # type: ignore[call-overload] # missing in Ray's stubs


class RemoteLimiter:
    """The client of the actor, which it finds by name, and again after its death."""

    def __init__(self, name: str, sent_before: SentBefore | None = None) -> None:
        """`sent_before` is told to an actor that has just begun."""
        self._name = name
        self._sent_before = sent_before or {}
        self._remembers = not sent_before
        self._actor: Any = None  # an ActorHandle; its stubs know no methods
        self._deaths = 0  # in a row

    async def ready(self) -> None:
        """Find or start the actor, which may take a second."""
        if self._actor is None:
            self._actor = await asyncio.to_thread(get_limiter, self._name)

    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant | None:
        """A grant, or None when the actor cannot be reached now: ask again later.

        Raises EngineError when it dies again and again: it cannot be started on this cluster.
        """
        try:
            await self.ready()
            if not self._remembers:  # told once in the actor's life
                now_s = time.time()
                earlier = {
                    job: [(max(0.0, now_s - sent_at_s), requests) for sent_at_s, requests in by_time]
                    for job, by_time in self._sent_before.items()
                }
                await self._actor.remember.remote(earlier)
                self._remembers = True
            async with asyncio.timeout(GIVE_UP_AFTER_S):
                grant: Grant = await self._actor.acquire.remote(client, wanted, tokens_each, feedback)
        except ActorDiedError as error:  # for good: by hand, with its cluster's memory of it, or at its start
            self._actor = None
            self._remembers = not self._sent_before
            self._deaths += 1
            if self._deaths == DEATHS:
                raise EngineError(
                    "The rate limiter dies at its start on this Ray cluster; see the Ray logs."
                ) from error
            return None
        except (RayActorError, TimeoutError):  # restarting, or unreachable: the same handle will work again
            self._remembers = not self._sent_before
            return None
        self._deaths = 0
        return grant

    def report(self, client: LimiterClient, feedback: Feedback) -> None:
        """Pass `feedback` on, without waiting."""
        if self._actor is not None:
            self._actor.report.remote(client, feedback)

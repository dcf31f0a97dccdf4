"""Makes the readers of a route, for a cluster's worker or a lone process.

What differs is passed in: where the engines run, and which limiter each account has.
"""

from __future__ import annotations

from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.model import PageRequest
from one_ocr_ray.policy.cost.metering import input_tokens, total_tokens
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.ratelimit.messages import LimiterClient, Priority
from one_ocr_ray.policy.route.chain import LOCAL, NOT_FOR_LOCAL
from one_ocr_ray.policy.route.gates import ocr_verdict
from one_ocr_ray.reading.limits.endpoints import EndpointPermits
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.route.reader import NoMetering, Reader, accept_as_is

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.blocks import Positions
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.job import Endpoint, LlmSetup
    from one_ocr_ray.reading.limits.budget import BudgetShare
    from one_ocr_ray.reading.limits.ports import Limiter
    from one_ocr_ray.reading.page.events import Observer
    from one_ocr_ray.reading.route.reader import Metering
    from one_ocr_ray.routing import Route


def embedded_reader(engine: Engine, positions: Positions, route: Route, observers: tuple[Observer, ...] = ()) -> Reader:
    """The embedded engine, or the reader `text-layer`, for the pages of `route`."""
    is_ocr = engine.name == LOCAL
    return Reader(
        engine=engine,
        permits=NoLimit(),
        request=PageRequest(positions=positions),
        prompt_sha256=None,
        metering=NoMetering(),
        judge=accept_as_is,
        observers=observers,
        verdict=partial(ocr_verdict, escalate=route.escalate, at=route.gates),
        no_better_at=NOT_FOR_LOCAL if is_ocr else (),
        is_request=is_ocr,
    )


def model_reader(
    setup: LlmSetup,
    permits: EndpointPermits,
    metering: Metering,
    budgets: tuple[BudgetShare, ...] = (),
    observers: tuple[Observer, ...] = (),
) -> Reader:
    """The reader that `setup` says, under `permits` and the cost ceilings of `budgets`."""
    return Reader(
        engine=permits.lanes[0].engine,
        permits=permits,
        request=setup.request,
        prompt_sha256=setup.prompt_sha256,
        metering=metering,
        judge=judge,
        budgets=budgets,
        name=setup.name,
        observers=observers,
    )


def endpoint_permits(
    setup: LlmSetup,
    engines: Sequence[Engine],
    limiter_of: Callable[[Endpoint], Limiter],
    client: str,
    run_id: str,
    *,
    route: Route,
    priority: Priority = Priority.BATCH,
    owner: str = "",
) -> EndpointPermits:
    """Permits of the accounts that `setup` uses, each with its engine. `client` is the limiters' client."""
    counted = total_tokens if CODECS[setup.options.name].LIMIT_COUNTS_OUTPUT else input_tokens
    may_leave = setup.name != route.names[-1]

    def join(endpoint: Endpoint, engine: Engine) -> None:
        who = LimiterClient(
            f"{client}-{token_hex(3)}",  # a worker that is restarted counts from zero again, so it must be a new one
            run_id,
            priority,
            endpoint.limits,
            owner,
            elsewhere=may_leave or setup.may_grow or len(setup.endpoints) > 1,
            shown_as=(setup.name, endpoint.name),
        )
        permits.add(endpoint.name, engine, limiter_of(endpoint), who, counted, weight=endpoint.weight)

    permits = EndpointPermits(has_next=may_leave, join=join, are_started_again=setup.may_grow)
    for endpoint, engine in zip(setup.endpoints, engines, strict=True):
        join(endpoint, engine)
    return permits

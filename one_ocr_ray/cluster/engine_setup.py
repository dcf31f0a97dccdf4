"""Sets up what a worker reads pages with: embedded engines, and rate-limited LLM engines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import ray

from one_ocr_ray.cluster.budget import RemoteBudget
from one_ocr_ray.cluster.engine_pool import EnginePool
from one_ocr_ray.cluster.limiter import RemoteLimiter, account_fingerprint, end_limiter, get_limiter, limiter_name
from one_ocr_ray.cluster.metrics import RequestMetrics
from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.ocr.layer_engine import LayerEngine
from one_ocr_ray.engines.options import llm_engine
from one_ocr_ray.environment import provider_key
from one_ocr_ray.policy.ratelimit.messages import Priority
from one_ocr_ray.policy.route.chain import LOCAL
from one_ocr_ray.reading.batch.shard import BatchTools
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.page.loop import ReadContext
from one_ocr_ray.reading.reuse import Reuse
from one_ocr_ray.reading.route.audit import Audit
from one_ocr_ray.reading.route.readers import embedded_reader, endpoint_permits, model_reader
from one_ocr_ray.setup.metering import metering_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.job import Endpoint, Job, LlmSetup
    from one_ocr_ray.reading.limits.endpoints import EndpointPermits
    from one_ocr_ray.reading.route.reader import Reader


def run_context(job: Job, readers: Sequence[str], number: int) -> ReadContext:
    """The route of `job` for its worker `number`, with this node's key. `readers` name the embedded engine's actors.

    Raises UsageError when there is no key for an LLM engine.
    """
    pool = EnginePool(readers, job.line_models.name, first=number) if readers else None
    client = f"{job.identity.run_id}-{number}"
    # One ceiling for all models of the route.
    budgets = (BudgetShare(RemoteBudget(ray.get_actor(job.budget))),) if job.budget is not None else ()
    llms = {
        name: llm_reader(
            setup,
            permits_of(job, setup, [engine_on_node(each.options) for each in setup.endpoints], client, Priority.BATCH),
            () if setup.may_grow else budgets,  # own servers are paid by the hour
        )
        for name, setup in job.engines.items()
    }
    return route_context(job, pool, llms)


def route_context(job: Job, pool: EnginePool | None, llms: Mapping[str, Reader]) -> ReadContext:
    """The readers of the route of `job`, in order. Jobs may share `pool`, the embedded engine."""
    readers = tuple(llms.get(name) or _reader(name, job, pool) for name in job.route.names)
    audit = None
    if job.route.audit is not None:
        embedded = None if LOCAL in job.route.names else _reader(LOCAL, job, pool)
        audit = Audit(job.route.audit, readers, embedded)
    reuse = Reuse(job.reuse, job.config["route"]) if job.reuse is not None else None
    return ReadContext(readers, job.identity, audit=audit, reuse=reuse, ocr=pool if job.route.ocr_places else None)


def _reader(name: str, job: Job, pool: EnginePool | None) -> Reader:
    if pool is None:
        raise ValueError("the job has no embedded engine")
    engine = pool if name == LOCAL else LayerEngine(partial(pool.read_layer, route=job.route))
    metrics = RequestMetrics(engine.name, engine.model)
    return embedded_reader(engine, job.request.positions, job.route, (metrics.observe,))


def batch_tools(job: Job, context: ReadContext) -> BatchTools | None:
    """What the shards of `job` need for provider batches, with this node's key. None for a run without them."""
    if job.batch is None:
        return None
    reader = context.readers[-1]
    setup = job.engines[reader.called]
    options = setup.options
    client = BatchClient(replace(options, api_key=provider_key(options.name, options.key_variable)))
    metering = metering_of(replace(options, service_tier="batch"), setup.prices, setup.request)
    return BatchTools(job, job.batch, client, metering, reader)


def engine_on_node(llm: EngineOptions) -> Engine:
    """The LLM engine with this node's key; jobs may share it. Raises UsageError when there is no key."""
    return llm_engine(llm, _key_on_node(llm))


def _key_on_node(llm: EngineOptions) -> SecretStr | None:
    """The key of the run's own server, or the provider's on this node."""
    return llm.api_key or provider_key(llm.name, llm.key_variable)


def permits_of(
    job: Job, setup: LlmSetup, engines: Sequence[Engine], client: str, priority: Priority, *, owner: str = ""
) -> EndpointPermits:
    """Permits of the accounts that `setup` uses on this node, for the limiter's client `client`.

    `owner` gets a fair share of them, and `job` one of the owner's; a job without an owner is its own.
    """
    return endpoint_permits(
        setup,
        engines,
        partial(limiter_on_node, setup),
        client,
        job.identity.run_id,
        route=job.route,
        priority=priority,
        owner=owner,
    )


def limiter_on_node(setup: LlmSetup, endpoint: Endpoint) -> RemoteLimiter:
    """The limiter of an account that `setup` uses on this node."""
    return RemoteLimiter(_limiter_name_on_node(endpoint.options), setup.sent_before)


def start_limiters_early(setups: Iterable[LlmSetup]) -> None:
    """Start the accounts' rate limiters early, so that their one-second start overlaps the workers' own.

    Raises UsageError for a key file that cannot be read.
    """
    for endpoint in (each for setup in setups for each in setup.endpoints):
        get_limiter(_limiter_name_on_node(endpoint.options))


def end_limiters(setup: LlmSetup) -> None:
    """End the limiters of endpoints that nobody will ask again."""
    for endpoint in setup.endpoints:
        end_limiter(_limiter_name_on_node(endpoint.options))


def _limiter_name_on_node(llm: EngineOptions) -> str:
    """The name of the limiter of the account that `llm` uses on this node."""
    key = _key_on_node(llm)
    account = account_fingerprint(llm.base_url, key.get_secret_value() if key else "")
    return limiter_name(llm.name, account, llm.model)


def llm_reader(setup: LlmSetup, permits: EndpointPermits, budgets: tuple[BudgetShare, ...]) -> Reader:
    """The reader that `setup` says, under `permits` and the cost ceilings of `budgets`."""
    metrics = RequestMetrics(setup.name, permits.lanes[0].engine.model)
    metering = metering_of(setup.options, setup.prices, setup.request)
    return model_reader(setup, permits, metering, budgets, (metrics.observe,))

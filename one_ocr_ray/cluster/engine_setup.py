"""What a worker reads pages with: the pool of embedded engines, or an LLM engine under the account's rate limiter."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

import ray

from one_ocr_ray.cluster.budget import RemoteBudget
from one_ocr_ray.cluster.engine_pool import EnginePool, PooledTextLayer
from one_ocr_ray.cluster.limiter import RemoteLimiter, account_fingerprint, get_limiter, limiter_name
from one_ocr_ray.cluster.metrics import RequestMetrics
from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.options import llm_engine
from one_ocr_ray.environment import provider_key
from one_ocr_ray.job_settings import metering_of
from one_ocr_ray.model import PageRequest
from one_ocr_ray.policy.cost.metering import input_tokens, total_tokens
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.ratelimit.messages import Client, Priority
from one_ocr_ray.policy.route.chain import LOCAL, NOT_FOR_LOCAL
from one_ocr_ray.policy.route.gates import ocr_verdict
from one_ocr_ray.reading.audit import Audit
from one_ocr_ray.reading.batch.shard import BatchTools
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.limits.endpoints import EndpointPermits
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page import Reading
from one_ocr_ray.reading.reader import NoMetering, Reader, accept_as_is
from one_ocr_ray.reading.reuse import Reuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.job import Job, LlmSetup


def run_reading(job: Job, readers: Sequence[str], number: int) -> Reading:
    """The route of `job` for its worker `number`, with this node's key; `readers`: the embedded engine's, by name.

    Raises UsageError when there is no key for an LLM engine.
    """
    pool = EnginePool(readers, first=number) if readers else None
    client = f"{job.identity.run_id}-{number}"
    # One ceiling for all models of the route.
    budgets = (BudgetShare(RemoteBudget(ray.get_actor(job.budget))),) if job.budget is not None else ()
    llms = {
        name: llm_reader(setup, permits_of(job, setup, engines_on_node(setup), client, Priority.BATCH), budgets)
        for name, setup in job.engines.items()
    }
    return route_reading(job, pool, llms)


def route_reading(job: Job, pool: EnginePool | None, llms: Mapping[str, Reader]) -> Reading:
    """The readers of the route of `job` in order, the embedded engine from `pool`, which jobs may share."""
    readers = tuple(llms.get(name) or _reader(name, job, pool) for name in job.route.names)
    audit = None
    if job.route.audit is not None:
        embedded = None if LOCAL in job.route.names else _reader(LOCAL, job, pool)
        audit = Audit(job.route.audit, readers, embedded)
    reuse = Reuse(job.reuse, job.config["route"]) if job.reuse is not None else None
    return Reading(readers, job.identity, audit=audit, reuse=reuse)


def _reader(name: str, job: Job, pool: EnginePool | None) -> Reader:
    if pool is None:
        raise ValueError("the job has no embedded engine")
    engine = pool if name == LOCAL else PooledTextLayer(pool, job.route)
    return Reader(
        engine=engine,
        permits=NoLimit(),
        ask=PageRequest(positions=job.ask.positions),
        prompt_sha256=None,
        metering=NoMetering(),
        judge=accept_as_is,
        observers=(RequestMetrics(engine.name, engine.model).observe,),
        verdict=partial(ocr_verdict, escalate=job.route.escalate, at=job.route.gates),
        no_better_at=NOT_FOR_LOCAL if name == LOCAL else (),
        is_request=name == LOCAL,
    )


def batch_tools(job: Job, reading: Reading) -> BatchTools | None:
    """What the shards of `job` need for provider batches, with this node's key; None for a run without them."""
    if job.batch is None:
        return None
    reader = reading.readers[-1]
    setup = job.engines[reader.called]
    options = setup.options
    client = BatchClient(replace(options, api_key=provider_key(options.name, options.key_variable)))
    metering = metering_of(replace(options, service_tier="batch"), setup.prices, setup.ask)
    return BatchTools(job, job.batch, client, metering, reader)


def engine_on_node(llm: EngineOptions) -> Engine:
    """The LLM engine with this node's key; jobs may share it. Raises UsageError when there is no key."""
    return llm_engine(llm, _key_on_node(llm))


def _key_on_node(llm: EngineOptions) -> SecretStr | None:
    """The key of the run's own server, or the provider's on this node."""
    return llm.api_key or provider_key(llm.name, llm.key_variable)


def engines_on_node(setup: LlmSetup) -> list[Engine]:
    """The engine of each endpoint. Raises UsageError when one of them has no key."""
    return [engine_on_node(endpoint.options) for endpoint in setup.endpoints]


def permits_of(
    job: Job, setup: LlmSetup, engines: Sequence[Engine], client: str, priority: Priority, *, owner: str = ""
) -> EndpointPermits:
    """Permits of the accounts that `setup` uses on this node, for the limiter's client `client`.

    `owner` gets a fair share of them, and `job` one of the owner's; a job without an owner is its own.
    """
    permits = EndpointPermits(has_next=setup.name != job.route.names[-1])
    counts_output = CODECS[setup.options.name].LIMIT_COUNTS_OUTPUT
    for endpoint, engine in zip(setup.endpoints, engines, strict=True):
        who = Client(
            f"{client}-{token_hex(3)}",  # a worker that is restarted counts from zero again, so it must be a new one
            job.identity.run_id,
            priority,
            endpoint.limits,
            owner,
            elsewhere=permits.may_leave or len(setup.endpoints) > 1,
            shown_as=(setup.name, endpoint.name),
        )
        limiter = RemoteLimiter(_limiter_on_node(endpoint.options), setup.sent_before)
        counted = total_tokens if counts_output else input_tokens
        permits.add(endpoint.name, engine, limiter, who, counted, weight=endpoint.weight)
    return permits


def start_limiters_early(setups: Iterable[LlmSetup]) -> None:
    """Start the accounts' rate limiters early, so that their one-second start overlaps the workers' own.

    Raises UsageError for a key file that cannot be read.
    """
    for endpoint in (each for setup in setups for each in setup.endpoints):
        get_limiter(_limiter_on_node(endpoint.options))


def _limiter_on_node(llm: EngineOptions) -> str:
    """The name of the limiter of the account that `llm` uses on this node."""
    key = _key_on_node(llm)
    account = account_fingerprint(llm.base_url, key.get_secret_value() if key else "")
    return limiter_name(llm.name, account, llm.model)


def llm_reader(setup: LlmSetup, permits: EndpointPermits, budgets: tuple[BudgetShare, ...]) -> Reader:
    """The reader that `setup` says, under `permits` and the cost ceilings of `budgets`."""
    engine = permits.lanes[0].engine
    return Reader(
        engine=engine,
        permits=permits,
        ask=setup.ask,
        prompt_sha256=setup.prompt_sha256,
        metering=metering_of(setup.options, setup.prices, setup.ask),
        judge=judge,
        budgets=budgets,
        name=setup.name,
        observers=(RequestMetrics(setup.name, engine.model).observe,),
    )

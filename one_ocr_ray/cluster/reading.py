"""What a worker reads its pages with: the embedded engine's pool, or an LLM engine under the cluster's rate limiter."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.budget import SharedPurse
from one_ocr_ray.cluster.limiter import RemoteLimiter, account_fingerprint, limiter_name
from one_ocr_ray.cluster.permits import LeasedPermits
from one_ocr_ray.cluster.readers import PooledEngine
from one_ocr_ray.engines.choice import llm_engine
from one_ocr_ray.flow import NoCeiling, OwnCpu, Reading, as_it_is
from one_ocr_ray.policy.metering import ProviderMetering
from one_ocr_ray.policy.quality import judge
from one_ocr_ray.policy.ratelimit.messages import Client
from one_ocr_ray.ratelimiter import FreePermits
from one_ocr_ray.settings import provider_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.cluster.job import Job


def local_reading(job: Job, readers: Sequence[str], number: int) -> Reading:
    """The embedded engine for worker `number` of the run; `readers` by name."""
    return Reading(
        engine=PooledEngine(readers, first=number),
        permits=FreePermits(),
        ask=job.ask,
        identity=job.identity,
        prompt_sha256=job.prompt_sha256,
        metering=OwnCpu(),
        judge=as_it_is,
    )


def llm_reading(job: Job, number: int) -> Reading:
    """The LLM engine of `job` for its worker `number`, with this node's key. Raises UsageError when there is none."""
    choice = job.engine
    if choice is None:
        raise ValueError("the job has no LLM engine")
    key = provider_key(choice.name)
    account = account_fingerprint(choice.base_url, key.get_secret_value() if key else "")
    limiter = RemoteLimiter(limiter_name(choice.name, account, choice.model))
    # A worker that is restarted counts from zero again, so it must be a new client.
    client = Client(f"{job.identity.run_id}-{number}-{token_hex(3)}", job.identity.run_id, limits=job.limits)
    metering = ProviderMetering(
        choice.name,
        choice.model,
        look=choice.look,
        tier=choice.service_tier,
        prices=job.prices,
        output_cap=job.ask.output_tokens_cap,
    )
    return Reading(
        engine=llm_engine(choice, key),
        permits=LeasedPermits(limiter, client),
        ask=job.ask,
        identity=job.identity,
        prompt_sha256=job.prompt_sha256,
        metering=metering,
        judge=judge,
        purse=SharedPurse(job.till, metering) if job.till is not None else NoCeiling(),
    )

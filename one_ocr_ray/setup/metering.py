"""The metering of an engine's requests. Workers make it too, and need no settings for it, which are slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.policy.cost.gpu_hours import GpuMetering
from one_ocr_ray.policy.cost.metering import ProviderMetering

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import PageRequest
    from one_ocr_ray.policy.cost.pricing import Price


def metering_of(llm: EngineOptions, prices: Mapping[str, Price], request: PageRequest) -> ProviderMetering:
    """A new metering for requests to that engine."""
    codec, by_time = CODECS[llm.name], {}
    if llm.usd_per_s is not None:
        by_time = {"usd_per_s": llm.usd_per_s, "timeout_s": llm.timeout_s}
    return (GpuMetering if by_time else ProviderMetering)(
        codec.image_tokens,
        llm.model,
        limit_counts_output=codec.LIMIT_COUNTS_OUTPUT,
        image_detail=llm.image_detail,
        tier=llm.service_tier,
        prices=prices,
        output_cap=request.output_tokens_cap,
        **by_time,
    )

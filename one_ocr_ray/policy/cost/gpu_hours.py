"""The cost of requests to a run's own servers: GPU time, shared while under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.cost.metering import ProviderMetering

if TYPE_CHECKING:
    from one_ocr_ray.model import PageImage, PageRequest, TokenUsage


def held_s(latency_s: float, under_way_first: int, under_way_last: int) -> float:
    """The seconds of a whole server that a request used. `under_way_*`: the requests there when it began and ended."""
    return latency_s / max(1.0, (under_way_first + under_way_last) / 2)


class GpuMetering(ProviderMetering):
    """Tokens as the server reports them. Money by the time that a request had its server."""

    def __init__(self, *of_provider: Any, usd_per_s: float, timeout_s: float, **options: Any) -> None:
        """`usd_per_s`: what the GPUs of one server cost. `timeout_s`: no request takes longer."""
        super().__init__(*of_provider, **options)
        self._usd_per_s = usd_per_s
        self._most_usd = usd_per_s * timeout_s
        self._requests = 0
        self._spent_usd = 0.0

    def most_usd(self, image: PageImage, request: PageRequest) -> float:
        """The most that the request can cost: it is alone until its time is over."""
        return self._most_usd

    def likely_usd(self, width_px: int, height_px: int, request: PageRequest, text: str) -> float | None:
        """The mean of earlier requests; None before the first."""
        return self._spent_usd / self._requests if self._requests else None

    def worst_case_usd(self, width_px: int, height_px: int, request: PageRequest, requests: int) -> float:
        """The most that `requests` requests can cost."""
        return requests * self._most_usd

    def cost_usd(self, usage: TokenUsage, held_s: float | None = None) -> float | None:
        """The cost of a request that had its server for `held_s`. None while that is unknown."""
        if held_s is None:
            return None
        self._requests += 1
        self._spent_usd += held_s * self._usd_per_s
        return held_s * self._usd_per_s

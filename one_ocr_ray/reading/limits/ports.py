"""What `LeasedPermits` needs of others: a limiter, and the endpoints that it shares a queue with. Protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Feedback, Grant, LimiterClient
    from one_ocr_ray.reading.limits.permits import LeasedPermits


class Limiter(Protocol):
    """What this client needs of the limiter."""

    async def ready(self) -> None:
        """Have it started."""

    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant | None:
        """A grant, or None when the limiter cannot be reached now."""

    def report(self, client: LimiterClient, feedback: Feedback) -> None:
        """Pass feedback on, without waiting."""


class Peers(Protocol):
    """The other endpoints of an engine, which wait for permits together with this one."""

    def delay_s(self, permits: LeasedPermits) -> float:
        """How long this one leaves waiting requests to those with more room."""

    def away(self, permits: LeasedPermits, *, is_broken: bool) -> None:
        """Hear that this one grants nothing for a while; `is_broken`: because its server fails."""

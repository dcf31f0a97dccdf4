"""What `LeasedPermits` needs of a limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Feedback, Grant, LimiterClient


class Limiter(Protocol):
    """What this client needs of the limiter."""

    async def ready(self) -> None:
        """Have it started."""

    async def acquire(self, client: LimiterClient, wanted: int, tokens_each: float, feedback: Feedback) -> Grant | None:
        """A grant, or None when the limiter cannot be reached now."""

    def report(self, client: LimiterClient, feedback: Feedback) -> None:
        """Pass feedback on, without waiting."""

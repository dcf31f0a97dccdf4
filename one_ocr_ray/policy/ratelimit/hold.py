"""What a client shows of a wait: the provider refuses or fails, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import Action
from one_ocr_ray.policy.ratelimit.messages import GateState, Held

if TYPE_CHECKING:
    from one_ocr_ray.model import Failure

SHOWN_AFTER_S = 2.0  # a single throttle among answers is not worth a word


class HoldStatus:
    """Starts with a throttle, or with an empty grant that says why. Any answer ends it."""

    def __init__(self) -> None:
        self._held: Held | None = None  # as of `_at`
        self._at = self._since = 0.0

    def begin(self, held: Held, now: float) -> None:
        """The gate or a throttle reports a hold."""
        if self._held is None:
            self._since = now
        self._held, self._at = held, now

    def record_answer(self, failure: Failure | None, now: float) -> None:
        """Record a request that ended, successfully or with `failure`."""
        if failure is not None and failure.action is Action.THROTTLED:
            self.begin(Held(GateState.PAUSED, failure.retry_after_s or 0.0), now)
            return
        still_broken = self._held is not None and self._held.state is GateState.BROKEN
        if failure is None or failure.action is not Action.RETRY or not still_broken:
            self._held = None

    def at(self, now: float) -> Held | None:
        """What has held requests up for a while; None if nothing has."""
        if self._held is None or now - self._since < SHOWN_AFTER_S:
            return None
        return Held(self._held.state, max(0.0, self._at + self._held.ends_in_s - now))

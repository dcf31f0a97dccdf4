"""The progress of a run: counts, speed and time left."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.messages import GateState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.policy.ratelimit.messages import Held


@dataclass(slots=True)
class RunProgress:
    """Counts of this run. `pages_total` still grows until `plan_complete`."""

    documents_total: int = 0
    documents_done: int = 0
    pages_total: int = 0
    pages_done: int = 0
    pages_failed: int = 0
    plan_complete: bool = False
    elapsed_s: float = 0.0
    pages_per_s: float = 0.0
    held: Held | None = None  # what holds requests up

    def update(self, pages: Mapping[str, int], *, elapsed_s: float, held: Held | None = None) -> None:
        """Update with the pages finished so far, by status, after `elapsed_s` seconds."""
        self.held = held
        before_done, before_s = self.pages_done, self.elapsed_s
        self.pages_done = sum(pages.values())
        self.pages_failed = pages.get("failed", 0)
        self.elapsed_s = elapsed_s
        step_s = elapsed_s - before_s
        if step_s > 0 and before_done:  # the first pages may come from the journal of an earlier run
            # A moving average over about 10 s: it follows changes quickly and can still be read.
            weight = min(1.0, step_s / 10) if self.pages_per_s else 1.0
            gained = max(0, self.pages_done - before_done)  # what a dead worker had read is counted again
            self.pages_per_s += weight * (gained / step_s - self.pages_per_s)

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the current speed; None while that is unknown."""
        if not self.plan_complete or self.pages_per_s <= 0:
            return None
        return (self.pages_total - self.pages_done) / self.pages_per_s


def hold_text(held: Held) -> str:
    """The text of a progress line while requests are held up."""
    reason = "provider refuses: rate limit" if held.state is GateState.PAUSED else "provider fails"
    seconds = max(1, ceil(held.ends_in_s))
    return f"{reason}, next try in {f'{seconds} s' if seconds < 120 else f'{ceil(seconds / 60)} min'}"

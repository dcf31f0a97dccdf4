"""What `read_page` tells its observers: frozen events, for metrics and totals. They decide nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request goes to the engine now."""

    waited_s: float  # for its permit


@dataclass(frozen=True, slots=True)
class RequestDone:
    """A request that was sent has ended."""

    answer: Answer | None = field(repr=False)  # judged; None: it was given up before an answer came
    latency_s: float
    cost_usd: float | None  # None: unknown
    endpoint: tuple[str, str] | None = None  # the reader's name and the endpoint's, where there are several


@dataclass(frozen=True, slots=True)
class FailureReported:
    """A page or the job ends with this answer, or it is a throttle."""

    answer: Answer


ReadingEvent = RequestSent | RequestDone | FailureReported
Observer = Callable[[ReadingEvent], None]

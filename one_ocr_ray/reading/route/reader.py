"""One reader of a route: an engine, its request and account, and its judges.

And what a page saves that is not the last reader's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.page.retry import RetryBudget, RetryPolicy
from one_ocr_ray.policy.route.gates import model_verdict
from one_ocr_ray.routing import RouteReason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.model import Answer, Failure, PageImage, PageRequest, PageResult, TokenUsage
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.batch.shard import PageInBatches
    from one_ocr_ray.reading.limits.budget import BudgetShare
    from one_ocr_ray.reading.limits.endpoints import Lane
    from one_ocr_ray.reading.page.events import Observer
    from one_ocr_ray.routing import Verdict


class Permits(Protocol):
    """The account's limit as one worker sees it; each `acquire` is followed by one `report`."""

    async def ready(self) -> None:
        """Have started what grants the permits, so that the first page need not wait."""

    async def acquire(self, tokens: int) -> Lane | None:
        """Wait until a request of about `tokens` tokens may be sent. Say by which endpoint. None: the only one.

        Raises StoppedError when none may be again, and ProviderAwayError when the page should go to the next reader.
        """

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        """Say what became of a request; None: it was given up before an answer came."""

    def stop(self, failure: Failure) -> None:
        """Say that the job must stop for `failure`. Then nobody else of this account sends in vain."""

    def held(self) -> Held | None:
        """What has kept requests from being answered for a while, if anything."""


class Metering(Protocol):
    """What requests take from the account, before and after: tokens and money."""

    def learn(self, image: PageImage, request: PageRequest, answer: Answer) -> None:
        """A request was answered: it took the usage that `answer` tells."""

    def estimate_tokens(self, image: PageImage, request: PageRequest) -> int:
        """About how many tokens the request will count for."""

    def cost_usd(self, usage: TokenUsage, held_s: float | None = None) -> float | None:
        """What a request of `usage` has cost that had `held_s` of its server. None when that is unknown."""

    def most_usd(self, image: PageImage, request: PageRequest) -> float | None:
        """The most that the request can cost; None when the model's price is unknown."""

    def likely_usd(self, width_px: int, height_px: int, request: PageRequest, text: str) -> float | None:
        """About what a request that is answered with `text` costs. None when the model's price is unknown."""


class NoMetering:
    """`Metering` of an engine on this cluster: no tokens, no money."""

    def learn(self, image: PageImage, request: PageRequest, answer: Answer) -> None:
        pass

    def estimate_tokens(self, image: PageImage, request: PageRequest) -> int:
        return 0

    def cost_usd(self, usage: TokenUsage, held_s: float | None = None) -> float:
        return 0.0

    def most_usd(self, image: PageImage, request: PageRequest) -> float:
        return 0.0

    def likely_usd(self, width_px: int, height_px: int, request: PageRequest, text: str) -> float:
        return 0.0


class PageDeferred(Exception):  # noqa: N818 - no error: the page goes on when its batch has ended
    """The request for a page lies in a batch: there is no row yet."""


class PlacesDeferred(PageDeferred):
    """A page is answered, but placing its words takes its image, which has not come."""


def accept_as_is(answer: Answer, request: PageRequest) -> Answer:
    """`judge` of an engine whose answers need none."""
    return answer


@dataclass(frozen=True, slots=True)
class Reader:
    """What is the same for every page that this reader is asked for."""

    engine: Engine
    permits: Permits
    request: PageRequest
    prompt_sha256: str | None
    metering: Metering
    judge: Callable[[Answer, PageRequest], Answer]  # whether an answer can be used at all
    budgets: tuple[BudgetShare, ...] = ()  # a request must fit into each
    observers: tuple[Observer, ...] = ()  # of its own requests
    name: str | None = None  # in the route and in rows; None: the engine's
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    retries: RetryBudget = field(default_factory=RetryBudget)
    verdict: Callable[[Answer], Verdict] = model_verdict  # whether it stands where another reader could follow
    no_better_at: Collection[RouteReason] = ()  # pages that go on for one of these do not come here
    is_request: bool = True  # a page that it answers counts an attempt
    batch: PageInBatches | None = None  # of the page that is read; None: every request is sent online

    @property
    def called(self) -> str:
        """Its name in the route, and in the column `engine`."""
        return self.name or self.engine.name


def saved_usd(row: PageResult, readers: Sequence[Reader]) -> float | None:
    """What `row` has cost less than it would have at the last of `readers`. None where that is unknown.

    The other reader would have been shown the same image and have answered the same text. A page that it answered, a
    blank page and a failed one have saved nothing.
    """
    last = readers[-1]
    is_last = (row.engine, row.model) == (last.called, last.engine.model) and row.route_reason != RouteReason.REUSED
    if row.status is not PageStatus.OK or is_last:
        return 0.0
    would_usd = last.metering.likely_usd(row.image_width or 0, row.image_height or 0, last.request, row.markdown or "")
    return None if would_usd is None or row.cost_usd is None else max(0.0, would_usd - row.cost_usd)

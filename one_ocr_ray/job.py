"""`Job`: everything that a worker must know about a run or a task. Its only keys are those of the run's own servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.ocr.languages import SHIPPED_MODEL, LineModels
from one_ocr_ray.policy.route.chain import LOCAL
from one_ocr_ray.routing import Route

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import PageRequest
    from one_ocr_ray.pdf.reader import PdfOptions
    from one_ocr_ray.policy.cost.pricing import Price
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.ratelimit.messages import Limits
    from one_ocr_ray.storage.batches import Account


EMBEDDED_ENGINE_ALONE = Route((LOCAL,))
# Requests of earlier runs in the last day, by run: when, in seconds since 1970, and how many.
SentBefore = Mapping[str, Sequence[tuple[float, int]]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server or account that answers for an engine."""

    name: str  # short, for metrics and sentences; never an address with a key
    options: EngineOptions
    limits: Limits
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSetup:
    """One LLM reader of a route: who answers, what it is asked, what it costs."""

    name: str  # in the route, the dataset and the summary
    endpoints: tuple[Endpoint, ...]  # of the same model
    request: PageRequest
    prompt_sha256: str
    prices: Mapping[str, Price]
    sent_before: SentBefore = field(default_factory=dict)  # only with a limit per day
    may_grow: bool = False  # endpoints may join while pages are read

    @property
    def options(self) -> EngineOptions:
        """What is the same for all endpoints: codec, model, price."""
        return self.endpoints[0].options


@dataclass(frozen=True, slots=True)
class BatchJob:
    """How a run uses provider batches. Without `submits` it collects what earlier runs have sent, and sends no more."""

    account: Account
    submits: bool
    rest: str  # auto, batch or online: how pages are asked again whose answer cannot be used
    parcel_tokens: int
    parcel_usd: float | None  # the most that one parcel may cost


@dataclass(frozen=True, slots=True)
class Job:
    """One run or task for its workers."""

    output: str
    config: Mapping[str, Any]
    identity: RunIdentity
    selection: PageSelection
    pdf: PdfOptions
    request: PageRequest
    engines: Mapping[str, LlmSetup]  # the LLM readers of the route, by name
    budget: str | None  # name of the actor that keeps the cost ceiling
    pages_at_once: int  # a worker's share of the run's pages in progress
    render_tasks: int  # a worker's render tasks at once
    stop_wait_s: float  # for requests in flight when the job must stop
    route: Route = EMBEDDED_ENGINE_ALONE
    line_models: LineModels = SHIPPED_MODEL  # of the embedded engine
    batch: BatchJob | None = None
    reuse: str | None = None  # the earlier dataset whose pages are taken

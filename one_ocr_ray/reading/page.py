"""The life of one page: permit, ask, judge, wait or give up. A page becomes exactly one result and never an exception.

No Ray, no provider and no file is known here: the engine, the permits and the clock are passed in. This is the only
layer that tries anything again; what to do after an answer is decided in `policy/page/retry.py`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.clock import SystemClock
from one_ocr_ray.engines.shrinking import shrunk
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, Answer, PageResult, PageStatus, PageUnrendered, Usage
from one_ocr_ray.policy.cost.spending import PageUsage, may_be_billed
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.layout.places import turned
from one_ocr_ray.policy.page.blank import answer_of_blank, warnings_of
from one_ocr_ray.policy.page.retry import AttemptState, RetryBudget, RetryPolicy, Stop, Wait, next_step
from one_ocr_ray.reading.events import FailureReported, RequestDone, RequestSent
from one_ocr_ray.reading.stopping import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.model import DocumentRef, Failure, PageImage, PageRequest, RenderedPage
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.budget import BudgetShare
    from one_ocr_ray.reading.events import Observer, ReadingEvent

RETRY_LOOK_AGAIN_S = 1.0


class Permits(Protocol):
    """The account's limit as one worker sees it; each `acquire` is followed by one `report`."""

    async def ready(self) -> None:
        """Have started what grants the permits, so that the first page does not wait for that."""

    async def acquire(self, tokens: int) -> None:
        """Wait until one request of about `tokens` tokens may be sent. Raises StoppedError when none may be again."""

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        """Say what became of a request; None: it was given up before an answer came."""

    def stop(self, failure: Failure) -> None:
        """Say that the job must stop for `failure`, so that nobody else of this account sends in vain."""

    def held(self) -> Held | None:
        """What has kept requests from being answered for a while, if anything."""


class Metering(Protocol):
    """What requests take from the account, before and after: tokens and money."""

    def learn(self, image: PageImage, ask: PageRequest, usage: Usage) -> None:
        """A request was answered: it took `usage`."""

    def estimate_tokens(self, image: PageImage, ask: PageRequest) -> int:
        """About how many tokens the request will count for."""

    def cost_usd(self, usage: Usage) -> float | None:
        """What a request of `usage` has cost; None when that is unknown."""

    def most_usd(self, image: PageImage, ask: PageRequest) -> float | None:
        """The most that the request can cost; None when the model's price is unknown."""


class NoMetering:
    """`Metering` of an engine on this cluster: no tokens, no money."""

    def learn(self, image: PageImage, ask: PageRequest, usage: Usage) -> None:
        pass

    def estimate_tokens(self, image: PageImage, ask: PageRequest) -> int:
        return 0

    def cost_usd(self, usage: Usage) -> float:
        return 0.0

    def most_usd(self, image: PageImage, ask: PageRequest) -> float:
        return 0.0


def nobody(spending: Spending) -> None:
    """Where money that no row tells is nobody's business."""


def as_it_is(answer: Answer, ask: PageRequest) -> Answer:
    """`judge` of an engine whose answers need none."""
    return answer


@dataclass(frozen=True, slots=True)
class Reading:
    """What is the same for every page of a run."""

    engine: Engine
    permits: Permits
    ask: PageRequest
    identity: RunIdentity
    prompt_sha256: str | None
    metering: Metering
    judge: Callable[[Answer, PageRequest], Answer]
    budgets: tuple[BudgetShare, ...] = ()  # a request must fit into each
    observers: tuple[Observer, ...] = ()
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    retries: RetryBudget = field(default_factory=RetryBudget)
    clock: Clock = field(default_factory=SystemClock)
    jitter: Callable[[], float] = random.random
    untold: Callable[[Spending], None] = nobody  # hears what requests have cost that no row tells
    ending: Ending = field(default_factory=Ending)

    def notify(self, event: ReadingEvent) -> None:
        """Tell every observer."""
        for observer in self.observers:
            observer(event)


async def read_page(document: DocumentRef, page: RenderedPage, reading: Reading) -> PageResult:
    """The one result of `page`. Raises StoppedError when the whole job must stop; then the page is still unread."""
    spent = PageUsage(reading.clock.utc())
    answer: Answer | None
    try:
        if isinstance(page, PageUnrendered):
            answer = Answer(failure=page.failure)
        elif (answer := answer_of_blank(page)) is None:
            answer, page = await _answer(page, reading, spent)
    except BaseException:  # a stop, a signal: the page will be read again, and this money is spent all the same
        if spent.spending.requests:
            reading.untold(spent.spending)
        raise
    row = _result(document, page, answer, spent, reading)
    if (beside := spent.missing_in(row)) is not None:
        reading.untold(beside)
    return row


async def _answer(image: PageImage, reading: Reading, spent: PageUsage) -> tuple[Answer, PageImage]:
    """Ask until the policy is done with this page; the last answer and the image it is of."""
    ask, tries, sent = reading.ask, AttemptState(), image
    reading.retries.sent(reading.clock.monotonic_s())
    while True:
        answer = await _request(sent, ask, reading, spent)
        step = next_step(reading.policy, tries, answer, ask, jitter=reading.jitter(), elapsed_s=spent.latency_s)
        spent.attempts = step.tries.attempts
        if answer.failure is not None and (not isinstance(step, Wait) or answer.failure.action is Action.THROTTLED):
            reading.notify(FailureReported(answer))
        if isinstance(step, Stop):
            reading.permits.stop(step.failure)
            raise StoppedError(step.failure.message, step.failure.code)
        if not isinstance(step, Wait):
            return step.answer, sent
        with reading.ending.waiting():
            await reading.clock.sleep(step.wait_s)
            if step.tries.transport > tries.transport:
                await _retry_allowed(reading)
            if step.ask.image_scale != ask.image_scale:
                sent = await asyncio.to_thread(shrunk, image, step.ask.image_scale)
        ask, tries = step.ask, step.tries


async def _retry_allowed(reading: Reading) -> None:
    while not reading.retries.take(reading.clock.monotonic_s()):
        await reading.clock.sleep(RETRY_LOOK_AGAIN_S)


async def _request(image: PageImage, ask: PageRequest, reading: Reading, spent: PageUsage) -> Answer:
    """One request under one permit, judged."""
    clock = reading.clock
    began_s = clock.monotonic_s()
    cost_usd: float | None = 0.0
    most_usd = reading.metering.most_usd(image, ask)
    reserved: list[BudgetShare] = []
    try:
        with reading.ending.waiting():
            for share in reading.budgets:
                await share.reserve(most_usd)
                reserved.append(share)
        tokens, reserved_s = reading.metering.estimate_tokens(image, ask), clock.monotonic_s()
        with reading.ending.waiting():
            await reading.permits.acquire(tokens)
        sent_s = clock.monotonic_s()
        spent.queue_s += sent_s - began_s
        reading.notify(RequestSent(sent_s - reserved_s))
        answer: Answer | None = None
        try:
            with reading.ending.asking():
                answer = await reading.engine.analyze_image_async(image, ask)
        finally:
            latency_s = clock.monotonic_s() - sent_s
            reading.permits.report(tokens, answer, latency_s)
            cost_usd = _cost_usd(answer, reading.metering)
            spent.add(answer, latency_s, cost_usd, most_usd)
            if answer is None:
                reading.notify(RequestDone(None, latency_s, cost_usd))
        reading.metering.learn(image, ask, answer.usage)
        answer = reading.judge(answer, ask)
        reading.notify(RequestDone(answer, latency_s, cost_usd))
        return answer
    finally:
        for share in reserved:
            share.settle(most_usd or 0.0, cost_usd)


def _cost_usd(answer: Answer | None, metering: Metering) -> float | None:
    """What one request has cost; None: unknown. An error without usage costs nothing where no answer can be billed."""
    if answer is None:
        return metering.cost_usd(Usage())  # 0.0 at an engine that costs nothing
    if answer.failure is not None and answer.usage == Usage() and not may_be_billed(answer.failure):
        return 0.0
    return metering.cost_usd(answer.usage)


def _result(
    document: DocumentRef, page: RenderedPage, answer: Answer, spent: PageUsage, reading: Reading
) -> PageResult:
    status = PageStatus.FAILED if answer.failure else PageStatus.OK if spent.attempts else PageStatus.BLANK
    extracts = reading.ask.json_schema is not None
    result = PageResult(
        document_id=document.document_id,
        page_number=page.page_number,
        page_count=document.page_count or page.page_number,
        source_uri=document.uri,
        source_name=document.name,
        status=status,
        markdown=None if answer.failure else "" if extracts else answer.text,
        data=answer.text if extracts and status is PageStatus.OK else None,
        failure=answer.failure,
        engine=reading.engine.name,
        model=reading.engine.model,
        model_version=answer.model_version,
        finish_reason=answer.finish_reason,
        provider_request_id=answer.provider_request_id,
        truncated=answer.truncated and answer.failure is None,
        prompt_sha256=reading.prompt_sha256,
        attempts=spent.attempts,
        input_tokens=spent.usage.input_tokens,
        output_tokens=spent.usage.output_tokens,
        cached_tokens=spent.usage.cached_tokens,
        cost_usd=spent.cost_usd,
        confidence=answer.confidence,
        warnings=warnings_of(answer, page) if status is PageStatus.OK else (),
        blocks=None if answer.failure else pack(answer.blocks, reading.ask.positions),
        render_ms=page.render_ms,
        queue_ms=round(spent.queue_s * 1000),
        latency_ms=round(spent.latency_s * 1000) if spent.attempts else None,
        started_at=spent.started_at,
        finished_at=reading.clock.utc(),
        run_id=reading.identity.run_id,
        config_id=reading.identity.config_id,
    )
    return result if isinstance(page, PageUnrendered) else _with_image(result, page, answer)


def _with_image(result: PageResult, image: PageImage, answer: Answer) -> PageResult:
    return replace(
        result,
        image_width=image.width_px,
        image_height=image.height_px,
        image_sha256=image.sha256,
        rotation=answer.rotation_deg,
        page_box=image.page_box and turned(image.page_box, answer.rotation_deg),
    )

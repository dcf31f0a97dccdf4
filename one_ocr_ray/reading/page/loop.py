"""The life of one page: permit, ask, judge, wait or give up. A page becomes exactly one result and never an exception.

No Ray, no provider and no file is known here: the engine, the permits and the clock are passed in. This is the only
layer that tries anything again; what to do after an answer is decided in `policy/page/retry.py`.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from one_ocr_ray.clock import SystemClock
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, Answer, PageUnrendered
from one_ocr_ray.policy.cost.gpu_hours import held_s
from one_ocr_ray.policy.cost.spending import PageUsage, Spending
from one_ocr_ray.policy.layout.places import turned
from one_ocr_ray.policy.page.blank import answer_of_blank
from one_ocr_ray.policy.page.moves import OwnServerFailures
from one_ocr_ray.policy.page.retry import AttemptState, Stop, Wait, next_step
from one_ocr_ray.policy.profiles.answers import read_answer
from one_ocr_ray.policy.route.chain import JUDGED, Walk
from one_ocr_ray.reading.limits.endpoints import EndpointPermits, ProviderAwayError
from one_ocr_ray.reading.page.answer_places import with_answer_places
from one_ocr_ray.reading.page.events import FailureReported, RequestDone, RequestSent
from one_ocr_ray.reading.page.recalling import cost_usd_of, image_as_wanted, recalled_answer
from one_ocr_ray.reading.page.row import PageRead, row_of
from one_ocr_ray.reading.route.reader import NoMetering, PageDeferred
from one_ocr_ray.reading.stopping import Ending
from one_ocr_ray.routing import RouteReason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.model import DocumentRef, Failure, PageImage, PageRequest, PageResult, RenderedPage
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.reading.limits.budget import BudgetShare
    from one_ocr_ray.reading.limits.endpoints import Lane
    from one_ocr_ray.reading.page.events import Observer, ReadingEvent
    from one_ocr_ray.reading.reuse import Reuse
    from one_ocr_ray.reading.route.audit import Audit
    from one_ocr_ray.reading.route.reader import Reader

RETRY_LOOK_AGAIN_S = 1.0


def ignore_spending(spending: Spending) -> None:
    """Ignore costs that no row holds."""


def ignore_page(page: PageResult) -> None:
    """Ignore a page that goes on to the next reader."""


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What is the same for every page of a run. `readers`: its route, in order."""

    readers: tuple[Reader, ...]
    identity: RunIdentity
    observers: tuple[Observer, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    jitter: Callable[[], float] = random.random
    record_spending: Callable[[Spending], None] = ignore_spending  # costs that no row holds
    ending: Ending = field(default_factory=Ending)
    audit: Audit | None = None  # pages that a second reader reads too
    record_passed: Callable[[PageResult], None] = ignore_page  # paid answers that pages go on from
    passed_before: Mapping[tuple[str, int], PageResult] = field(default_factory=dict)  # those of a run that was cut off
    failed_before: Mapping[tuple[str, int], PageResult] = field(default_factory=dict)  # pages that a retry reads again
    reuse: Reuse | None = None  # pages that an earlier dataset has
    ocr: Engine | None = None  # tells where a model's words stand

    def notify(self, reader: Reader, event: ReadingEvent) -> None:
        """Tell the observers of `reader`, and those of the run."""
        for observer in (*reader.observers, *self.observers):
            observer(event)


async def read_page(document: DocumentRef, page: RenderedPage, context: ReadContext) -> PageResult:
    """Read `page`; gives its row. Raises StoppedError when the whole job must stop, with the page unread,
    and PageDeferred when its request lies in a provider's batch, or it is to come again with its image.
    """
    spent = PageUsage(context.clock.utc())
    try:
        if isinstance(page, PageUnrendered):
            read = PageRead(Answer(failure=page.failure), page, context.readers[-1])
        elif (blank := answer_of_blank(page)) is None:
            walked = await _walk(document, page, context, spent)
            read = await with_answer_places(walked, context.ocr, context.ending)
        else:
            read = await _read_blank(document, page, blank, context, spent)
    except PageDeferred:  # its batch has records of what it costs
        raise
    except BaseException:  # a stop, a signal: the page will be read again, and this money is spent all the same
        if spent.since_passed.requests:
            context.record_spending(spent.since_passed)
        raise
    row = row_of(document, read, spent, context)
    if (beside := spent.missing_in(row)) != Spending():
        context.record_spending(beside)
    return row


async def _read_blank(
    document: DocumentRef, page: PageImage, blank: Answer, context: ReadContext, spent: PageUsage
) -> PageRead:
    """A page that shows nothing. Where that is for want of a font, its text layer may have what is not drawn."""
    if blank.failure is not None and page.layer is not None:
        read = await _walk(document, page, replace(context, readers=context.readers[:1]), spent)
        if read.answer.failure is None:
            return read
    return PageRead(blank, page, context.readers[-1], RouteReason.NO_INK if len(context.readers) > 1 else None)


async def _walk(document: DocumentRef, page: PageImage, context: ReadContext, spent: PageUsage) -> PageRead:
    """Ask one reader after the other until an answer stands. One that was away may be come back to, no other."""
    readers = context.readers
    route, reason = _start(document, page, context)
    unasked = readers[: route.at]
    usable: PageRead | None = None
    answered: set[int] = set()
    missed: dict[int, EndpointPermits] = {}  # of readers that were away
    while True:
        reader = readers[route.at]
        earlier = {at: permits for at, permits in missed.items() if at < route.at}
        try:
            answer, sent = await _answer(page, reader, context, spent, (reason, earlier.values()))
            answered.add(route.at)
        except ProviderAwayError as away:
            missed[route.at] = away.permits
            back = next((at for at, permits in earlier.items() if permits.is_open), route.at)
            reason = RouteReason.FAILED_OVER
            route = route.after(reason, answered) or replace(route, at=back)
            continue
        verdict = answer.verdict or reader.verdict(answer)
        read = PageRead(answer, sent, reader, reason or verdict.reason)
        following = None if verdict.accepted else route.after(verdict.reason, answered)
        if following is None:
            if answer.failure is not None:
                context.notify(reader, FailureReported(answer))
                if not answer.failure.code.retryable:
                    usable = usable or await _read_for_nothing(document, page, context, unasked, spent)
                    read = read if usable is None else replace(usable, reason=RouteReason.FAILED_OVER)
            return read if len(readers) > 1 or answer.verdict else replace(read, reason=None)
        usable = read if answer.failure is None else usable
        is_known = spent.cost_usd is not None or spent.spending.unknown_usd is None  # or there is no price
        if verdict.reason is RouteReason.UNUSABLE and is_known and not spent.recalled.requests:  # batches have records
            context.record_passed(row_of(document, replace(read, reason=verdict.reason), spent, context))
            spent.pass_on()
        route, reason = following, verdict.reason


def _start(document: DocumentRef, page: PageImage, context: ReadContext) -> tuple[Walk, RouteReason | None]:
    """Where the page begins: at the first reader, or after those tried before."""
    route = Walk(tuple(frozenset(reader.no_better_at) for reader in context.readers))
    names = [reader.called for reader in context.readers]
    starts: list[tuple[Walk, RouteReason | None]] = [(route, None)]
    failed = context.failed_before.get((document.document_id, page.page_number))
    if failed is not None and failed.engine in names and failed.route_reason in JUDGED:
        starts.append((replace(route, at=names.index(failed.engine)), RouteReason(failed.route_reason)))
    passed = context.passed_before.get((document.document_id, page.page_number))
    if passed is not None and passed.engine in names:
        reason = RouteReason(passed.route_reason or RouteReason.UNUSABLE)
        following = replace(route, at=names.index(passed.engine)).after(reason)
        starts += [(following, reason)] if following is not None else []
    return max(starts, key=lambda start: start[0].at)


async def _read_for_nothing(
    document: DocumentRef, page: PageImage, context: ReadContext, readers: Sequence[Reader], spent: PageUsage
) -> PageRead | None:
    """What those of `readers` say that cost nothing; None where they cannot read the page."""
    free = tuple(reader for reader in readers if isinstance(reader.metering, NoMetering))
    if not free:
        return None
    own = replace(context, readers=free, observers=(), passed_before={}, failed_before={})
    read = await _walk(document, page, own, spent)
    return read if read.answer.failure is None else None


async def _answer(
    image: PageImage,
    reader: Reader,
    context: ReadContext,
    spent: PageUsage,
    came: tuple[RouteReason | None, Collection[EndpointPermits]],
) -> tuple[Answer, PageImage]:
    """Ask until the policy is done with this reader. Gives the last answer, and its image.

    `came`: why the page has come here, and the readers that were away. Raises ProviderAwayError if it should go on.
    """
    request, tries, sent, before = reader.request, AttemptState(), image, spent.attempts
    reason, missed = came
    failed_at: list[Lane] = []  # endpoints whose fault it was
    met, one_at_a_time = OwnServerFailures(), asyncio.Semaphore()
    acquire: Callable[[int], Awaitable[Lane | None]] = reader.permits.acquire
    if isinstance(reader.permits, EndpointPermits):
        acquire = partial(reader.permits.acquire, avoids=failed_at, missed=missed)
        met, one_at_a_time = OwnServerFailures(reader.permits.are_started_again), reader.permits.one_at_a_time
    reader.retries.sent(context.clock.monotonic_s())
    while True:
        recalled = await recalled_answer(sent, request, reader, spent, (reason, before))
        async with one_at_a_time if met.asked_alone else nullcontext():
            asked = (recalled, None) if recalled else await _request(sent, request, reader, context, spent, acquire)
        answer, lane = asked
        met, answer = met.with_answer(answer, context.clock.monotonic_s())
        if lane is not None and lane.passes_on(answer.failure, failed_at):
            failed_at.append(lane)
            spent.moved += answer.failure is not None and answer.failure.action is not Action.THROTTLED
            continue
        step = next_step(reader.policy, tries, answer, request, jitter=context.jitter(), elapsed_s=spent.latency_s)
        spent.attempts = before + (step.tries.attempts if reader.is_request else 0)
        if answer.failure is not None and (isinstance(step, Stop) or answer.failure.action is Action.THROTTLED):
            context.notify(reader, FailureReported(answer))
        if isinstance(step, Stop):
            if _close(step.failure, reader, lane, is_recalled=recalled is not None):
                continue
            return answer, sent
        if not isinstance(step, Wait):
            return (replace(step.answer, rotation_deg=request.turn_deg) if request.profile else step.answer), sent
        with context.ending.waiting():
            if recalled is None:
                # Wait until the request may be sent again: its time has come, and there are not too many retries.
                is_retry = step.tries.transport > tries.transport
                await context.clock.sleep(step.wait_s)
                while is_retry and not reader.retries.take(context.clock.monotonic_s()):
                    await context.clock.sleep(RETRY_LOOK_AGAIN_S)
            sent = await image_as_wanted(image, sent, step.request, request)
        request, tries = step.request, step.tries


def _close(failure: Failure, reader: Reader, lane: Lane | None, *, is_recalled: bool) -> bool:
    """Close the account that refuses everybody. True if another endpoint may answer, False if the next reader may.

    Raises StoppedError if nobody is left, or the refusal is a batch's.
    """
    if is_recalled:
        raise StoppedError(failure.message, failure.code)
    (reader if lane is None else lane).permits.stop(failure)
    if lane is not None and (lane.siblings.has_open_account or lane.siblings.may_leave):
        return lane.siblings.has_open_account
    raise StoppedError(failure.message, failure.code)


async def _request(  # noqa: PLR0917 - the page, the request, and who is asked
    image: PageImage,
    request: PageRequest,
    reader: Reader,
    context: ReadContext,
    spent: PageUsage,
    acquire: Callable[[int], Awaitable[Lane | None]],
) -> tuple[Answer, Lane | None]:
    """Send one request under one permit; gives the judged answer, and who gave it."""
    clock = context.clock
    began_s = clock.monotonic_s()
    cost_usd: float | None = 0.0
    most_usd = reader.metering.most_usd(image, request)
    reserved: list[BudgetShare] = []
    try:
        with context.ending.waiting():
            for share in reader.budgets:
                await share.reserve(most_usd)
                reserved.append(share)
        tokens, reserved_s = reader.metering.estimate_tokens(image, request), clock.monotonic_s()
        with context.ending.waiting():
            lane = await acquire(tokens)
        permits = reader.permits if lane is None else lane.permits
        sent_s, sharers = clock.monotonic_s(), 1 if lane is None else lane.permits.under_way
        spent.queue_s += sent_s - began_s
        context.notify(reader, RequestSent(sent_s - reserved_s))
        answer: Answer | None = None
        try:
            with context.ending.requesting():
                answer = await (reader.engine.analyze_image_async if lane is None else lane.ask)(image, request)
        finally:
            latency_s = clock.monotonic_s() - sent_s
            shared_s = held_s(latency_s, sharers, 1 if lane is None else lane.permits.under_way)
            permits.report(tokens, answer, latency_s)
            cost_usd = cost_usd_of(answer, reader.metering, shared_s)
            is_free = isinstance(reader.metering, NoMetering)
            spent.add(answer, latency_s, cost_usd, most_usd, reader=reader.called, is_free=is_free)
            if answer is None:
                context.notify(reader, RequestDone(None, latency_s, cost_usd))
        reader.metering.learn(image, request, answer)
        answer = reader.judge(answer, request)
        if request.profile is not None:
            box = image.page_box and turned(image.page_box, request.turn_deg)
            answer = await asyncio.to_thread(read_answer, answer, request.profile, replace(image, page_box=box))
        endpoint = None if lane is None or lane.is_alone else (reader.called, lane.name)
        context.notify(reader, RequestDone(answer, latency_s, cost_usd, endpoint))
        return answer, lane
    finally:
        for share in reserved:
            share.settle(most_usd or 0.0, cost_usd)

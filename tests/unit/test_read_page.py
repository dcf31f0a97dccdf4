"""The life of one page, on a clock that is turned by hand and with an engine that plays a script."""

from __future__ import annotations

import asyncio
import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from one_ocr_ray.blocks import TextLayer
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.llm.engine import LlmEngine
from one_ocr_ray.engines.llm.http import BROKEN
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import (
    Action,
    Answer,
    ErrorCode,
    Failure,
    PageImage,
    PageRequest,
    PageStatus,
    PageUnrendered,
    PageWarning,
    TokenUsage,
)
from one_ocr_ray.policy.cost.image_tokens import openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.cost.spending import PageUsage, Spending, may_be_billed, row_key
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.page.retry import RetryBudget
from one_ocr_ray.policy.route.reader_use import use_line
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.events import FailureReported, ReadingEvent, RequestDone, RequestSent
from one_ocr_ray.reading.page.loop import ReadContext, SystemClock, read_page
from one_ocr_ray.reading.route.reader import NoMetering, Reader, accept_as_is
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.routing import RouteReason, Verdict
from tests.manual_clock import ManualClock
from tests.scripted_engine import ScriptedEngine
from tests.unit.wire_samples_reader import engine_options, page_image
from tests.values import NOON, TIMED_OUT, document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.model import PageResult, RenderedPage

DOWN = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Down.", Action.RETRY, 503)
LATE = Failure(ErrorCode.PROVIDER_TIMEOUT, "Late.", Action.RETRY)
ODD = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "Odd.", Action.RETRY, 200)
REJECTED = Failure(ErrorCode.PROVIDER_REJECTED, "No.", Action.FAIL, 400)
THROTTLED = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Slower.", Action.THROTTLED, 429, retry_after_s=20.0)
TODAY = Failure(ErrorCode.QUOTA_DAY, "Tomorrow.", Action.THROTTLED, 429, retry_after_s=22.0)
NO_CREDIT = Failure(ErrorCode.BILLING, "Pay.", Action.STOP, 429)
UNKNOWN_KEY = Failure(ErrorCode.AUTH, "Who?", Action.STOP, 401)
RECITED = Failure(ErrorCode.RECITATION, "Quoted.", Action.RETRY_CHANGED, 200)
TOO_LONG = Failure(ErrorCode.CONTEXT_TOO_LONG, "Too long.", Action.RETRY_CHANGED, 400)

GOOD = Answer(text="good", usage=TokenUsage(1000, 100, 0), finish_reason="stop")
HALF = Answer(text="half", truncated=True, usage=TokenUsage(1000, 50, 0), finish_reason="length")
CUT_BEFORE_TEXT = Answer(truncated=True, usage=TokenUsage(1000, 50, 0), finish_reason="length")
LOOP = Answer(text="and so on and on and on " * 100, usage=TokenUsage(1000, 600, 0))

ASK = PageRequest(prompt="Read.")
SCHEMA = '{"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}'
PRICES = {"scripted": Price(1.0, 10.0)}  # USD per million tokens


def metering(model: str = "scripted", prices: dict[str, Price] | None = None) -> ProviderMetering:
    return ProviderMetering(openai_image_tokens, model, image_detail="high", prices=prices, output_cap=8192)


class RecordingPermits:
    """`Permits` without a limit that remember what they are asked and told; each takes `wait_s` to come."""

    def __init__(self, clock: ManualClock) -> None:
        self.acquired: list[int] = []
        self.reports: list[tuple[int, Answer | None, float]] = []
        self.wait_s = 0.0
        self.refusal: StoppedError | None = None
        self.stops: list[Failure] = []
        self._clock = clock

    async def acquire(self, tokens: int) -> None:
        if self.refusal:
            raise self.refusal
        await asyncio.sleep(0)
        self._clock.advance(self.wait_s)
        self.acquired.append(tokens)

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        self.reports.append((estimated_tokens, answer, latency_s))

    def stop(self, failure: Failure) -> None:
        self.stops.append(failure)


class RecordingShare(BudgetShare):
    """A share without a ceiling that remembers how it is asked."""

    def __init__(self) -> None:
        super().__init__(free_usd=1e6)
        self.settled: list[tuple[float, float | None]] = []
        self.reservations = 0
        self.refusal: StoppedError | None = None

    async def reserve(self, most_usd: float | None) -> None:
        if self.refusal:
            raise self.refusal
        await super().reserve(most_usd)
        self.reservations += 1

    def settle(self, reserved_usd: float, cost_usd: float | None) -> None:
        super().settle(reserved_usd, cost_usd)
        self.settled.append((reserved_usd, cost_usd))


class TimedEngine(ScriptedEngine):
    """A script whose answers each take `takes_s` of a manual clock; `images` holds what was sent."""

    def __init__(self, answers: Sequence[Answer], clock: ManualClock, *, latency_s: float = 0.0) -> None:
        super().__init__({1: answers}, latency_s=latency_s)
        self.takes_s = 0.0
        self.images: list[PageImage] = []
        self._clock = clock

    async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
        self.images.append(image)
        answer = await super().analyze_image_async(image, request)
        self._clock.advance(self.takes_s)
        return answer


@dataclass
class Scene:
    """One page in front of an engine that answers `answers`, the last one again and again."""

    answers: Sequence[Answer | Failure] = (GOOD,)
    request: PageRequest = ASK
    jitter: Callable[[], float] = lambda: 0.5
    latency_s: float = 0.0  # really waited
    clock: ManualClock = field(default_factory=ManualClock)
    share: RecordingShare = field(default_factory=RecordingShare)
    untold: list[Spending] = field(default_factory=list)

    def __post_init__(self) -> None:
        script = [each if isinstance(each, Answer) else Answer(failure=each) for each in self.answers]
        self.engine = TimedEngine(script, self.clock, latency_s=self.latency_s)
        self.permits = RecordingPermits(self.clock)
        self.metering = metering(prices=PRICES)
        self.reader = Reader(
            engine=self.engine,
            permits=self.permits,
            request=self.request,
            prompt_sha256="p" * 64,
            metering=self.metering,
            judge=judge,
            budgets=(self.share,),
        )
        self.context = ReadContext(
            (self.reader,),
            identity=RunIdentity("run-1", "config-1"),
            record_spending=self.untold.append,
            clock=self.clock,
            jitter=self.jitter,
        )

    async def read(self, page: RenderedPage | None = None, **changes: Any) -> PageResult:
        of_reader = {name: changes.pop(name) for name in Reader.__slots__ if name in changes and name != "observers"}
        context = replace(self.context, readers=(replace(self.reader, **of_reader),), **changes)
        return await read_page(document(1), page or page_image(), context)

    @property
    def most_usd(self) -> float | None:
        """What is set aside for a request."""
        return self.metering.most_usd(page_image(), self.request)

    @property
    def asks(self) -> list[PageRequest]:
        return [request for _, request in self.engine.asked]


@cache
def real_image() -> PageImage:
    """A page image that can be opened."""
    data = io.BytesIO()
    Image.new("L", (200, 100), 255).save(data, "JPEG")
    return replace(page_image(data.getvalue()), width_px=200, height_px=100)


# --- the row


async def test_a_page_that_is_read_at_once() -> None:
    """One request, and everything that is known of it stands in the row."""
    answer = Answer(
        text="# Title",
        usage=TokenUsage(1200, 300, 200),
        model_version="scripted-2",
        finish_reason="stop",
        provider_request_id="req-7",
        confidence=0.9,
        rotation_deg=90,
        warnings=(PageWarning.LINES_DROPPED,),
    )
    scene = Scene([answer])
    scene.permits.wait_s, scene.engine.takes_s = 2.0, 3.0
    row = await scene.read()
    of, image = document(1), page_image()
    assert (row.document_id, row.source_uri, row.source_name, row.page_count) == (of.document_id, of.uri, of.name, 3)
    assert (row.page_number, row.status, row.markdown, row.data, row.failure) == (1, "ok", "# Title", None, None)
    assert (row.engine, row.model, row.model_version) == ("scripted", "scripted", "scripted-2")
    assert (row.finish_reason, row.provider_request_id, row.truncated) == ("stop", "req-7", False)
    assert (row.prompt_sha256, row.run_id, row.config_id) == ("p" * 64, "run-1", "config-1")
    assert (row.image_width, row.image_height, row.image_sha256) == (image.width_px, image.height_px, image.sha256)
    assert (row.rotation, row.confidence, row.attempts) == (90, 0.9, 1)
    assert row.warnings == (PageWarning.LINES_DROPPED,)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (1200, 300, 200)
    assert row.cost_usd == pytest.approx((1200 * 1 + 300 * 10) / 1e6)
    assert (row.render_ms, row.queue_ms, row.latency_ms) == (image.render_ms, 2000, 3000)
    assert (row.started_at, row.finished_at) == (NOON, NOON + timedelta(seconds=5))
    assert scene.asks == [ASK]
    assert scene.permits.reports == [(scene.permits.acquired[0], answer, 3.0)]


async def test_a_permit_is_asked_for_the_tokens_of_the_request() -> None:
    """The limiter hears the estimate before, and the answer with the real count after."""
    scene = Scene()
    await scene.read()
    assert scene.permits.acquired == [metering().estimate_tokens(page_image(), ASK)]


async def test_the_answer_is_judged() -> None:
    """What stands in the row has been cleaned."""
    row = await Scene([Answer(text="```markdown\n# Title\x00\n```")]).read()
    assert row.markdown == "# Title"


async def test_a_blank_page_asks_nobody() -> None:
    """It costs no permit, no request and no money."""
    scene = Scene()
    row = await scene.read(replace(page_image(), ink_cells=0))
    assert (row.status, row.markdown, row.data, row.attempts) == ("blank", "", None, 0)
    assert (row.input_tokens, row.output_tokens, row.cost_usd, row.latency_ms) == (0, 0, 0.0, None)
    assert row.image_sha256 == page_image().sha256
    assert not scene.asks + scene.permits.acquired
    assert scene.share.reservations == 0


async def test_a_page_of_which_nothing_is_drawn_is_not_blank() -> None:
    """Its text needs a font that is neither in the document nor on the machine: a failure that says so."""
    row = await Scene().read(replace(page_image(), ink_cells=0, glyphs_missing=True))
    assert (row.status, row.markdown, row.attempts) == ("failed", None, 0)
    assert row.failure is not None
    assert row.failure.code is ErrorCode.RENDER_FAILED
    assert "font" in row.failure.message


async def test_a_page_with_missing_glyphs_is_read_and_says_so() -> None:
    """What is drawn is read; the warning stands beside those of the engine, and not beside a failure."""
    page = replace(page_image(), glyphs_missing=True)
    row = await Scene([Answer(text="text", warnings=(PageWarning.LINES_DROPPED,))]).read(page)
    assert (row.status, row.markdown) == ("ok", "text")
    assert row.warnings == (PageWarning.LINES_DROPPED, PageWarning.GLYPHS_MISSING)
    failed = await Scene([Answer(failure=Failure(ErrorCode.REFUSED, "no"))]).read(page)
    assert (failed.status, failed.warnings) == ("failed", ())


async def test_a_page_that_could_not_be_rendered_is_a_failed_row() -> None:
    """It has no image and asks nobody; the reason stands in the row."""
    scene = Scene()
    row = await scene.read(PageUnrendered(2, TIMED_OUT, render_ms=20_000))
    assert (row.page_number, row.status, row.failure, row.markdown) == (2, "failed", TIMED_OUT, None)
    assert (row.attempts, row.cost_usd, row.render_ms, row.latency_ms) == (0, 0.0, 20_000, None)
    assert (row.image_width, row.image_height, row.image_sha256, row.rotation) == (None, None, None, None)
    assert not scene.asks + scene.permits.acquired


async def test_an_engine_of_ones_own_takes_what_it_gets() -> None:
    """Its tokens are not known, its money is nothing, and no text on a page with ink is an answer."""
    scene = Scene([Answer(text="")])
    row = await scene.read(permits=NoLimit(), metering=NoMetering(), judge=accept_as_is)
    assert (row.status, row.markdown, row.attempts) == ("ok", "", 1)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, 0.0)


async def test_a_page_of_a_document_whose_length_is_unknown() -> None:
    """It has at least the pages up to this one."""
    row = await read_page(document(1, page_count=None), page_image(number=7), Scene().context)
    assert (row.page_number, row.page_count, row.markdown) == (7, 7, "Page 7")


# --- failures on the way


async def test_a_failed_request_is_sent_again() -> None:
    """A page that comes through in the end is a good page; each request has its own permit."""
    scene = Scene([DOWN, LATE, GOOD])
    scene.permits.wait_s, scene.engine.takes_s = 1.0, 2.0
    row = await scene.read()
    assert (row.status, row.markdown, row.failure, row.attempts) == ("ok", "good", None, 3)
    assert (row.queue_ms, row.latency_ms) == (3000, 6000)
    assert [answer.failure for _, answer, _ in scene.permits.reports if answer] == [DOWN, LATE, None]
    assert scene.asks == [ASK] * 3


@pytest.mark.parametrize(("failure", "requests"), [(DOWN, 5), (LATE, 3), (ODD, 3), (REJECTED, 1)])
async def test_a_page_is_given_up_with_the_code_of_its_last_failure(failure: Failure, requests: int) -> None:
    """Five requests at most; a time-out may have been billed, so three; a refusal is final."""
    scene = Scene([failure])
    row = await scene.read()
    assert (row.status, row.failure, row.markdown, row.attempts) == ("failed", failure, None, requests)
    assert len(scene.engine.asked) == len(scene.permits.reports) == requests
    assert row.image_sha256 == page_image().sha256


async def test_back_off_doubles() -> None:
    """Half of 1, 2, 4, 8 s on average."""
    scene = Scene([DOWN])
    await scene.read()
    assert scene.clock.slept == [0.5, 1.0, 2.0, 4.0]


@given(hint_s=st.floats(0, 600), jitter=st.floats(0, 1, exclude_max=True))
def test_a_servers_hint_is_never_undercut(hint_s: float, jitter: float) -> None:
    """A retry waits at least as long as the server asks for, and so does a throttled request."""
    answers = [replace(DOWN, retry_after_s=hint_s), replace(THROTTLED, retry_after_s=hint_s), GOOD]
    scene = Scene(answers, jitter=lambda: jitter)
    assert asyncio.run(scene.read()).status is PageStatus.OK
    assert len(scene.clock.slept) == 2
    assert all(wait_s >= hint_s for wait_s in scene.clock.slept)


async def test_a_throttle_costs_no_attempt() -> None:
    """However often the account is throttled, the page waits, asks as before and is read in the end."""
    scene = Scene([*[THROTTLED] * 20, GOOD])
    row = await scene.read()
    assert (row.status, row.attempts) == ("ok", 1)
    assert scene.asks == [ASK] * 21
    assert len(scene.permits.reports) == 21
    assert all(wait_s >= 20.0 for wait_s in scene.clock.slept)


async def test_throttles_between_failures_do_not_count() -> None:
    """A page has its five requests, throttled ones aside."""
    answers: list[Answer | Failure] = [*[DOWN, THROTTLED] * 4, GOOD]
    row = await Scene(answers).read()
    assert (row.status, row.attempts) == ("ok", 5)


async def test_a_page_that_takes_hours_is_given_up() -> None:
    """Two hours of requests are enough, however many of them that were."""
    scene = Scene([DOWN])
    scene.engine.takes_s = 4000.0
    row = await scene.read()
    assert (row.failure, row.attempts) == (DOWN, 2)


async def test_the_retry_budget_delays_retries() -> None:
    """When too much of what goes out is retries, the next one waits its turn; the page is not given up."""
    scene = Scene([DOWN, GOOD])
    retries = RetryBudget(share=0.0, least_per_s=0.1, window_s=10)
    assert retries.take(0.0)
    row = await scene.read(retries=retries)
    assert (row.status, row.attempts) == ("ok", 2)
    assert scene.clock.slept == [0.5, *[1.0] * 10]
    assert not retries.take(scene.clock.monotonic_s())


async def test_a_throttle_needs_no_retry_budget() -> None:
    """Nor does a changed question: only what failed on the way multiplies the load."""
    scene = Scene([THROTTLED, HALF, GOOD])
    row = await scene.read(retries=RetryBudget(share=0.0, least_per_s=0.0))
    assert (row.status, row.markdown) == ("ok", "good")
    assert scene.clock.slept == [pytest.approx(21.25), 0.0]


# --- bad answers are asked for again, differently


async def test_a_cut_off_answer_gets_twice_the_room() -> None:
    """The second answer is whole, and the row shows nothing of the first but its cost."""
    scene = Scene([HALF, GOOD])
    row = await scene.read()
    assert (row.status, row.markdown, row.truncated, row.attempts) == ("ok", "good", False, 2)
    assert [request.output_tokens_cap for request in scene.asks] == [8192, 16384]


async def test_what_stays_cut_off_is_taken_as_it_is() -> None:
    """The text so far, marked as truncated, after one try with more room."""
    scene = Scene([HALF, replace(HALF, text="half and more")])
    row = await scene.read()
    assert (row.status, row.markdown, row.truncated, row.failure) == ("ok", "half and more", True, None)
    assert (row.attempts, row.finish_reason) == (2, "length")


async def test_cut_off_text_outlives_a_refusal_of_more_room() -> None:
    """A cap that the model does not take must not cost the page what it has."""
    row = await Scene([HALF, REJECTED]).read()
    assert (row.status, row.markdown, row.truncated, row.attempts) == ("ok", "half", True, 2)


async def test_a_cap_reached_before_any_text_is_a_failure() -> None:
    """Nothing came even with more room."""
    row = await Scene([CUT_BEFORE_TEXT]).read()
    assert row.failure is not None
    assert (row.status, row.failure.code, row.markdown) == ("failed", ErrorCode.TRUNCATED, None)
    assert (row.truncated, row.attempts) == (False, 2)


async def test_a_loop_is_broken_by_a_warmer_second_try() -> None:
    """Once; an answer that still repeats itself is a failure and stays out of the text."""
    scene = Scene([LOOP, GOOD])
    assert (await scene.read()).markdown == "good"
    assert [request.temperature for request in scene.asks] == [None, 0.6]
    row = await Scene([LOOP]).read()
    assert row.failure is not None
    assert (row.failure.code, row.markdown, row.attempts) == (ErrorCode.REPETITION, None, 2)


async def test_a_loop_that_ends_twice_alike_is_the_page() -> None:
    """One that was broken off is none, however alike: the server has ended it, or the cap has."""
    ended = replace(LOOP, text=LOOP.text * 5, finish_reason="stop")
    row = await Scene([ended]).read()
    assert (row.status, row.markdown, row.attempts) == ("ok", ended.text.strip(), 2)
    for other in (replace(ended, text=LOOP.text * 6), replace(ended, truncated=True)):
        row = await Scene([ended, other]).read()
        assert row.failure is not None
        assert row.failure.code is ErrorCode.REPETITION


async def test_extraction_fills_data_and_leaves_markdown_empty() -> None:
    """The reply is JSON, not the page's text."""
    row = await Scene([Answer(text='{"total": 7}')], request=replace(ASK, json_schema=SCHEMA)).read()
    assert (row.status, row.data, row.markdown) == ("ok", '{"total": 7}', "")


async def test_a_blank_page_extracts_nothing() -> None:
    """There is no JSON for it."""
    row = await Scene(request=replace(ASK, json_schema=SCHEMA)).read(replace(page_image(), ink_cells=0))
    assert (row.status, row.data, row.markdown) == ("blank", None, "")


async def test_a_reply_that_breaks_the_schema_is_told_so() -> None:
    """The complaint stands behind the prompt; the complaint never quotes the reply."""
    answers = [Answer(text='{"total": "confidential"}'), Answer(text='{"total": 7}')]
    scene = Scene(answers, request=replace(ASK, json_schema=SCHEMA))
    row = await scene.read()
    assert (row.status, row.data, row.attempts) == ("ok", '{"total": 7}', 2)
    assert scene.asks[0].prompt == "Read."
    assert scene.asks[1].prompt.startswith("Read.\n\nAn earlier answer was not usable: The reply breaks")
    assert "confidential" not in scene.asks[1].prompt


async def test_a_reply_that_keeps_breaking_the_schema_is_a_failure() -> None:
    """It reaches neither `data` nor `markdown`."""
    row = await Scene([Answer(text="no JSON")], request=replace(ASK, json_schema=SCHEMA)).read()
    assert row.failure is not None
    assert (row.failure.code, row.data, row.markdown) == (ErrorCode.SCHEMA_MISMATCH, None, None)
    assert row.attempts == 2


async def test_an_image_that_is_too_large_is_sent_smaller() -> None:
    """The row tells the size and the hash of the image that was sent in the end."""
    scene = Scene([TOO_LONG, GOOD])
    row = await scene.read(real_image())
    first, second = scene.engine.images
    assert (first.width_px, first.height_px) == (200, 100)
    assert (row.image_width, row.image_height) == (second.width_px, second.height_px) == (140, 70)
    assert row.image_sha256 == second.sha256 == hashlib.sha256(second.data).hexdigest() != first.sha256
    assert (row.status, row.attempts, row.render_ms) == ("ok", 2, first.render_ms)


# --- the job must stop


async def test_a_stop_leaves_the_page_unread() -> None:
    """No row, for the next run must read it; the permit is given back all the same."""
    scene = Scene([NO_CREDIT])
    with pytest.raises(StoppedError, match=r"Pay\.") as stopped:
        await scene.read()
    assert stopped.value.code is ErrorCode.BILLING
    assert [answer and answer.failure for _, answer, _ in scene.permits.reports] == [NO_CREDIT]
    assert scene.permits.stops == [NO_CREDIT]


async def test_an_unknown_key_is_tried_twice() -> None:
    """A new key takes a moment to be known everywhere."""
    scene = Scene([UNKNOWN_KEY])
    with pytest.raises(StoppedError) as stopped:
        await scene.read()
    assert stopped.value.code is ErrorCode.AUTH
    assert len(scene.engine.asked) == 2
    assert scene.permits.stops == [UNKNOWN_KEY]
    scene = Scene([UNKNOWN_KEY, GOOD])
    assert (await scene.read()).attempts == 2
    assert not scene.permits.stops


async def test_a_day_that_is_used_up_stops_the_job() -> None:
    """When the provider says so three times in a row."""
    scene = Scene([TODAY])
    with pytest.raises(StoppedError) as stopped:
        await scene.read()
    assert (stopped.value.code, len(scene.engine.asked)) == (ErrorCode.QUOTA_DAY, 3)


async def test_a_closed_limiter_sends_nothing() -> None:
    """No permit, no report, and what was set aside for the request is free again."""
    scene = Scene()
    scene.permits.refusal = StoppedError("Closed.", ErrorCode.BILLING)
    with pytest.raises(StoppedError, match="Closed"):
        await scene.read()
    assert not scene.asks
    assert not scene.permits.reports
    assert scene.share.settled == [(scene.most_usd, 0.0)]


async def test_a_spent_budget_asks_for_no_permit() -> None:
    """The ceiling comes before the queue."""
    scene = Scene()
    scene.share.refusal = StoppedError("Spent.", ErrorCode.BUDGET)
    with pytest.raises(StoppedError, match="Spent"):
        await scene.read()
    assert not scene.permits.acquired
    assert not scene.share.settled


async def test_a_request_must_fit_into_every_budget() -> None:
    """A key's budget that is spent stops the page, and the task's own gets its reservation back."""
    scene = Scene()
    with pytest.raises(StoppedError, match="ceiling is reached"):
        await scene.read(budgets=(scene.share, BudgetShare(free_usd=0.0)))
    assert not scene.asks
    assert scene.share.settled == [(scene.most_usd, 0.0)]


async def test_a_request_that_is_cancelled_gives_its_permit_back() -> None:
    """Nobody knows what became of it: no answer, and a cost that is not known."""
    scene = Scene(latency_s=3600.0)
    task = asyncio.create_task(scene.read())
    for _ in ("the queue", "the permit"):
        await asyncio.sleep(0)
    assert scene.asks
    scene.clock.advance(1.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.permits.reports == [(scene.permits.acquired[0], None, 1.5)]
    assert scene.share.settled == [(scene.most_usd, None)]


async def test_a_page_that_is_cancelled_in_the_queue_has_nothing_to_report() -> None:
    """Its permit has not come, and its money is free again."""
    scene = Scene()
    task = asyncio.create_task(scene.read())
    await asyncio.sleep(0)
    assert scene.share.reservations == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not scene.permits.acquired + scene.permits.reports
    assert scene.share.settled == [(scene.most_usd, 0.0)]


# --- tokens and money


async def test_discarded_answers_are_paid_too() -> None:
    """The row holds the tokens and the cost of every request for the page."""
    scene = Scene([HALF, replace(GOOD, usage=TokenUsage(1100, 150, 400))])
    row = await scene.read()
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (2100, 200, 400)
    assert row.cost_usd == pytest.approx((2100 * 1 + 200 * 10) / 1e6)
    assert [cost_usd for _, cost_usd in scene.share.settled] == [pytest.approx(0.0015), pytest.approx(0.0026)]


async def test_unknown_stays_unknown() -> None:
    """A sum with an unknown part is unknown, never too small."""
    row = await Scene([replace(HALF, usage=TokenUsage()), GOOD]).read()
    assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.cost_usd) == (None, None, None, None)
    row = await Scene([replace(GOOD, usage=TokenUsage(10, 10, None))]).read()
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (10, 10, None)


async def test_an_unknown_price_is_no_price_of_zero() -> None:
    """Tokens are known, money is not."""
    row = await Scene().read(metering=metering("nobody-knows"), budgets=())
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 100, None)


async def test_an_error_without_usage_counts_nothing() -> None:
    """No answer, no tokens, no money."""
    scene = Scene([DOWN, THROTTLED, GOOD])
    row = await scene.read()
    assert (row.input_tokens, row.output_tokens) == (1000, 100)
    assert row.cost_usd == pytest.approx(0.002)
    assert [cost_usd for _, cost_usd in scene.share.settled] == [0.0, 0.0, pytest.approx(0.002)]
    assert scene.untold == []


@pytest.mark.parametrize("lost", [LATE, ODD, BROKEN, *(replace(DOWN, http_status=each) for each in (408, 504, 524))])
async def test_an_answer_that_was_lost_may_have_been_billed(lost: Failure) -> None:
    """Nobody tells: unknown in the row, and beside it what is known and the most that the rest can have cost."""
    scene = Scene([lost, GOOD])
    row = await scene.read()
    assert (row.status, row.attempts) == ("ok", 2)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, None)
    assert [cost_usd for _, cost_usd in scene.share.settled] == [None, pytest.approx(0.002)]
    (beside,) = scene.untold
    assert beside.rows == (row_key(row),)
    assert (beside.requests, beside.input_tokens, beside.output_tokens) == (0, 1000, 100)  # the row counts requests
    assert beside.known_usd == pytest.approx(0.002)
    assert beside.unknown_usd == Scene().metering.most_usd(page_image(), ASK)


async def test_a_stop_tells_what_the_page_has_cost_by_then() -> None:
    """Its row comes with another run; what this one has spent must not be forgotten."""
    scene = Scene([HALF, LATE, THROTTLED, NO_CREDIT])
    with pytest.raises(StoppedError):
        await scene.read()
    (spent,) = scene.untold
    assert (spent.requests, spent.rows) == (3, ())
    assert spent.known_usd == pytest.approx(0.0015)
    assert (spent.unknown_usd or 0) > 8192 * 10 / 1e6


async def test_a_request_that_is_cut_off_tells_its_dearest() -> None:
    """It was sent, and its answer may come when nobody listens any more."""
    scene = Scene(latency_s=3600.0)
    task = asyncio.create_task(scene.read())
    for _ in ("the queue", "the permit"):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.untold == [Spending(requests=1, unknown_usd=scene.metering.most_usd(page_image(), ASK))]


async def test_an_error_with_usage_counts() -> None:
    """A filtered answer was made and is billed."""
    filtered = Answer(failure=Failure(ErrorCode.CONTENT_FILTERED, "Filtered."), usage=TokenUsage(1000, 30, 0))
    row = await Scene([filtered]).read()
    assert (row.status, row.input_tokens, row.output_tokens) == ("failed", 1000, 30)
    assert row.cost_usd == pytest.approx(0.0013)


# --- what observers are told


async def test_observers_are_told_of_each_request() -> None:
    """What it waited, how it ended as judged, what it cost; and of failures that a page ends with, and of throttles."""
    scene, events = Scene([THROTTLED, LOOP, REJECTED]), list[ReadingEvent]()
    scene.permits.wait_s, scene.engine.takes_s = 2.0, 3.0
    row = await scene.read(observers=(events.append,))
    kinds = [type(event) for event in events]
    request = [RequestSent, RequestDone]
    assert kinds == [*request, FailureReported, *request, *request, FailureReported]
    assert {event.waited_s for event in events if isinstance(event, RequestSent)} == {2.0}
    done = [event for event in events if isinstance(event, RequestDone)]
    codes = [event.answer and event.answer.failure and event.answer.failure.code for event in done]
    assert codes == [THROTTLED.code, ErrorCode.REPETITION, REJECTED.code]
    assert [(event.latency_s, event.cost_usd) for event in done] == [
        (3.0, 0.0),
        (3.0, pytest.approx(0.007)),
        (3.0, 0.0),
    ]
    assert row.failure == REJECTED


async def test_observers_are_told_of_a_request_that_was_given_up() -> None:
    """It is under way no more, without an answer and with an unknown cost."""
    scene, events = Scene(latency_s=3600.0), list[ReadingEvent]()
    task = asyncio.create_task(scene.read(observers=(events.append,)))
    for _ in ("the queue", "the permit"):
        await asyncio.sleep(0)
    scene.clock.advance(1.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == [RequestSent(0.0), RequestDone(None, 1.5, None)]


# --- of many pages, and of every script


async def test_pages_do_not_disturb_each_other() -> None:
    """One reading serves many pages at once; the failure of one is its own."""
    scene = Scene([REJECTED])
    pages = [page_image(number=number) for number in range(1, 21)]
    rows = await asyncio.gather(*(read_page(document(1), page, scene.context) for page in pages))
    assert [row.page_number for row in rows] == list(range(1, 21))
    assert [row.markdown for row in rows] == [None, *(f"Page {number}" for number in range(2, 21))]


USAGES = st.builds(TokenUsage, *[st.none() | st.integers(0, 10_000)] * 3)
FAILURES = [DOWN, LATE, ODD, REJECTED, THROTTLED, TODAY, NO_CREDIT, UNKNOWN_KEY, RECITED, TOO_LONG]
FAULTS = st.builds(Answer, failure=st.sampled_from(FAILURES), usage=st.just(TokenUsage()) | USAGES)
TEXTS = st.builds(replace, st.sampled_from([GOOD, HALF, CUT_BEFORE_TEXT, LOOP, Answer()]), usage=USAGES)
# Four failures on the way, three changed questions, one key not yet known, and the last one.
MOST_REQUESTS = 4 + 3 + 1 + 1


@given(answers=st.lists(FAULTS | TEXTS, max_size=30), jitter=st.floats(0, 1, exclude_max=True), schema=st.booleans())
def test_whatever_comes_a_page_ends_as_one_row_or_a_stop(answers: list[Answer], jitter: float, schema: bool) -> None:
    """In a bounded number of requests, with one report for each permit and every token counted."""
    request = replace(ASK, json_schema=SCHEMA) if schema else ASK
    scene = Scene([*answers, Answer(failure=REJECTED)], request=request, jitter=lambda: jitter)
    row: PageResult | None = None
    with suppress(StoppedError):
        row = asyncio.run(scene.read(real_image()))
    played = [*answers, Answer(failure=REJECTED)][: len(scene.engine.asked)]
    throttled = sum(answer.failure is not None and answer.failure.action is Action.THROTTLED for answer in played)
    assert len(played) - throttled <= MOST_REQUESTS
    assert len(scene.engine.asked) == len(scene.permits.acquired) == len(scene.permits.reports)
    assert [tokens for tokens, _, _ in scene.permits.reports] == scene.permits.acquired
    assert [answer for _, answer, _ in scene.permits.reports] == played
    assert scene.share.reservations == len(scene.share.settled) == len(played)
    if row is None:
        assert played[-1].failure in {NO_CREDIT, UNKNOWN_KEY, TODAY}
    else:
        assert row.attempts == len(played) - throttled
        assert (row.status is PageStatus.FAILED) == (row.failure is not None) == (row.markdown is None)
        counted = [
            answer.usage
            for answer in played
            if answer.failure is None or answer.usage != TokenUsage() or may_be_billed(answer.failure)
        ]
        assert row.input_tokens == total([usage.input_tokens for usage in counted])
        assert row.output_tokens == total([usage.output_tokens for usage in counted])
        assert row.cached_tokens == total([usage.cached_tokens for usage in counted])


def total(counts: list[int | None]) -> int | None:
    """The sum; unknown when a part of it is."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


# --- what must not be told


async def test_neither_a_key_nor_a_page_shows_in_a_repr() -> None:
    """Reprs end in logs and tracebacks."""
    key, content = "sk-top-secret", "confidential"
    image = page_image(content.encode())
    options = engine_options("openai", key=key, headers={"X-Key": key}, query={"key": key})
    scene = Scene()
    context = replace(scene.context, readers=(replace(scene.reader, engine=LlmEngine(options, CODECS["openai"])),))
    answer = Answer(text=content)
    rows = [await Scene([answer], request=request).read(image) for request in (ASK, replace(ASK, json_schema="{}"))]
    rows.append(await Scene([Answer(text=f'"{content}"')], request=replace(ASK, json_schema="{}")).read(image))
    assert rows[0].markdown == content
    assert rows[2].data == f'"{content}"'
    shown = repr([context, options, image, answer, ASK, rows])
    assert key not in shown
    assert content not in shown


async def test_the_clock_of_the_machine() -> None:
    """It moves on, and knows its time zone."""
    clock = SystemClock()
    before_s = clock.monotonic_s()
    await clock.sleep(0.001)
    assert clock.monotonic_s() > before_s
    assert clock.utc().utcoffset() == timedelta(0)


# --- routes


def with_readers(*readers: Sequence[Answer]) -> tuple[Scene, list[TimedEngine], ReadContext]:
    """Readers in the order of a route, each with its script; the last one is a model."""
    scene = Scene()
    engines = [TimedEngine(answers, scene.clock) for answers in readers]
    first = replace(scene.reader, engine=engines[0], is_request=False, metering=NoMetering(), judge=accept_as_is)
    rest = [replace(scene.reader, engine=engine) for engine in engines[1:]]
    return scene, engines, replace(scene.context, readers=(first, *rest))


UNTRUSTED = Answer(
    failure=Failure(ErrorCode.TEXT_LAYER_UNTRUSTED, "No."), verdict=Verdict(accepted=False, reason=RouteReason.GARBLED)
)
TRUSTED = Answer(text="layer", verdict=Verdict(accepted=True, reason=RouteReason.CHECKED))
MATHS = Answer(text="layer", verdict=Verdict(accepted=False, reason=RouteReason.FORMULAS))


async def test_a_page_that_the_first_reader_reads_well_asks_nobody_else() -> None:
    """No attempt, no cost; the row names the reader and its reason."""
    scene, engines, context = with_readers([TRUSTED], [GOOD])
    row = await read_page(document(1), page_image(), context)
    assert (row.status, row.markdown, row.route_reason, row.attempts, row.cost_usd) == (
        "ok",
        "layer",
        "checked",
        0,
        0.0,
    )
    assert not engines[1].asked
    assert scene.permits.acquired == [0]


async def test_a_page_goes_on_with_the_reason_why() -> None:
    """The answer of the next reader is the row's, and no failure of the first is reported."""
    heard: list[ReadingEvent] = []
    _, engines, context = with_readers([UNTRUSTED], [GOOD])
    row = await read_page(document(1), page_image(), replace(context, observers=(heard.append,)))
    assert (row.status, row.markdown, row.route_reason, row.attempts) == ("ok", "good", "garbled", 1)
    assert row.cost_usd == pytest.approx((1000 * 1.0 + 100 * 10.0) / 1e6)
    assert len(engines[1].asked) == 1
    assert not [event for event in heard if isinstance(event, FailureReported)]


async def test_a_text_layer_alone_that_is_not_trusted_fails_the_page() -> None:
    """With its reason; a retry would not help."""
    _, _, context = with_readers([UNTRUSTED])
    row = await read_page(document(1), page_image(), context)
    assert (row.status, row.route_reason, row.markdown) == ("failed", "garbled", None)
    assert row.failure is not None
    assert row.failure.code is ErrorCode.TEXT_LAYER_UNTRUSTED
    assert not row.failure.code.retryable


async def test_a_reader_that_is_down_is_passed() -> None:
    """Its requests count in the row of the reader that answers."""
    _, engines, context = with_readers([UNTRUSTED], [Answer(failure=REJECTED)], [GOOD])
    row = await read_page(document(1), page_image(), context)
    assert (row.markdown, row.route_reason, row.attempts) == ("good", "failed_over", 2)
    assert [len(engine.asked) for engine in engines] == [1, 1, 1]


async def test_an_earlier_answer_stands_where_a_later_reader_refuses() -> None:
    """A right text layer with formulas is better than no page; a fault that a retry may cure stays a failure."""
    _, _, context = with_readers([MATHS], [Answer(failure=REJECTED)])
    row = await read_page(document(1), page_image(), context)
    assert (row.status, row.markdown, row.route_reason) == ("ok", "layer", "failed_over")
    _, _, context = with_readers([MATHS], [Answer(failure=DOWN)])
    assert (await read_page(document(1), page_image(), context)).status is PageStatus.FAILED


async def test_a_page_without_ink_asks_no_reader() -> None:
    """Blank is decided before the route."""
    _, engines, context = with_readers([TRUSTED], [GOOD])
    row = await read_page(document(1), replace(page_image(), ink_cells=0), context)
    assert (row.status, row.route_reason) == ("blank", "no_ink")
    assert not any(engine.asked for engine in engines)


async def test_a_page_whose_font_nobody_has_is_read_from_its_layer() -> None:
    """Nothing of it is drawn, and its text is there."""
    image = replace(page_image(), ink_cells=0, glyphs_missing=True, layer=TextLayer(b"", b"", 0))
    not_drawn = Answer(text="layer", verdict=Verdict(accepted=True, reason=RouteReason.NOT_DRAWN))
    _, _, context = with_readers([not_drawn], [GOOD])
    row = await read_page(document(1), image, context)
    assert (row.status, row.markdown, row.route_reason) == ("ok", "layer", "not_drawn")
    _, _, context = with_readers([UNTRUSTED], [GOOD])
    row = await read_page(document(1), image, context)
    assert row.failure is not None
    assert row.failure.code is ErrorCode.RENDER_FAILED


async def test_a_model_that_comes_first_says_why_it_answers() -> None:
    """Every row of a route has a reason; that of a page that another reader has sent on stays."""
    _, context = small_and_large(GOOD, GOOD)
    assert (await read_page(document(1), page_image(), context)).route_reason is RouteReason.GARBLED
    context = replace(context, readers=context.readers[1:])
    row = await read_page(document(1), page_image(), context)
    assert (row.engine, row.route_reason) == ("small", "usable")


async def test_one_reader_is_no_route() -> None:
    """Its rows have no reason."""
    assert (await Scene().read()).route_reason is None


def small_and_large(small: Answer, large: Answer) -> tuple[list[TimedEngine], ReadContext]:
    """A text layer that nobody trusts, and two models after it."""
    _, engines, context = with_readers([UNTRUSTED], [small], [large])
    names = ("text-layer", "small", "large")
    named = (replace(reader, name=name) for reader, name in zip(context.readers, names, strict=True))
    return engines, replace(context, readers=tuple(named))


async def test_a_paid_answer_that_a_page_goes_on_from_is_told_and_not_asked_for_again() -> None:
    """After a crash the page begins at the next reader, and its row has what that one has cost alone."""
    told: list[PageResult] = []
    engines, context = small_and_large(LOOP, GOOD)
    whole = await read_page(document(1), page_image(), replace(context, record_passed=told.append))
    (passed,) = told
    assert (passed.status, passed.engine, passed.route_reason) == ("failed", "small", "unusable")
    assert passed.started_at == whole.started_at
    assert whole.cost_usd is not None
    assert passed.cost_usd is not None
    assert 0 < passed.cost_usd < whole.cost_usd
    asked = [len(engine.asked) for engine in engines]
    begins = {(passed.document_id, passed.page_number): passed}
    row = await read_page(document(1), page_image(), replace(context, passed_before=begins))
    assert (row.engine, row.route_reason, row.markdown) == ("large", "unusable", "good")
    assert [len(engine.asked) for engine in engines] == [*asked[:2], asked[2] + 1]
    assert row.cost_usd == pytest.approx(whole.cost_usd - passed.cost_usd)


async def test_a_reader_that_knows_no_tokens_hides_none() -> None:
    """An engine that was not sure comes first, and the row has the tokens of the model. Its own are unknown."""
    poor = Answer(text="poor", verdict=Verdict(False, RouteReason.LOW_CONFIDENCE))
    _, _, context = with_readers([poor], [GOOD])
    row = await read_page(document(1), page_image(), context)
    assert (row.markdown, row.input_tokens, row.output_tokens, row.cached_tokens) == ("good", 1000, 100, 0)
    own = await read_page(document(1), page_image(), replace(context, readers=context.readers[:1]))
    assert (own.markdown, own.input_tokens) == ("poor", None)


async def test_each_reader_has_the_cost_of_its_own_requests() -> None:
    """Also one that was asked and passed by, whose cost stands in the row of another. Their sum is the run's cost."""
    totals = RunTotals()
    _, context = small_and_large(LOOP, GOOD)
    row = await read_page(document(1), page_image(), replace(context, record_spending=totals.add_spending))
    totals.add_page(row)
    small, large = totals.readers["small"], totals.readers["large"]
    assert (small.pages, large.pages) == (0, 1)
    assert small.cost_usd is not None
    assert large.cost_usd == pytest.approx((1000 * 1 + 100 * 10) / 1e6)
    assert small.cost_usd + large.cost_usd == pytest.approx(totals.cost_usd) == pytest.approx(row.cost_usd)
    assert use_line(totals.readers).startswith("1 page by")


async def test_what_a_lost_answer_leaves_known_is_its_readers() -> None:
    """The cost of such a row is null, and that of the requests before is told beside it."""
    totals, spent = RunTotals(), PageUsage(NOON)
    spent.add(GOOD, 1.0, 0.002, 0.01, reader="small")
    spent.add(None, 1.0, None, 0.01, reader="large")
    row = replace(await Scene().read(), engine="large", cost_usd=None, input_tokens=None)
    totals.add_spending(spent.missing_in(row))
    totals.add_page(row)
    assert totals.readers["small"].cost_usd == 0.002 == totals.cost_usd
    assert totals.readers["large"].cost_usd == 0.0
    assert spent.since_passed.readers == {"small": 0.002}


async def test_a_stop_after_such_an_answer_tells_its_cost_once() -> None:
    """The journal has it already; only what came after it is recorded beside the rows."""
    untold: list[Spending] = []
    _, context = small_and_large(LOOP, Answer(failure=NO_CREDIT))
    with pytest.raises(StoppedError):
        await read_page(document(1), page_image(), replace(context, record_spending=untold.append))
    assert [(spending.requests, spending.known_usd) for spending in untold] == [(1, 0.0)]

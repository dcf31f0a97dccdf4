"""Pages read from gateways and servers of one's own, over HTTP: what they say in words of their own is understood."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode, PageRequest, PageStatus
from one_ocr_ray.policy.cost.image_tokens import openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.events import FailureReported
from one_ocr_ray.reading.page.loop import ReadContext, read_page
from one_ocr_ray.reading.route.reader import Reader as PageReader
from tests.manual_clock import ManualClock
from tests.provider import DEFAULT_KEY, Provider, Rule
from tests.unit.wire_samples_reader import llm_engine, page_image
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageImage, PageResult
    from one_ocr_ray.reading.page.events import ReadingEvent

SCHEMA = '{"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}'


class Reader:
    """A reader of pages from the fake provider, on a clock that waits for nothing."""

    def __init__(self, provider: Provider, pages: Sequence[bytes], **options: Any) -> None:
        self.provider = provider
        self.clock = ManualClock()
        self.events: list[ReadingEvent] = []
        self._pages = pages
        self.engine = llm_engine("openai", key=DEFAULT_KEY, base_url=provider.openai_url, **options)

    def image(self, number: int) -> PageImage:
        return page_image(self._pages[number - 1], number)

    async def read(self, number: int = 1, request: PageRequest | None = None) -> PageResult:
        """What becomes of one page."""
        reader = PageReader(
            engine=self.engine,
            permits=NoLimit(),
            request=request or PageRequest(prompt="Read the page and answer with its text."),
            prompt_sha256=None,
            metering=ProviderMetering(openai_image_tokens, "m", image_detail="high", output_cap=8192),
            judge=judge,
        )
        context = ReadContext(
            (reader,),
            identity=RunIdentity("run-1", "config-1"),
            clock=self.clock,
            jitter=lambda: 0.5,
            observers=(self.events.append,),
        )
        return await read_page(document(1), self.image(number), context)

    @property
    def requests(self) -> int:
        """How many were sent so far."""
        return int(self.provider.summary()["requests"])


@pytest.fixture
def reader(provider: Provider, page_images: list[bytes]) -> Reader:
    return Reader(provider, page_images)


def code_of(row: PageResult) -> ErrorCode | None:
    return row.failure and row.failure.code


# --- a 403 about one page


@pytest.mark.parametrize("fault", ["openrouter_moderation", "openrouter_moderation_200"])
async def test_a_page_that_moderation_flags_costs_itself_alone(reader: Reader, fault: str) -> None:
    """OpenRouter says so in the body, so it is known of the first page already."""
    reader.provider.change(rules=[Rule(fault=fault, until=1)])
    assert code_of(await reader.read()) is ErrorCode.CONTENT_FILTERED
    assert (await reader.read(2)).status is PageStatus.OK
    assert reader.requests == 2


async def test_a_filter_on_the_way_costs_its_page_once_the_key_has_worked(reader: Reader) -> None:
    """A bare 403 means the key at the start, and the page when other pages were answered."""
    reader.provider.change(rules=[Rule(fault="firewall_403", page="* page 2")])
    with pytest.raises(StoppedError) as stopped:
        await reader.read(2)
    assert stopped.value.code is ErrorCode.AUTH
    assert (await reader.read(1)).status is PageStatus.OK
    row = await reader.read(2)
    assert code_of(row) is ErrorCode.CONTENT_FILTERED
    assert row.failure is not None
    assert (row.failure.http_status, row.failure.code.retryable) == (403, False)
    assert (await reader.read(3)).status is PageStatus.OK


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("litellm_budget_429", ErrorCode.BILLING, "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0"),
        ("litellm_key_budget", ErrorCode.BILLING, "ExceededTokenBudget"),
        ("openrouter_free_day", ErrorCode.QUOTA_DAY, "Rate limit exceeded: free-models-per-day."),
    ],
)
async def test_a_refusal_for_good_is_a_stop(reader: Reader, fault: str, code: ErrorCode, reason: str) -> None:
    """Of a key that has worked, after a second look. Its own sentence is for the console alone."""
    assert (await reader.read(1)).status is PageStatus.OK
    reader.provider.change(rules=[Rule(fault=fault)])
    with pytest.raises(StoppedError) as stopped:
        await reader.read(2)
    assert (stopped.value.code, stopped.value.exit_code) == (code, 4)
    assert reader.requests <= 4
    said = [event.answer.provider_message or "" for event in reader.events if isinstance(event, FailureReported)]
    assert reason in said[-1]
    assert reason not in str(stopped.value)


# --- the request


@pytest.mark.parametrize("fault", ["mistral_cap_field", "old_cap_field"])
async def test_a_server_that_knows_the_cap_by_another_name_is_asked_with_that(reader: Reader, fault: str) -> None:
    """Learned from its refusal, at the cost of one request; no page is lost by it."""
    reader.provider.change(rules=[Rule(fault=fault)])
    rows = await asyncio.gather(*(reader.read(number) for number in (1, 2, 3)))
    assert [row.status for row in rows] == [PageStatus.OK] * 3
    assert max(row.attempts for row in rows) == 2
    assert (await reader.read()).attempts == 1
    names = [[name for name in row.settings if name.startswith("max_")] for row in reader.provider.rows()]
    assert names[-1] == ["max_tokens"]
    assert reader.clock.slept == [0.0] * sum(row.attempts - 1 for row in rows)


async def test_a_name_that_was_set_is_kept(provider: Provider, page_images: list[bytes]) -> None:
    """Whoever sets it knows better; the refusal stands in the row."""
    reader = Reader(provider, page_images, output_cap_fields=("max_completion_tokens",))
    provider.change(rules=[Rule(fault="mistral_cap_field")])
    assert code_of(await reader.read()) is ErrorCode.PROVIDER_REJECTED
    assert reader.requests == 1


async def test_ollama_is_known_by_its_answer(reader: Reader) -> None:
    """On any port: it ignores the newer name without a word."""
    reader.provider.change(rules=[Rule(fault="ollama")])
    for _ in range(2):
        assert (await reader.read()).status is PageStatus.OK
    assert ["max_tokens" in row.settings for row in reader.provider.rows()] == [False, True]


async def test_a_model_that_does_not_think_is_named_with_what_to_do(reader: Reader) -> None:
    """Our hint stands in the row, the server's sentence goes to the console alone."""
    reader.provider.change(rules=[Rule(fault="ollama_no_thinking")])
    row = await reader.read()
    assert row.failure is not None
    assert (row.failure.code, row.status) == (ErrorCode.PROVIDER_REJECTED, PageStatus.FAILED)
    assert "--reasoning off" in row.failure.message
    assert "llava" not in row.failure.message
    reported = [event.answer.provider_message for event in reader.events if isinstance(event, FailureReported)]
    assert reported == ['"llava:7b" does not support thinking']
    assert (await reader.read(request=PageRequest(reasoning=None))).status is PageStatus.OK


@pytest.mark.parametrize("fault", ["vllm_too_long", "llamacpp_too_long"])
async def test_a_page_beyond_the_context_is_sent_smaller(reader: Reader, fault: str) -> None:
    """As a page that OpenAI's code calls too long."""
    reader.provider.change(rules=[Rule(fault=fault, times_per_page=1, until=1)])
    row = await reader.read()
    assert (row.status, row.attempts) == (PageStatus.OK, 2)
    assert row.image_width == round(0.7 * reader.image(1).width_px)
    reader.provider.change(rules=[Rule(fault=fault)])
    assert code_of(await reader.read(2)) is ErrorCode.CONTEXT_TOO_LONG


async def test_a_retry_after_in_unix_time_is_waited_for(reader: Reader) -> None:
    """It is no wait of fifty years, which would be a day's quota."""
    reader.provider.change(rules=[Rule(fault="retry_after_unix_time", until=1, seconds=5.0)])
    assert (await reader.read()).status is PageStatus.OK
    (wait_s,) = reader.clock.slept
    assert 3.0 <= wait_s <= 7.0


# --- the answer


@pytest.mark.parametrize("fault", ["finish_no_resources", "finish_network_error", "finish_unknown"])
async def test_an_answer_that_broke_off_is_asked_for_again(reader: Reader, fault: str) -> None:
    """Half a page is no page, whatever name the reason has."""
    reader.provider.change(rules=[Rule(fault=fault, until=1)])
    row = await reader.read()
    assert (row.status, row.attempts, row.truncated) == (PageStatus.OK, 2, False)


@pytest.mark.parametrize("fault", ["finish_max_tokens", "finish_model_length"])
async def test_a_cap_by_another_name_is_a_cap(reader: Reader, fault: str) -> None:
    """Once more with a higher one, then marked."""
    reader.provider.change(rules=[Rule(fault=fault)])
    row = await reader.read()
    assert (row.status, row.attempts, row.truncated) == (PageStatus.OK, 2, True)
    caps = [row.settings["max_completion_tokens"] for row in reader.provider.rows()]
    assert caps == [8192, 16384]


async def test_zhipus_filter_is_a_filter(reader: Reader) -> None:
    """It has a name of its own."""
    reader.provider.change(rules=[Rule(fault="finish_sensitive")])
    row = await reader.read()
    assert (code_of(row), row.attempts) == (ErrorCode.CONTENT_FILTERED, 1)


@pytest.mark.parametrize("fault", ["thinking", "thinking_end_only", "box_tokens", "lone_surrogate", "not_a_number"])
@pytest.mark.parametrize("schema", [False, True])
async def test_what_servers_leave_in_an_answer_is_no_text(reader: Reader, fault: str, schema: bool) -> None:
    """Thoughts, tokens of a template and halves of characters go; the page, or its JSON, stays, for one request."""
    request = PageRequest(prompt="Read.", json_schema=SCHEMA if schema else None)
    clean = await reader.read(request=request)
    reader.provider.change(rules=[Rule(fault=fault)])
    row = await reader.read(request=request)
    assert (row.status, row.attempts) == (PageStatus.OK, 1)
    assert (row.markdown, row.data and json.loads(row.data)) == (clean.markdown, clean.data and json.loads(clean.data))

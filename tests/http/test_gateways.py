"""Pages read from gateways and servers of one's own, over HTTP: what they say in words of their own is understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from one_ocr_ray.engines.openai import OpenAIEngine, OpenAIOptions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.flow import Reading, read_page
from one_ocr_ray.model import Ask, ErrorCode, PageStatus
from one_ocr_ray.policy.documents import RunIdentity
from one_ocr_ray.policy.metering import ProviderMetering
from one_ocr_ray.policy.quality import judge
from one_ocr_ray.ratelimiter import FreePermits
from tests.manual_clock import ManualClock
from tests.provider import DEFAULT_KEY, Provider, Rule
from tests.unit.wire_help import page_image
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageImage, PageResult


class Reader:
    """A reader of pages from the fake provider, on a clock that waits for nothing."""

    def __init__(self, provider: Provider, pages: Sequence[bytes], **options: Any) -> None:
        self.provider = provider
        self.clock = ManualClock()
        self._pages = pages
        key = SecretStr(DEFAULT_KEY)
        self.engine = OpenAIEngine(OpenAIOptions(model="m", api_key=key, base_url=provider.openai_url, **options))

    def image(self, number: int) -> PageImage:
        return page_image(self._pages[number - 1], number)

    async def read(self, number: int = 1, ask: Ask | None = None) -> PageResult:
        """What becomes of one page."""
        reading = Reading(
            engine=self.engine,
            permits=FreePermits(),
            ask=ask or Ask(prompt="Read the page and answer with its text."),
            identity=RunIdentity("run-1", "config-1"),
            prompt_sha256=None,
            metering=ProviderMetering("openai", "m", look="high", output_cap=8192),
            judge=judge,
            clock=self.clock,
            jitter=lambda: 0.5,
        )
        return await read_page(document(1), self.image(number), reading)

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

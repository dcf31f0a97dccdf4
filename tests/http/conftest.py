"""What tests over HTTP share: one provider in a thread, as new for each test, and page images to send."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
import pypdfium2
import pytest
import pytest_asyncio

from tests.http.raw import RawClient
from tests.provider import Provider, identity_pdf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    """The provider of the whole session; tests take `provider`."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """A provider with the default scenario and an empty ledger; `provider.change(...)` sets what a test needs."""
    running_provider.reset()
    return running_provider


@pytest_asyncio.fixture
async def raw_client(provider: Provider) -> AsyncIterator[RawClient]:
    """A client of `provider` that opens as many connections as it is asked for."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield RawClient(session, provider)


@pytest.fixture(scope="session")
def page_images() -> list[bytes]:
    """Page images 1 to 3 of document 7, as the product would send them."""
    document = pypdfium2.PdfDocument(identity_pdf(7, 3))
    jpegs = []
    for page in document:
        buffer = io.BytesIO()
        page.render(scale=1600 / max(page.get_size())).to_pil().convert("RGB").save(buffer, "JPEG", quality=85)
        jpegs.append(buffer.getvalue())
        page.close()
    document.close()
    return jpegs

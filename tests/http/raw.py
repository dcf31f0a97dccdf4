"""A bare client of the test provider: what is on the wire, without retries, without parsing, without the product."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.provider import DEFAULT_KEY
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    import aiohttp

    from tests.provider import Row
    from tests.provider.control import Control

OPENAI, AZURE, GEMINI = "openai", "azure", "gemini"


@dataclass(frozen=True)
class Seen:
    """What a raw client saw of one reply."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class RawClient:
    """One session of aiohttp against one provider."""

    def __init__(self, session: aiohttp.ClientSession, provider: Control) -> None:
        self._session = session
        self._provider = provider

    async def ask(self, image: bytes | None = None, dialect: str = OPENAI, **settings: Any) -> Seen:
        """Send one page image, the key in the dialect's own header."""
        key = settings.pop("key", DEFAULT_KEY)
        model = settings.pop("model", "some-model")
        text = base64.b64encode(image).decode() if image else ""
        if dialect == GEMINI:
            parts = [{"inlineData": {"mimeType": "image/jpeg", "data": text}}] if image else [{"text": "hello"}]
            url = f"{self._provider.gemini_url}/v1beta/models/{model}:generateContent"
            return await self.post(url, {"contents": [{"parts": parts}], **settings}, {"x-goog-api-key": key})
        part = (
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}} if image else {"type": "text"}
        )
        body = {"model": model, "messages": [{"role": "user", "content": [part]}], **settings}
        if dialect == AZURE:
            url = f"{self._provider.azure_url(model)}/chat/completions?api-version=2024-10-21"
            return await self.post(url, body, {"api-key": key})
        return await self.post(
            f"{self._provider.openai_url}/chat/completions", body, {"Authorization": f"Bearer {key}"}
        )

    async def post(self, url: str, body: Any, headers: dict[str, str]) -> Seen:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self._session.post(url, data=data, headers={k: v for k, v in headers.items() if v}) as response:
            return Seen(response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()})

    async def get(self, path: str, headers: dict[str, str]) -> Seen:
        async with self._session.get(f"{self._provider.url}{path}", headers=headers) as response:
            return Seen(response.status, await response.read(), dict(response.headers))


def text_of(seen: Seen) -> str:
    """The answer's text in either dialect."""
    if "choices" in seen.json:
        return str(seen.json["choices"][0]["message"]["content"])
    return "".join(part["text"] for part in seen.json["candidates"][0]["content"]["parts"])


async def rows_when(provider: Control, count: int) -> list[Row]:
    """The ledger's rows once there are `count`: a client may know of an end before the provider does."""
    async with asyncio.timeout(PATIENCE_S):
        while len(rows := provider.rows()) < count:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)
    return rows

"""Our requests beside those of the official packages, recorded by the same server, compared in meaning."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from aiohttp import web

from one_ocr_ray.model import PageRequest
from tests.http.local_servers import http_server
from tests.unit.wire_samples_reader import llm_engine, page_image

openai = pytest.importorskip("openai")
genai = pytest.importorskip("google.genai")

KEY = "sk-canary-0123456789abcdef"
IMAGE = page_image(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 50)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPENAI_REPLY = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "text"}, "finish_reason": "stop"}],
}
GEMINI_REPLY = {"candidates": [{"content": {"role": "model", "parts": [{"text": "text"}]}, "finishReason": "STOP"}]}


class Recorder:
    """Answers every request alike and keeps what was asked: method, path, query, headers with a key, and the body."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        self._reply = reply

    async def handle(self, request: web.Request) -> web.Response:
        """Keep one request."""
        keys = {name: request.headers.get(name) for name in ("Authorization", "api-key", "x-goog-api-key")}
        self.asked.append(
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "keys": keys,
                "type": request.content_type,
                "body": json.loads(await request.read()),
            }
        )
        return web.json_response(self._reply)


def messages() -> list[Any]:
    """The conversation for one page as a user of the package writes it."""
    url = f"data:image/jpeg;base64,{base64.b64encode(IMAGE.data).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}
    return [{"role": "user", "content": [{"type": "text", "text": "Read."}, picture]}]


OPENAI_CASES: list[tuple[PageRequest, dict[str, Any], dict[str, Any]]] = [
    (PageRequest(prompt="Read."), {}, {}),
    (
        PageRequest(prompt="Read.", temperature=0.6, output_tokens_cap=99),
        {},
        {"temperature": 0.6, "max_completion_tokens": 99},
    ),
    (PageRequest(prompt="Read."), {"service_tier": "flex"}, {"service_tier": "flex"}),
    (
        PageRequest(prompt="Read.", json_schema=json.dumps(SCHEMA), reasoning="high"),
        {},
        {
            "reasoning_effort": "high",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "page", "strict": True, "schema": SCHEMA},
            },
        },
    ),
]


@pytest.mark.parametrize(("page_request", "ours", "theirs"), OPENAI_CASES, ids=["plain", "warm", "flex", "schema"])
async def test_openai(page_request: PageRequest, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Chat completions, as `openai.AsyncOpenAI` sends them."""
    recorder = Recorder(OPENAI_REPLY)
    async with http_server(recorder.handle) as url:
        engine = llm_engine("openai", key=KEY, base_url=f"{url}/v1", **ours)
        answer = await engine.analyze_image_async(IMAGE, page_request)
        await engine.close()
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
            fields = {"max_completion_tokens": 8192, "reasoning_effort": "low", **theirs}
            await client.chat.completions.create(model="m", messages=messages(), **fields)
    assert answer.text == "text"
    assert recorder.asked[0] == recorder.asked[1]


async def test_azure_classic() -> None:
    """The deployment in the path, the version in the query, the key in `api-key`, as `openai.AsyncAzureOpenAI` does."""
    recorder = Recorder(OPENAI_REPLY)
    async with http_server(recorder.handle) as url:
        engine = llm_engine("openai", model="d", key=KEY, base_url=f"{url}?api-version=2024-10-21")
        await engine.analyze_image_async(IMAGE, PageRequest(prompt="Read."))
        await engine.close()
        azure = openai.AsyncAzureOpenAI(api_key=KEY, azure_endpoint=url, api_version="2024-10-21", max_retries=0)
        async with azure as client:
            await client.chat.completions.create(
                model="d", messages=messages(), max_completion_tokens=8192, reasoning_effort="low"
            )
    assert recorder.asked[0] == recorder.asked[1]


GEMINI_CASES: list[tuple[str, PageRequest, dict[str, Any], dict[str, Any]]] = [
    ("gemini-3.8-flash", PageRequest(prompt="Read."), {}, {"thinking_config": {"thinking_level": "LOW"}}),
    (
        "gemini-2.5-flash",
        PageRequest(prompt="Read.", temperature=0.5, output_tokens_cap=99),
        {"image_detail": "low"},
        {
            "thinking_config": {"thinking_budget": 1024},
            "temperature": 0.5,
            "max_output_tokens": 99,
            "media_resolution": "MEDIA_RESOLUTION_LOW",
        },
    ),
    (
        "gemini-3.8-flash",
        PageRequest(prompt="Read.", reasoning=None, json_schema=json.dumps(SCHEMA)),
        {"service_tier": "flex"},
        {"service_tier": "flex", "response_mime_type": "application/json", "response_json_schema": SCHEMA},
    ),
]


@pytest.mark.parametrize(
    ("model", "page_request", "ours", "theirs"), GEMINI_CASES, ids=["plain", "2.5", "flex and schema"]
)
async def test_gemini(model: str, page_request: PageRequest, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """generateContent, as `google.genai.Client` sends it."""
    recorder = Recorder(GEMINI_REPLY)
    async with http_server(recorder.handle) as url:
        engine = llm_engine("gemini", model=model, key=KEY, base_url=url, **ours)
        answer = await engine.analyze_image_async(IMAGE, page_request)
        await engine.close()
        # Newer packages ask for v1 by themselves; our contract is v1beta, which has every field.
        client = genai.Client(api_key=KEY, http_options={"base_url": url, "api_version": "v1beta"})
        config = {"max_output_tokens": 8192, "media_resolution": "MEDIA_RESOLUTION_HIGH", **theirs}
        parts = [genai.types.Part.from_bytes(data=IMAGE.data, mime_type="image/jpeg"), "Read."]
        await client.aio.models.generate_content(model=model, contents=parts, config=config)
        await client.aio.aclose()
    assert answer.text == "text"
    ours_asked, theirs_asked = (as_proto3(asked) for asked in recorder.asked)
    assert ours_asked == theirs_asked


def as_proto3(value: Any) -> Any:
    """A request as Google's servers read it: proto3's JSON takes both spellings of a name and both base64 alphabets."""
    if isinstance(value, list):
        return [as_proto3(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    read: dict[str, Any] = {}
    for name, inner in value.items():
        camel = re.sub("_([a-z])", lambda match: match[1].upper(), name)
        if camel == "responseJsonSchema":
            read[camel] = inner
        elif camel == "data":
            read[camel] = base64.b64decode(inner.replace("-", "+").replace("_", "/"))
        else:
            read[camel] = as_proto3(inner)
    return read

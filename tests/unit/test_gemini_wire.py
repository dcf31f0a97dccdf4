"""Requests to Gemini, and every reply and error that is known of it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.engines.llm.gemini import build_body, build_request, parse_response
from one_ocr_ray.model import PageRequest
from tests.unit.wire_samples_reader import assert_as_expected, body_of, engine_options, page_image, samples

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions

KEY = "AIzaSyCANARY0123456789abcdefghij_klmno"


def options(**changes: Any) -> EngineOptions:
    """Options with a key that must not be seen anywhere."""
    return engine_options("gemini", **{"model": "gemini-3.8-flash", "key": KEY, **changes})


def sent(request: PageRequest | None = None, **changes: Any) -> dict[str, Any]:
    """The body that `request` becomes."""
    return json.loads(build_body(options(**changes), page_image(), request or PageRequest(prompt="Read.")))


@pytest.mark.parametrize("sample", samples("gemini"), ids=lambda sample: sample["name"])
def test_reply(sample: dict[str, Any]) -> None:
    """Every documented or observed reply becomes the answer that the policy asks for."""
    answer = parse_response(sample["status"], sample.get("headers", {}), body_of(sample))
    assert_as_expected(answer, sample["expect"])


@pytest.mark.parametrize("sample", samples("gemini"), ids=lambda sample: sample["name"])
def test_a_reply_cut_anywhere_is_still_an_answer(sample: dict[str, Any]) -> None:
    """Half a body never raises and never looks good."""
    body = body_of(sample)
    answer = parse_response(sample["status"], sample.get("headers", {}), body[: len(body) // 2])
    assert answer.failure is not None


def test_body_says_everything_explicitly() -> None:
    """Resolution, cap and thinking are never left to a default; the text stands behind the image."""
    body = sent(PageRequest(prompt="Read.", output_tokens_cap=4096, temperature=0.2))
    picture, text = body["contents"][0]["parts"]
    assert base64.b64decode(picture["inlineData"]["data"]) == page_image().data
    assert text == {"text": "Read."}
    assert body["generationConfig"] == {
        "maxOutputTokens": 4096,
        "mediaResolution": "MEDIA_RESOLUTION_HIGH",
        "temperature": 0.2,
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    assert "serviceTier" not in body


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking"),
    [
        ("gemini-3.8-flash", "low", {"thinkingLevel": "LOW"}),
        ("gemini-4-argon", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-3.5-flash-lite", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-lite-latest", "low", {"thinkingLevel": "LOW"}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("models/gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.0-flash", "low", None),
        ("gemma-4-27b-it", "low", None),
        ("gemini-3.8-flash", None, None),
    ],
)
def test_thinking(model: str, reasoning: str | None, thinking: dict[str, Any] | None) -> None:
    """2.5 takes a budget, later models a level, earlier ones nothing."""
    assert sent(PageRequest(reasoning=reasoning), model=model)["generationConfig"].get("thinkingConfig") == thinking


def test_flex_and_schema() -> None:
    """Half price is one field; a schema goes as JSON Schema."""
    body = sent(PageRequest(json_schema='{"type":"object"}'), service_tier="flex", image_detail="low")
    config = body["generationConfig"]
    assert body["serviceTier"] == "flex"
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", {"type": "object"})
    assert config["mediaResolution"] == "MEDIA_RESOLUTION_LOW"


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "models/gemini-3.8-flash"])
def test_address_and_key(model: str) -> None:
    """The key goes into its header, never into the address."""
    request = build_request(options(model=model, base_url="http://127.0.0.1:1/x/"), page_image(), PageRequest())
    assert request.url == "http://127.0.0.1:1/x/v1beta/models/gemini-3.8-flash:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    assert KEY not in repr(request) + repr(options())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "candidates", "content", "parts", "text", "finishReason", "details", "violations", "reason"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_parsing_never_raises(status: int, body: bytes) -> None:
    """Whatever a server sends becomes an answer."""
    answer = parse_response(status, {}, body)
    assert answer.failure is not None or status == 200


@given(
    status=st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503]),
    field=st.sampled_from(["message", "status", "code", "details"]),
    wrapped=st.booleans(),
)
def test_a_key_in_an_error_goes_no_further(status: int, field: str, wrapped: bool) -> None:
    """Providers quote the key in their errors; no part of an answer does."""
    error = {"error": {field: [{"reason": KEY, "violations": [{"quotaId": KEY}]}] if field == "details" else KEY}}
    assert KEY not in repr(parse_response(status, {}, json.dumps([error] if wrapped else error).encode()))

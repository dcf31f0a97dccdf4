"""Requests to OpenAI and its relatives, and every reply and error that is known of them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.engines.llm.hints import duration_s
from one_ocr_ray.engines.llm.openai import build_body, build_request, is_strict, parse_response
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageRequest
from tests.unit.wire_samples_reader import assert_as_expected, body_of, engine_options, llm_engine, page_image, samples

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions

KEY = "sk-canary-0123456789abcdef"


def options(**changes: Any) -> EngineOptions:
    """Options with a key that must not be seen anywhere."""
    return engine_options("openai", **{"model": "gpt-5.6-luna", "key": KEY, **changes})


def sent(request: PageRequest | None = None, **changes: Any) -> dict[str, Any]:
    """The body that `request` becomes."""
    return json.loads(build_body(options(**changes), page_image(), request or PageRequest(prompt="Read.")))


@pytest.mark.parametrize("sample", samples("openai"), ids=lambda sample: sample["name"])
def test_reply(sample: dict[str, Any]) -> None:
    """Every documented or observed reply becomes the answer that the policy asks for."""
    answer = parse_response(sample["status"], sample.get("headers", {}), body_of(sample))
    assert_as_expected(answer, sample["expect"])


@pytest.mark.parametrize("sample", samples("openai"), ids=lambda sample: sample["name"])
def test_a_reply_cut_anywhere_is_still_an_answer(sample: dict[str, Any]) -> None:
    """Half a body never raises and never looks good."""
    body = body_of(sample)
    answer = parse_response(sample["status"], sample.get("headers", {}), body[: len(body) // 2])
    assert answer.failure is not None


def test_body_says_everything_explicitly() -> None:
    """Detail, cap and reasoning are never left to a provider's default."""
    body = sent(PageRequest(prompt="Read.", output_tokens_cap=4096))
    text, picture = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "Read."}
    assert picture["image_url"]["detail"] == "high"
    assert base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,")) == page_image().data
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (4096, "low")
    assert set(body) == {"model", "messages", "max_completion_tokens", "reasoning_effort"}


def test_reasoning_none_leaves_the_field_out() -> None:
    """Servers that refuse the field can be asked without it."""
    assert "reasoning_effort" not in sent(PageRequest(reasoning=None))


def test_temperature_goes_where_it_is_taken() -> None:
    """OpenAI's models refuse a temperature beside reasoning; self-hosted servers take both."""
    warm = PageRequest(temperature=0.6)
    assert "temperature" not in sent(warm)
    assert sent(PageRequest(temperature=0.6, reasoning="none"))["temperature"] == 0.6
    assert sent(warm, base_url="http://127.0.0.1:8000/v1")["temperature"] == 0.6


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "max_completion_tokens"),
        ({"base_url": "http://127.0.0.1:8000/v1"}, "max_completion_tokens"),
        ({"base_url": "http://127.0.0.1:11434/v1"}, "max_tokens"),
        ({"output_cap_fields": ("max_tokens",)}, "max_tokens"),
    ],
)
def test_name_of_the_output_cap(changes: dict[str, Any], name: str) -> None:
    """Ollama knows only the old name, and without a cap it writes for ever."""
    body = sent(**changes)
    assert [field for field in body if field.startswith("max_")] == [name]


def test_flex_and_schema() -> None:
    """Half price is one field; a schema becomes response_format, strict where OpenAI takes it so."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    body = sent(PageRequest(json_schema=json.dumps(schema)), service_tier="flex")
    assert body["service_tier"] == "flex"
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "page", "strict": True, "schema": schema},
    }


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "array", "items": {}}, False),
        ({"type": "object", "anyOf": []}, False),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False, "allOf": []}, False),
        ({"type": "object", "$defs": {"x": {"type": "object", "properties": {"a": {}}, "required": ["a"]}}}, False),
        (True, False),
    ],
)
def test_strict_subset(schema: Any, strict: bool) -> None:
    """Strict mode is asked for only where it would not be refused."""
    assert is_strict(schema) is strict


AZURE = "https://name.openai.azure.com"


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "https://api.openai.com/v1/chat/completions"),
        ({"base_url": "http://127.0.0.1:8000/v1/"}, "http://127.0.0.1:8000/v1/chat/completions"),
        ({"base_url": f"{AZURE}/openai/v1/"}, f"{AZURE}/openai/v1/chat/completions"),
        (
            {"base_url": f"{AZURE}?api-version=2024-10-21", "model": "my gpt"},
            f"{AZURE}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        ),
        (
            {"base_url": f"{AZURE}/openai", "model": "d", "query": {"api-version": "2024-10-21"}},
            f"{AZURE}/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            {"base_url": f"{AZURE}/openai/deployments/d?api-version=2024-10-21"},
            f"{AZURE}/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            {"base_url": "https://gw.example/x/v1", "query": {"t": "a b"}},
            "https://gw.example/x/v1/chat/completions?t=a+b",
        ),
    ],
)
def test_address(changes: dict[str, Any], url: str) -> None:
    """One base URL reaches OpenAI, Azure's two APIs, self-hosted servers and gateways."""
    assert build_request(options(**changes), page_image(), PageRequest()).url == url


def test_where_the_key_goes() -> None:
    """Azure reads `api-key`; everybody else a bearer token; no key, no header; extra headers win."""
    key = {"Authorization": f"Bearer {KEY}"}
    assert key.items() <= dict(build_request(options(), page_image(), PageRequest()).headers).items()
    azure = build_request(options(base_url=f"{AZURE}/openai/v1"), page_image(), PageRequest()).headers
    assert azure["api-key"] == KEY
    assert "Authorization" not in azure
    assert "Authorization" not in build_request(options(key=None), page_image(), PageRequest()).headers
    own = options(headers={"Authorization": "Basic x"})
    assert build_request(own, page_image(), PageRequest()).headers["Authorization"] == "Basic x"


@pytest.mark.parametrize(
    "base_url", ["api.openai.com/v1", "ftp://x/v1", "http://", "http://u:p@x/v1", "http://x:99999/v1"]
)
def test_a_base_url_that_cannot_work_is_refused(base_url: str) -> None:
    """A slip in the address is told at once."""
    with pytest.raises(UsageError):
        llm_engine("openai", key=KEY, base_url=base_url)


def test_a_key_with_a_line_break_is_refused_without_being_shown() -> None:
    """The rest of a key file must not become a header."""
    with pytest.raises(UsageError) as refused:
        llm_engine("openai", key=f"{KEY}\n")
    assert KEY not in str(refused.value)


def test_secrets_stay_out_of_reprs() -> None:
    """Neither options nor requests show the key, the headers or the query."""
    secret = options(headers={"x-key": KEY}, query={"key": KEY})
    shown = repr(secret) + repr(build_request(secret, page_image(), PageRequest()))
    assert KEY not in shown
    assert base64.b64encode(page_image().data).decode() not in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "choices", "message", "content", "code", "type", "usage", "details", "object", "refusal"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
names = st.sampled_from(
    ["retry-after", "retry-after-ms", "date", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"]
)


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(names, st.text(max_size=30), max_size=3),
    body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_parsing_never_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever a server sends becomes an answer."""
    answer = parse_response(status, headers, body)
    assert answer.failure is not None or status == 200


@given(
    status=st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503]),
    field=st.sampled_from(["message", "type", "param", "code", "status"]),
    shape=st.sampled_from(["object", "flat", "list", "string", "inner"]),
)
def test_a_key_in_an_error_goes_no_further(status: int, field: str, shape: str) -> None:
    """Providers quote the key in their errors; no part of an answer does."""
    error = {field: KEY, "object": "error"}
    body = {"object": {"error": error}, "flat": error, "list": [{"error": error}], "string": {"error": KEY}}.get(
        shape, {"error": {"innererror": {"code": KEY}, "code": "x"}}
    )
    assert KEY not in repr(parse_response(status, {}, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20s", 20.0),
        ("1.146s", 1.146),
        ("84ms", 0.084),
        ("6m0s", 360.0),
        ("1h12m28.8s", 4348.8),
        ("37", 37.0),
        ("2d", 172800.0),
    ]
    + [(text, None) for text in ("", "-1", "soon", "1e9", "nan", "12 parsecs", "s")],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Every way in which the providers write a time."""
    assert duration_s(text) == pytest.approx(seconds)

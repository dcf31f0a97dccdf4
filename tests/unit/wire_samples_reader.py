"""What the tests of the wire formats share: a page image, the recorded samples, and the comparison with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.llm.engine import LlmEngine
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.model import Answer, PageImage

HERE = Path(__file__).parent / "wire_samples"


def page_image(data: bytes = b"\xff\xd8\xff\xe0jpeg", number: int = 1) -> PageImage:
    """An image that no model will ever see."""
    return PageImage(
        page_number=number, width_px=1240, height_px=1754, data=data, sha256="0" * 64, ink_cells=900, render_ms=12
    )


def engine_options(
    name: str, *, model: str = "m", key: str | None, base_url: str | None = None, **changes: Any
) -> EngineOptions:
    """Options for one provider; headers and query are given as plain text."""
    secrets = {each: SecretStr(value) for each, value in changes.pop("headers", {}).items()}
    query = {each: SecretStr(value) for each, value in changes.pop("query", {}).items()}
    return EngineOptions(
        name=name,
        model=model,
        api_key=SecretStr(key) if key is not None else None,
        base_url=base_url or DEFAULT_BASE_URLS[name],
        headers=secrets,
        query=query,
        **changes,
    )


def llm_engine(name: str, **options: Any) -> LlmEngine:
    """An engine with these options."""
    return LlmEngine(engine_options(name, **options), CODECS[name])


def samples(provider: str) -> list[dict[str, Any]]:
    """Replies of `provider` as they were seen or documented, each with what must come of it."""
    return json.loads((HERE / f"{provider}.json").read_text(encoding="utf-8"))


def body_of(sample: dict[str, Any]) -> bytes:
    """The body of a sample: text as it stands, anything else as JSON."""
    body = sample["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def assert_as_expected(answer: Answer, expected: dict[str, Any]) -> None:
    """Compare only what the sample speaks of; it always says whether there is a failure."""
    failure = answer.failure
    seen = {
        "code": failure.code.value if failure else None,
        "action": failure.action.value if failure else None,
        "retry_after_s": failure.retry_after_s if failure else None,
        "slow_down": failure.slow_down if failure else None,
        "http_status": failure.http_status if failure else None,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "truncated": answer.truncated,
        "model_version": answer.model_version,
        "provider_request_id": answer.provider_request_id,
        "usage": [answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cached_tokens],
        "limits": limits_of(answer),
    }
    says = expected.get("says")
    assert says is None or (failure is not None and says in failure.message)
    assert {name: seen[name] for name in expected if name != "says"} == {
        name: value for name, value in expected.items() if name != "says"
    }


def limits_of(answer: Answer) -> list[float | None] | None:
    """The limits of an answer in the order of the samples: limits, what remains, resets; requests before tokens."""
    limits = answer.limits
    return limits and [
        limits.requests_per_minute,
        limits.tokens_per_minute,
        limits.remaining_requests,
        limits.remaining_tokens,
        limits.reset_requests_s,
        limits.reset_tokens_s,
    ]

"""The codec `gemini`: generateContent of the Gemini API.

Pure functions, as `Codec` lists them; what errors mean stands in gemini_faults.py. Source: ai.google.dev API reference.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import pybase64

from one_ocr_ray.engines.llm import wire
from one_ocr_ray.engines.llm.gemini_faults import parse_error as parse_error  # noqa: PLC0414 - of the codec
from one_ocr_ray.model import Action, Answer, ErrorCode, TokenUsage
from one_ocr_ray.policy.cost.image_tokens import gemini_image_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import PageImage, PageRequest

image_tokens = gemini_image_tokens
LIMIT_COUNTS_OUTPUT = False  # https://ai.google.dev/gemini-api/docs/rate-limits

# --- request ---------------------------------------------------------------------------------------------------------


def build_request(options: EngineOptions, image: PageImage, page_request: PageRequest) -> wire.HttpRequest:
    """The request for one page."""
    url = _url(options, f"{model_route(options)}:generateContent")
    return wire.HttpRequest(url, _headers(options), build_body(options, image, page_request))


def build_body(options: EngineOptions, image: PageImage, page_request: PageRequest) -> bytes:
    """The JSON body for one page; also a batch file's `request`. The API's guide puts the text after the image."""
    config: dict[str, Any] = {
        "maxOutputTokens": page_request.output_tokens_cap,
        "mediaResolution": f"MEDIA_RESOLUTION_{options.image_detail.upper()}",
    }
    if page_request.temperature is not None:
        config["temperature"] = page_request.temperature
    if page_request.reasoning is not None and (thinking := _thinking(options.model, page_request.reasoning)):
        config["thinkingConfig"] = thinking
    if page_request.json_schema is not None:
        schema = orjson.loads(page_request.json_schema)
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    picture = {"mimeType": "image/jpeg", "data": pybase64.b64encode_as_string(image.data)}
    body: dict[str, Any] = {
        "contents": [{"role": "user", "parts": [{"inlineData": picture}, {"text": page_request.prompt}]}],
        "generationConfig": config,
    }
    if options.service_tier is not None:
        body["serviceTier"] = options.service_tier
    return orjson.dumps(body)


_BUDGETS = {"none": 0, "minimal": 0, "low": 1024, "medium": 8192, "high": 24576}  # tokens
_PRO_LEAST_BUDGET = 128  # Gemini 2.5 Pro cannot stop thinking


def _thinking(model: str, reasoning: str) -> dict[str, Any] | None:
    """The `thinkingConfig`: a budget for Gemini 2.5, a level for later ones, else none.

    Both together are a 400.
    """
    version = re.search(r"gemini-(?:([0-9]{1,2})(?:\.([0-9]{1,2}))?|[a-z-]+-latest$)", model)
    if version is None:
        return None
    generation = (int(version[1]), int(version[2] or 0)) if version[1] else (3, 0)
    if generation >= (3, 0):
        return {"thinkingLevel": "MINIMAL" if reasoning == "none" else reasoning.upper()}
    if generation < (2, 5):
        return None
    budget = _BUDGETS.get(reasoning, _BUDGETS["high"])
    return {"thinkingBudget": max(budget, _PRO_LEAST_BUDGET) if "pro" in model else budget}


def model_request(options: EngineOptions) -> wire.HttpRequest:
    """A GET that asks whether the server knows the model."""
    return wire.HttpRequest(_url(options, model_route(options)), _headers(options))


def models_request(options: EngineOptions) -> wire.HttpRequest:
    """A GET for the server's list of models."""
    return wire.HttpRequest(_url(options, "/models"), _headers(options))


def _headers(options: EngineOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if options.api_key is not None:
        headers["x-goog-api-key"] = options.api_key.get_secret_value()
    return headers | wire.revealed(options.headers)


def model_route(options: EngineOptions) -> str:
    """The route of the model."""
    return f"/models/{quote(options.model.removeprefix('models/'), safe='')}"


def _url(options: EngineOptions, route: str, query: Mapping[str, str] | None = None, *, place: str = "") -> str:
    base, parameters = urlsplit(options.base_url), wire.revealed(options.query) | dict(query or {})
    suffix = f"?{urlencode(parameters)}" if parameters else ""
    return f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}{place}/v1beta{route}{suffix}"


def account_request(
    options: EngineOptions,
    route: str,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    method: str | None = None,
    *,
    place: str = "",
) -> wire.HttpRequest:
    """A request about files or batches; `place` is `/upload` or `/download`, or nothing."""
    return wire.HttpRequest(_url(options, route, query, place=place), _headers(options), body, method)


# --- reply -----------------------------------------------------------------------------------------------------------

_RECITED = wire.Fault(
    ErrorCode.RECITATION, Action.RETRY_CHANGED, "The provider stops at text that it takes for a quotation"
)
_UNKNOWN_FINISH = wire.Fault(ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY, "The model stopped without an answer")
_BY_FINISH = {
    "SAFETY": wire.FILTERED,
    "PROHIBITED_CONTENT": wire.FILTERED,
    "BLOCKLIST": wire.FILTERED,
    "SPII": wire.FILTERED,
    "IMAGE_SAFETY": wire.FILTERED,
    "IMAGE_PROHIBITED_CONTENT": wire.FILTERED,
    "RECITATION": _RECITED,
    "IMAGE_RECITATION": _RECITED,
    "STOP": None,
    "MAX_TOKENS": None,
    None: None,
}


def parse_response(status: int, headers: Mapping[str, str], body: bytes, *, key_works: bool = False) -> Answer:
    """The answer in one reply. Never raises; what is not a good answer has `failure` set.

    key_works: an earlier answer has proved the key.
    """
    headers = wire.lower_names(headers)
    payload = wire.read_json(body)
    if status != 200 or wire.read_error(payload) is not None:
        return Answer(failure=parse_error(status, headers, payload, key_works=key_works))
    if not isinstance(payload, dict):
        return Answer(failure=wire.BAD_REPLY.failure(status))
    partial = Answer(
        usage=_usage(payload.get("usageMetadata")),
        model_version=wire.short_name(payload.get("modelVersion")),
        provider_request_id=wire.short_name(payload.get("responseId")),
    )
    candidates = payload.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    if isinstance(candidate, dict):
        finish = candidate.get("finishReason")
        finish = finish if isinstance(finish, str | None) else "other"
        # Every release adds reasons. An unknown one means that there is no answer.
        fault = _BY_FINISH.get(finish, _UNKNOWN_FINISH)
        return replace(
            partial,
            text=_text(candidate.get("content")),
            finish_reason=wire.finish_reason_name(finish),
            truncated=finish == "MAX_TOKENS",
            failure=fault.failure(200) if fault else None,
        )
    feedback = payload.get("promptFeedback")
    blocked = isinstance(feedback, dict) and feedback.get("blockReason")
    return replace(partial, failure=(wire.FILTERED if blocked else wire.BAD_REPLY).failure(status))


def _text(content: Any) -> str:
    """All parts of the answer joined, without the model's thoughts."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return ""
    texts = (part.get("text") for part in parts if isinstance(part, dict) and part.get("thought") is not True)
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: Any) -> TokenUsage:
    """The tokens; thoughts count as output, as they are billed.

    Gemini omits zeros: for a blocked page the total equals the input.
    """
    if not isinstance(usage, dict):
        return TokenUsage()
    outputs = [wire.token_count(usage.get(name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
    known = [tokens for tokens in outputs if tokens is not None]
    inputs, total = wire.token_count(usage.get("promptTokenCount")), wire.token_count(usage.get("totalTokenCount"))
    if not known and inputs is not None and total is not None:
        known = [max(0, total - inputs)]
    return TokenUsage(
        input_tokens=inputs,
        output_tokens=sum(known) if known else None,
        cached_tokens=wire.token_count(usage.get("cachedContentTokenCount")),
    )


def lacks_model(options: EngineOptions, models: Any) -> bool:
    """True if this JSON is a list of models. The address is right then, and the model was wrong."""
    return isinstance(models, dict) and isinstance(models.get("models"), list)


def adapt(sent: EngineOptions, status: int, body: bytes) -> EngineOptions:
    """The options for later requests: always the same."""
    return sent

"""The engine `gemini`: generateContent of the Gemini API.

`build_request` and `parse_response` are pure, so a batch file can be written and read with them too; `GeminiEngine`
only sends. What errors mean stands in gemini_faults.py. Source: ai.google.dev API reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import pybase64

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.engines.llm import wire
from one_ocr_ray.engines.llm.gemini_faults import fault
from one_ocr_ray.engines.llm.http import CHECK_TIMEOUT_S, UNREACHABLE, HttpReply, HttpSender
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageImage, PageRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiOptions:
    """One model at one endpoint. Everything that can hold a secret is kept out of the repr.

    base_url: without `/v1beta`.
    media_resolution: tokens spent on the image: low, medium or high.
    service_tier: `flex` is half the price; None leaves it to the account.
    """

    model: str
    api_key: SecretStr | None = None
    base_url: str = field(default=DEFAULT_BASE_URLS["gemini"], repr=False)
    media_resolution: str = "high"
    service_tier: str | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        """Raise UsageError for an address or a key that no request could be made with."""
        wire.check_endpoint(self.base_url, self.api_key)


# --- request ---------------------------------------------------------------------------------------------------------


def build_request(options: GeminiOptions, image: PageImage, ask: PageRequest) -> wire.HttpRequest:
    """The request for one page."""
    url = _url(options, f"/models/{_model_path(options)}:generateContent")
    return wire.HttpRequest(url, _headers(options), build_body(options, image, ask))


def build_body(options: GeminiOptions, image: PageImage, ask: PageRequest) -> bytes:
    """The JSON body for one page; also a batch file's `request`. The API's guide wants the text behind the image."""
    picture = {"mimeType": "image/jpeg", "data": pybase64.b64encode_as_string(image.data)}
    body: dict[str, Any] = {
        "contents": [{"role": "user", "parts": [{"inlineData": picture}, {"text": ask.prompt}]}],
        "generationConfig": _generation(options, ask),
    }
    if options.service_tier is not None:
        body["serviceTier"] = options.service_tier
    return orjson.dumps(body)


def _generation(options: GeminiOptions, ask: PageRequest) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxOutputTokens": ask.output_tokens_cap,
        "mediaResolution": f"MEDIA_RESOLUTION_{options.media_resolution.upper()}",
    }
    if ask.temperature is not None:
        config["temperature"] = ask.temperature
    if ask.reasoning is not None and (thinking := _thinking(options.model, ask.reasoning)):
        config["thinkingConfig"] = thinking
    if ask.json_schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": orjson.loads(ask.json_schema)}
    return config


_BUDGETS = {"none": 0, "minimal": 0, "low": 1024, "medium": 8192, "high": 24576}  # tokens
_PRO_LEAST_BUDGET = 128  # Gemini 2.5 Pro cannot stop thinking


def _thinking(model: str, reasoning: str) -> dict[str, Any] | None:
    """Gemini 2.5 takes a budget, later ones a level (both together are a 400), earlier ones and Gemma neither."""
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


def _headers(options: GeminiOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if options.api_key is not None:
        headers["x-goog-api-key"] = options.api_key.get_secret_value()
    return headers | dict(options.extra_headers)


def _model_path(options: GeminiOptions) -> str:
    return quote(options.model.removeprefix("models/"), safe="")


def _url(options: GeminiOptions, route: str) -> str:
    base = urlsplit(options.base_url)
    query = f"?{urlencode(options.extra_query)}" if options.extra_query else ""
    return f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}/v1beta{route}{query}"


# --- reply -----------------------------------------------------------------------------------------------------------

_RECITED = wire.Verdict(ErrorCode.RECITATION, Action.ALTER, "The provider stops at text that it takes for a quotation")
_ODD = wire.Verdict(ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY, "The model stopped without an answer")
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

    key_works: an earlier reply was an answer.
    """
    headers = wire.lowered(headers)
    payload = wire.read_json(body)
    if status != 200 or wire.read_error(payload) is not None:
        return Answer(failure=fault(status, headers, payload, key_works=key_works))
    if not isinstance(payload, dict):
        return Answer(failure=wire.BAD_REPLY.failure(status))
    blank = Answer(
        usage=_usage(payload.get("usageMetadata")),
        model_version=wire.label(payload.get("modelVersion")),
        provider_request_id=wire.label(payload.get("responseId")),
    )
    candidates = payload.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    if isinstance(candidate, dict):
        return _judged(blank, candidate)
    feedback = payload.get("promptFeedback")
    blocked = isinstance(feedback, dict) and feedback.get("blockReason")
    return replace(blank, failure=(wire.FILTERED if blocked else wire.BAD_REPLY).failure(status))


def _judged(blank: Answer, candidate: dict[str, Any]) -> Answer:
    finish = candidate.get("finishReason")
    finish = finish if isinstance(finish, str | None) else "other"
    # Reasons are added with every release; one that is not known is no answer either.
    verdict = _BY_FINISH.get(finish, _ODD)
    return replace(
        blank,
        text=_text(candidate.get("content")),
        finish_reason=wire.reason(finish),
        truncated=finish == "MAX_TOKENS",
        failure=verdict.failure(200) if verdict else None,
    )


def _text(content: Any) -> str:
    """All parts of the answer one behind the other, without the model's thoughts."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return ""
    texts = (part.get("text") for part in parts if isinstance(part, dict) and part.get("thought") is not True)
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: Any) -> Usage:
    """Thoughts are billed as output. Zeros are left out: of a page that was blocked, the total is the input."""
    if not isinstance(usage, dict):
        return Usage()
    outputs = [wire.count(usage.get(name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
    known = [tokens for tokens in outputs if tokens is not None]
    inputs, total = wire.count(usage.get("promptTokenCount")), wire.count(usage.get("totalTokenCount"))
    if not known and inputs is not None and total is not None:
        known = [max(0, total - inputs)]
    return Usage(
        input_tokens=inputs,
        output_tokens=sum(known) if known else None,
        cached_tokens=wire.count(usage.get("cachedContentTokenCount")),
    )


# --- engine ----------------------------------------------------------------------------------------------------------


class GeminiEngine:
    """Reads page images with one Gemini model."""

    name = "gemini"

    def __init__(self, options: GeminiOptions) -> None:
        self._options = options
        self._http = HttpSender(timeout_s=options.timeout_s)
        self._key_works = False

    @property
    def model(self) -> str:
        """The model's name as it was asked for."""
        return self._options.model

    async def analyze_image_async(self, image: PageImage, ask: PageRequest) -> Answer:
        """Send one request for `image`; a failed one is an `Answer` with `failure` set."""
        reply = await self._http.send(build_request(self._options, image, ask))
        if isinstance(reply, Failure):
            return Answer(failure=reply)
        answer = parse_response(reply.status, reply.headers, reply.body, key_works=self._key_works)
        self._key_works = self._key_works or wire.is_from_model(answer)
        return wire.with_sentence(answer, reply.body, self._options, ask)

    async def check(self) -> Failure | None:
        """What is certainly wrong with the address, the key or the model, found without asking the model anything.

        A gateway may lack the route, so only a plain refusal counts; None means that nothing speaks against a start.
        """
        reply = await self._get(f"/models/{_model_path(self._options)}")
        if isinstance(reply, Failure):
            return reply if reply in UNREACHABLE else None
        if reply.status == 200:
            return None
        failure = fault(reply.status, reply.headers, wire.read_json(reply.body))
        if failure.code is ErrorCode.MODEL_NOT_FOUND:
            return failure if await self._lists_models() else None
        return failure if failure.action is Action.STOP else None

    async def _lists_models(self) -> bool:
        reply = await self._get("/models")
        payload = None if isinstance(reply, Failure) or reply.status != 200 else wire.read_json(reply.body)
        return isinstance(payload, dict) and isinstance(payload.get("models"), list)

    async def _get(self, route: str) -> HttpReply | Failure:
        request = wire.HttpRequest(_url(self._options, route), _headers(self._options))
        return await self._http.send(request, timeout_s=CHECK_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

"""The engine `openai`: chat completions of OpenAI, Azure OpenAI, vLLM, SGLang, Ollama and gateways.

`build_request` and `parse_response` are pure, so a batch file can be written and read with them too; `OpenAIEngine`
only sends. What errors mean stands in openai_faults.py. Source: OpenAI and Azure OpenAI API references.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson
import pybase64

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.engines.llm import wire
from one_ocr_ray.engines.llm.hints import account_limits
from one_ocr_ray.engines.llm.http import CHECK_TIMEOUT_S, UNREACHABLE, HttpReply, HttpSender
from one_ocr_ray.engines.llm.openai_cap import OTHER_CAP_FIELD, CapField
from one_ocr_ray.engines.llm.openai_faults import TRUNCATED, fault, verdict_of_finish
from one_ocr_ray.engines.llm.openai_schema import is_strict
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageImage, PageRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

_AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIOptions:
    """One model at one endpoint. Everything that can hold a secret is kept out of the repr.

    base_url: with `/v1`. Azure's classic API: `https://NAME.openai.azure.com?api-version=V`; `model` is the deployment.
    detail: how closely the image is looked at: low, high, original (auto may cost 8,580 tokens for one page).
    service_tier: `flex` is half the price; None leaves it to the account.
    output_cap_field: None sends `max_completion_tokens` until the server shows that it knows `max_tokens` alone: by
        its refusal, or as Ollama, which ignores the other name and would write without end.
    """

    model: str
    api_key: SecretStr | None = None
    base_url: str = field(default=DEFAULT_BASE_URLS["openai"], repr=False)
    detail: str = "high"
    service_tier: str | None = None
    output_cap_field: str | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        """Raise UsageError for an address or a key that no request could be made with."""
        wire.check_endpoint(self.base_url, self.api_key)


# --- request ---------------------------------------------------------------------------------------------------------


def build_request(options: OpenAIOptions, image: PageImage, ask: PageRequest) -> wire.HttpRequest:
    """The request for one page."""
    url = _url(options, "/chat/completions")
    return wire.HttpRequest(url, _headers(options), build_body(options, image, ask))


def build_body(options: OpenAIOptions, image: PageImage, ask: PageRequest) -> bytes:
    """The JSON body for one page; also a batch file's `body`.

    The prompt goes into the user's message: many templates of self-hosted OCR models know no system message.
    """
    picture = {
        "url": "data:image/jpeg;base64," + pybase64.b64encode_as_string(image.data),
        "detail": options.detail,
    }
    content = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": picture}]
    body: dict[str, Any] = {
        "model": options.model,
        "messages": [{"role": "user", "content": content}],
        options.output_cap_field or CapField.of(options.base_url).name: ask.output_tokens_cap,
    }
    if ask.reasoning is not None:
        body["reasoning_effort"] = ask.reasoning
    if ask.temperature is not None and _takes_temperature(options, ask):
        body["temperature"] = ask.temperature
    if options.service_tier is not None:
        body["service_tier"] = options.service_tier
    if ask.json_schema is not None:
        schema = orjson.loads(ask.json_schema)
        named = {"name": "page", "strict": is_strict(schema), "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return orjson.dumps(body)


def _takes_temperature(options: OpenAIOptions, ask: PageRequest) -> bool:
    """OpenAI's own models refuse a temperature together with reasoning; self-hosted servers take both."""
    hosted = urlsplit(options.base_url).hostname == "api.openai.com" or _is_azure(options)
    return not hosted or ask.reasoning in {None, "none"}


def _headers(options: OpenAIOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if options.api_key is not None:
        key = options.api_key.get_secret_value()
        headers |= {"api-key": key} if _is_azure(options) else {"Authorization": f"Bearer {key}"}
    return headers | dict(options.extra_headers)


def _query(options: OpenAIOptions) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(options.base_url).query)) | dict(options.extra_query)


def _is_azure(options: OpenAIOptions) -> bool:
    host = urlsplit(options.base_url).hostname or ""
    return host.endswith(_AZURE_HOSTS) or "api-version" in _query(options)


def _url(options: OpenAIOptions, route: str) -> str:
    base, query = urlsplit(options.base_url), _query(options)
    path = base.path.rstrip("/")
    # Azure's classic API has its version in the query and the deployment in the path; its v1 API looks like OpenAI's.
    if "api-version" in query and not path.endswith("/v1"):
        path = path if path.endswith("/openai") or "/deployments/" in path else f"{path}/openai"
        if "/deployments/" not in path and not route.startswith("/models"):
            path += f"/deployments/{quote(options.model, safe='')}"
    return f"{base.scheme}://{base.netloc}{path}{route}" + (f"?{urlencode(query)}" if query else "")


# --- reply -----------------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes, *, key_works: bool = False) -> Answer:
    """The answer in one reply. Never raises; what is not a good answer has `failure` set.

    key_works: an earlier reply was an answer.
    """
    headers = wire.lowered(headers)
    payload = wire.read_json(body)
    blank = Answer(
        provider_request_id=wire.label(headers.get("x-request-id")),
        limits=account_limits(headers),
    )
    if status != 200 or wire.read_error(payload) is not None:
        return replace(blank, failure=fault(status, headers, payload, key_works=key_works))
    if not isinstance(payload, dict):
        return replace(blank, failure=wire.BAD_REPLY.failure(status))
    blank = replace(blank, usage=_usage(payload.get("usage")), model_version=wire.label(payload.get("model")))
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return replace(blank, failure=wire.BAD_REPLY.failure(status))
    return _judged(blank, choice)


def _judged(blank: Answer, choice: dict[str, Any]) -> Answer:
    message, finish = choice["message"], choice.get("finish_reason")
    name = finish.lower() if isinstance(finish, str) else "" if finish is None else "other"
    answer = replace(
        blank,
        text=_text(message.get("content")),
        finish_reason=wire.reason(finish),
        truncated=name in TRUNCATED or name == "repetition",
    )
    verdict = verdict_of_finish(name)
    if message.get("refusal"):
        verdict = _REFUSED
    return answer if verdict is None else replace(answer, failure=verdict.failure(200))


_REFUSED = wire.Verdict(ErrorCode.REFUSED, Action.FAIL, "The model refuses to read the page")


def _text(content: Any) -> str:
    """A message's text; some servers send it as a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    return Usage(
        input_tokens=wire.count(usage.get("prompt_tokens")),
        output_tokens=wire.count(usage.get("completion_tokens")),
        cached_tokens=wire.count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )


# --- engine ----------------------------------------------------------------------------------------------------------


class OpenAIEngine:
    """Reads page images with one model behind the chat-completions protocol."""

    name = "openai"

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._http = HttpSender(timeout_s=options.timeout_s)
        self._key_works = False
        self._cap_field = CapField.of(options.base_url)

    @property
    def model(self) -> str:
        """The model's name as it was asked for."""
        return self._options.model

    async def analyze_image_async(self, image: PageImage, ask: PageRequest) -> Answer:
        """Send one request for `image`; a failed one is an `Answer` with `failure` set."""
        sent = self._options.output_cap_field or self._cap_field.name
        reply = await self._http.send(build_request(replace(self._options, output_cap_field=sent), image, ask))
        if isinstance(reply, Failure):
            return Answer(failure=reply)
        if self._options.output_cap_field is None and self._cap_field.learns(sent, reply.status, reply.body):
            return Answer(failure=OTHER_CAP_FIELD.failure(reply.status))
        answer = parse_response(reply.status, reply.headers, reply.body, key_works=self._key_works)
        self._key_works = self._key_works or wire.is_from_model(answer)
        return wire.with_sentence(answer, reply.body, self._options, ask)

    async def check(self) -> Failure | None:
        """What seems wrong with the address, the key or the model, found without asking the model anything.

        Many servers have no such route, so only a plain refusal counts; None means that nothing speaks against a start.
        That the model is unknown (`model_not_found`) is a hint: gateways answer for more names than they list.
        """
        reply = await self._get(f"/models/{quote(self.model, safe='')}")
        if isinstance(reply, Failure):
            return reply if reply in UNREACHABLE else None
        if reply.status == 200:
            return None
        payload = wire.read_json(reply.body)
        failure = fault(reply.status, reply.headers, payload)
        if failure.code is ErrorCode.MODEL_NOT_FOUND:
            return failure if await self._model_is_missing() else None
        return failure if failure.action is Action.STOP and not _lacks_scope(payload) else None

    async def _model_is_missing(self) -> bool:
        """Whether the server's own list of models works and does not hold this one. Azure lists no deployments."""
        if _is_azure(self._options):
            return False
        reply = await self._get("/models")
        payload = None if isinstance(reply, Failure) or reply.status != 200 else wire.read_json(reply.body)
        models = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(models, list) or not models:
            return False
        return not any(isinstance(model, dict) and model.get("id") == self.model for model in models)

    async def _get(self, route: str) -> HttpReply | Failure:
        request = wire.HttpRequest(_url(self._options, route), _headers(self._options))
        return await self._http.send(request, timeout_s=CHECK_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _lacks_scope(payload: Any) -> bool:
    """Whether a key may ask models but not list them: a 403 that only its text tells from a refused key."""
    error = wire.read_error(payload)
    return error is not None and "missing scopes" in error.message.lower()

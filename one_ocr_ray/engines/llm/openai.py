"""The codec `openai`: chat completions of OpenAI, Azure OpenAI, vLLM, SGLang, Ollama and gateways.

Pure functions, as `Codec` lists them; what errors mean stands in openai_faults.py. Source: OpenAI and Azure OpenAI API
references.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson
import pybase64

from one_ocr_ray.engines.llm import wire
from one_ocr_ray.engines.llm.hints import account_limits
from one_ocr_ray.engines.llm.openai_faults import TRUNCATED, fault_of_finish
from one_ocr_ray.engines.llm.openai_faults import parse_error as parse_error  # noqa: PLC0414 - of the codec
from one_ocr_ray.model import Action, Answer, ErrorCode, TokenUsage
from one_ocr_ray.policy.cost.image_tokens import openai_image_tokens
from one_ocr_ray.profile import PromptOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import PageImage, PageRequest

image_tokens = openai_image_tokens
LIMIT_COUNTS_OUTPUT = True
_AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")

# --- request ---------------------------------------------------------------------------------------------------------


def build_request(options: EngineOptions, image: PageImage, page_request: PageRequest) -> wire.HttpRequest:
    """The request for one page."""
    body = build_body(options, image, page_request)
    return wire.HttpRequest(_url(options, "/chat/completions"), _headers(options), body)


def build_body(options: EngineOptions, image: PageImage, page_request: PageRequest) -> bytes:
    """The JSON body for one page; also a batch file's `body`.

    The prompt goes into the user's message, because many templates of self-hosted OCR models lack a system message.
    """
    picture = {
        "url": "data:image/jpeg;base64," + pybase64.b64encode_as_string(image.data),
        "detail": options.image_detail,
    }
    body: dict[str, Any] = {
        "model": options.model,
        "messages": _messages(page_request, {"type": "image_url", "image_url": picture}),
        _cap_fields(options)[0]: page_request.output_tokens_cap,
    }
    if page_request.reasoning is not None:
        body["reasoning_effort"] = page_request.reasoning
    # OpenAI's own models refuse a temperature together with reasoning; self-hosted servers take both.
    hosted = urlsplit(options.base_url).hostname == "api.openai.com" or is_azure(options)
    if page_request.temperature is not None and (not hosted or page_request.reasoning in {None, "none"}):
        body["temperature"] = page_request.temperature
    if options.service_tier is not None:
        body["service_tier"] = options.service_tier
    if page_request.json_schema is not None:
        schema = orjson.loads(page_request.json_schema)
        named = {"name": "page", "strict": is_strict(schema), "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if page_request.profile is not None:
        body |= page_request.profile.request_fields
    return orjson.dumps(body)


def _messages(page_request: PageRequest, image: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages: the model's system message if any, then the user's in the model's order."""
    profile, prompt = page_request.profile, {"type": "text", "text": page_request.prompt}
    content = [prompt, image]
    if profile is not None and profile.order is PromptOrder.IMAGE_ALONE:
        content = [image]
    elif profile is not None and profile.order is PromptOrder.IMAGE_FIRST:
        content = [image, prompt]
    user = {"role": "user", "content": content}
    if profile is None or profile.system is None:
        return [user]
    return [{"role": "system", "content": profile.system}, user]


_UNSUPPORTED = frozenset(
    {"allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"}
)


def is_strict(schema: Any) -> bool:
    """True for a schema that strict mode takes (structured-outputs guide).

    The root must be an object, and every object must require all of its fields and forbid others. The rest is sent as
    non-strict; replies are validated here in either case.
    """
    return isinstance(schema, dict) and schema.get("type") == "object" and "anyOf" not in schema and _is_closed(schema)


def _is_closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_is_closed(entry) for entry in schema)
    if not isinstance(schema, dict):
        return True
    if not _UNSUPPORTED.isdisjoint(schema):
        return False
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required")
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if set(properties) != set(required):
            return False
    return all(_is_closed(entry) for entry in schema.values())


def model_request(options: EngineOptions) -> wire.HttpRequest:
    """A GET that asks whether the server knows the model."""
    return wire.HttpRequest(_url(options, f"/models/{quote(options.model, safe='')}"), _headers(options))


def models_request(options: EngineOptions) -> wire.HttpRequest:
    """A GET for the server's list of models."""
    return wire.HttpRequest(_url(options, "/models"), _headers(options))


def _headers(options: EngineOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if options.api_key is not None:
        key = options.api_key.get_secret_value()
        headers |= {"api-key": key} if is_azure(options) else {"Authorization": f"Bearer {key}"}
    return headers | wire.revealed(options.headers)


def _query(options: EngineOptions) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(options.base_url).query)) | wire.revealed(options.query)


def is_azure(options: EngineOptions) -> bool:
    """True for Azure OpenAI, in either form of its API."""
    host = urlsplit(options.base_url).hostname or ""
    return host.endswith(_AZURE_HOSTS) or "api-version" in _query(options)


def _url(options: EngineOptions, route: str) -> str:
    base, query = urlsplit(options.base_url), _query(options)
    path = base.path.rstrip("/")
    # Azure's classic API has its version in the query and the deployment in the path; its v1 API looks like OpenAI's.
    if "api-version" in query and not path.endswith("/v1"):
        path = path if path.endswith("/openai") or "/deployments/" in path else f"{path}/openai"
        if "/deployments/" not in path and not route.startswith("/models"):
            path += f"/deployments/{quote(options.model, safe='')}"
    return f"{base.scheme}://{base.netloc}{path}{route}" + (f"?{urlencode(query)}" if query else "")


def is_classic_azure(options: EngineOptions) -> bool:
    """True for Azure's API with its version in the query and deployment in the path."""
    return "api-version" in _query(options) and not urlsplit(options.base_url).path.rstrip("/").endswith("/v1")


def account_request(
    options: EngineOptions, route: str, query: Mapping[str, str], body: bytes | None = None, method: str | None = None
) -> wire.HttpRequest:
    """A request about files or batches: at classic Azure they stand beside the deployments."""
    base, parameters = urlsplit(options.base_url), _query(options) | dict(query)
    path = base.path.rstrip("/")
    if is_classic_azure(options):
        path = path.partition("/deployments/")[0]
        path = path if path.endswith("/openai") else f"{path}/openai"
    url = f"{base.scheme}://{base.netloc}{path}{route}" + (f"?{urlencode(parameters)}" if parameters else "")
    headers = _headers(options)
    if body is None:
        del headers["Content-Type"]
    return wire.HttpRequest(url, headers, body, method)


# --- reply -----------------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes, *, key_works: bool = False) -> Answer:
    """The answer in one reply. Never raises; what is not a good answer has `failure` set.

    key_works: an earlier answer has proved the key.
    """
    headers = wire.lower_names(headers)
    payload = wire.read_json(body)
    partial = Answer(
        provider_request_id=wire.short_name(headers.get("x-request-id")),
        limits=account_limits(headers),
    )
    if status != 200 or wire.read_error(payload) is not None:
        return replace(partial, failure=parse_error(status, headers, payload, key_works=key_works))
    if not isinstance(payload, dict):
        return replace(partial, failure=wire.BAD_REPLY.failure(status))
    partial = replace(partial, usage=_usage(payload.get("usage")), model_version=wire.short_name(payload.get("model")))
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return replace(partial, failure=wire.BAD_REPLY.failure(status))
    message, finish = choice["message"], choice.get("finish_reason")
    name = finish.lower() if isinstance(finish, str) else "" if finish is None else "other"
    answer = replace(
        partial,
        text=_text(message.get("content")),
        finish_reason=wire.finish_reason_name(finish),
        truncated=name in TRUNCATED or name == "repetition",
    )
    fault = fault_of_finish(name)
    if message.get("refusal"):
        fault = _REFUSED
    return answer if fault is None else replace(answer, failure=fault.failure(200))


_REFUSED = wire.Fault(ErrorCode.REFUSED, Action.FAIL, "The model refuses to read the page")


def _text(content: Any) -> str:
    """A message's text; some servers send it as a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(usage: Any) -> TokenUsage:
    if not isinstance(usage, dict):
        return TokenUsage()
    details = usage.get("prompt_tokens_details")
    return TokenUsage(
        input_tokens=wire.token_count(usage.get("prompt_tokens")),
        output_tokens=wire.token_count(usage.get("completion_tokens")),
        cached_tokens=wire.token_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )


def lacks_model(options: EngineOptions, models: Any) -> bool:
    """True if the list of models in this JSON is complete and lacks the model. Azure lists no deployments."""
    listed = models.get("data") if isinstance(models, dict) else None
    if not isinstance(listed, list) or not listed or is_azure(options):
        return False
    return not any(isinstance(model, dict) and model.get("id") == options.model for model in listed)


# --- name of the output cap ------------------------------------------------------------------------------------------

_NEWER, _OLDER = "max_completion_tokens", "max_tokens"
# Ollama ignores the newer name without an error, and then its answer has no bound.
_OLLAMA_PORT = 11434
_OLLAMA = b'"system_fingerprint":"fp_ollama"'
# A field that a server does not know: Mistral's 422 names it in its details, others in their sentence or `param`.
_UNKNOWN_FIELD = re.compile(
    rb"extra_forbidden|unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed",
    re.IGNORECASE,
)


def adapt(sent: EngineOptions, status: int, body: bytes) -> EngineOptions:
    """The options for later requests, with the server's name of the output cap.

    Requests that are under way when the name changes are refused for the old name, and learn the same again.
    """
    name, *others = _cap_fields(sent)
    if not others:
        return sent  # set by the user, or the only name that the server has not refused
    if status == 200:
        return replace(sent, output_cap_fields=(_OLDER, _NEWER)) if _OLLAMA in body and name != _OLDER else sent
    if status not in {400, 422} or name.encode() not in body or not _UNKNOWN_FIELD.search(body):
        return sent
    error = wire.read_error(wire.read_json(body)) or wire.ProviderError()
    return replace(sent, output_cap_fields=tuple(others)) if error.param in {"", name} else sent


def _cap_fields(options: EngineOptions) -> tuple[str, ...]:
    older_first = urlsplit(options.base_url).port == _OLLAMA_PORT
    return options.output_cap_fields or ((_OLDER, _NEWER) if older_first else (_NEWER, _OLDER))

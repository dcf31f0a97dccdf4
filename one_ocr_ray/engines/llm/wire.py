"""What the codecs share: requests as values, tolerant parsing of JSON, errors and their faults.

Pure: nothing here sends, waits or reads a clock. A provider's message may quote the key ("Incorrect API key provided:
sk-..."), so each `Failure` has our own words. The cleaned message travels beside it, for the console only.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import Action, ErrorCode, Failure, TokenUsage
from one_ocr_ray.policy.page.provider_message import clean_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import Answer, PageRequest


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, ready to send: a POST with a JSON `body`, or a GET. Its repr shows nothing."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    method: str | None = None  # another one than these


def check_endpoint(base_url: str, api_key: SecretStr | None) -> None:
    """Raise UsageError for an address or a key that no request can be made with."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("The base URL must look like https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("The base URL must not hold a user name or a password; send them as a header.")
    if api_key is not None and not re.fullmatch(r"[!-~]+", api_key.get_secret_value()):
        raise UsageError("The API key is empty or holds a character that no key has.")


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error of any known shape, flattened. Missing parts are '' or ().

    `message` is for the few rules that have nothing but text. Never show it.
    """

    code: str = ""
    type: str = ""
    param: str = ""
    status: str = ""  # Google's name, such as RESOURCE_EXHAUSTED
    inner_code: str = ""
    http_status: int | None = None  # the body's own; gateways answer 200 with an error inside
    message: str = field(default="", repr=False)
    details: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)  # OpenRouter's


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error means: the code and action that its `Failure` gets."""

    code: ErrorCode
    action: Action
    sentence: str
    slow_down: bool = False
    least_wait_s: float | None = None

    def failure(self, http_status: int, error: ProviderError = ProviderError(), hint_s: float | None = None) -> Failure:
        """The failure of a reply: our sentence, then the provider's code if harmless."""
        where = [f"HTTP {http_status}"] if http_status >= 300 else []
        names = (error.code, error.inner_code, error.status, error.type)
        where += [name for name in names if _WORD.fullmatch(name)][:1]
        where += [f"parameter {error.param}"] if _PATH.fullmatch(error.param) else []
        waits = [seconds for seconds in (hint_s, self.least_wait_s) if seconds is not None]
        return Failure(
            self.code,
            f"{self.sentence} ({', '.join(where)})." if where else f"{self.sentence}.",
            self.action,
            http_status,
            retry_after_s=max(waits, default=None),
            slow_down=self.slow_down,
        )


# Codes are words, while keys hold digits and hyphens. Nothing else is repeated.
_WORD = re.compile(r"[A-Za-z]{1,24}(?:_[A-Za-z]{1,24}){0,7}")
_PATH = re.compile(r"[a-z_]{1,24}(?:\.[a-z_]{1,24}|\[\d{1,3}\]){0,6}")

BAD_REPLY = Fault(ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY, "The provider's reply cannot be understood")
AUTH = Fault(ErrorCode.AUTH, Action.STOP, "The provider refuses the key or its rights; check the API key")
# A bare 403 may mean the key or only this page: gateways and filters answer so to content they reject.
FORBIDDEN = Fault(AUTH.code, AUTH.action, AUTH.sentence)
PAGE_FORBIDDEN = Fault(
    ErrorCode.CONTENT_FILTERED,
    Action.FAIL,
    "A filter of the provider or before it refuses this page, though the key works",
)
BILLING = Fault(ErrorCode.BILLING, Action.STOP, "The account has no credit or budget left; check its billing page")
NO_MODEL = Fault(
    ErrorCode.MODEL_NOT_FOUND, Action.STOP, "The model or the address is not known there; check --model and --base-url"
)
UNAVAILABLE = Fault(ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY, "The provider cannot answer right now")
THROTTLED = Fault(
    ErrorCode.PROVIDER_UNAVAILABLE, Action.THROTTLED, "The account's rate limit is reached", least_wait_s=1.0
)
REJECTED = Fault(ErrorCode.PROVIDER_REJECTED, Action.FAIL, "The provider rejects the request")
BAD_IMAGE = Fault(ErrorCode.PROVIDER_REJECTED, Action.RETRY_CHANGED, "The provider rejects the page image")
CONTEXT = Fault(
    ErrorCode.CONTEXT_TOO_LONG, Action.RETRY_CHANGED, "The page and the answer do not fit the model's context"
)
OTHER_FIELD_NAME = Fault(
    ErrorCode.PROVIDER_REJECTED, Action.RETRY_NOW, "The server knows a field of the request by another name"
)
FILTERED = Fault(ErrorCode.CONTENT_FILTERED, Action.FAIL, "The provider's content filter blocks the page")


def fault_of_status(status: int) -> Fault:
    """The fault behind an HTTP status, for a body that says nothing better."""
    if status >= 500 or status in {408, 409, 425}:
        return UNAVAILABLE
    if status < 300:  # an error inside a reply that calls itself good
        return BAD_REPLY
    return {401: AUTH, 402: BILLING, 403: FORBIDDEN, 404: NO_MODEL, 413: BAD_IMAGE, 429: THROTTLED}.get(
        status, REJECTED
    )


def is_from_model(answer: Answer) -> bool:
    """True if a model has answered, so that the key and its rights are good."""
    return answer.failure is None or answer.usage != TokenUsage()


def lacks_scope(payload: Any) -> bool:
    """True if OpenAI lets the key ask models but not list them. Only the text of such a 403 says so."""
    error = read_error(payload)
    return error is not None and "missing scopes" in error.message.lower()


def with_provider_message(answer: Answer, body: bytes, options: EngineOptions, page_request: PageRequest) -> Answer:
    """`answer` with the provider's sentence about its failure, cleaned for people."""
    error = read_error(read_json(body)) if answer.failure is not None else None
    if error is None or not error.message:
        return answer
    hidden = [*options.headers.values(), *options.query.values(), *([options.api_key] if options.api_key else [])]
    secrets = [each.get_secret_value() for each in hidden]
    message = clean_message(error.message, secrets=secrets, prompt=page_request.prompt, known=[options.model])
    return replace(answer, provider_message=message)


def revealed(values: Mapping[str, SecretStr]) -> dict[str, str]:
    """Headers or query parameters as they are sent."""
    return {name: value.get_secret_value() for name, value in values.items()}


def read_json(body: bytes) -> Any:
    """The JSON value in `body`. None if there is none (a proxy's HTML, a body cut in the middle).

    Servers written in Python send lone surrogates, NaN and Infinity; these pass.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        with suppress(ValueError, RecursionError):
            return json.loads(body.decode(errors="replace"))
        return None


def read_error(payload: Any) -> ProviderError | None:
    """The error in a reply, whatever its shape. None if there is none.

    Known shapes: `{"error": object | string | list}`, the same wrapped in a list (Google), and the flat
    `{"object": "error", "message", "type", "code"}` of vLLM and SGLang.
    """
    payload = _first(payload)
    if not isinstance(payload, dict):
        return None
    error = _first(payload.get("error"))
    if not error and payload.get("object") == "error":
        error = payload
    if isinstance(error, str) and error:
        return ProviderError(message=error)
    if not isinstance(error, dict) or not error:
        return None
    inner = error.get("innererror")
    details, metadata = error.get("details"), error.get("metadata")
    code = _text(error.get("code"))
    return ProviderError(
        code=code,
        type=_text(error.get("type")),
        param=_text(error.get("param")),
        status=_text(error.get("status")),
        inner_code=_text(inner.get("code")) if isinstance(inner, dict) else "",
        http_status=int(code) if re.fullmatch(r"[45][0-9][0-9]", code) else None,
        message=_text(error.get("message")),
        details=tuple(entry for entry in details if isinstance(entry, dict)) if isinstance(details, list) else (),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def as_dict(value: Any) -> Mapping[str, Any]:
    """An object out of a reply; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def unix_time(value: Any) -> float | None:
    """A time as a provider sends it: a Unix time, or ISO 8601. None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) and value else None
    except ValueError:
        return None


def token_count(value: Any) -> int | None:
    """A token count as a provider sends it. None if it is missing, null or nonsense."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def short_name(value: Any) -> str | None:
    """A short printable name out of a reply (a model version, a request id). None for anything else."""
    return value if isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable() else None


def finish_reason_name(value: Any) -> str | None:
    """A finish reason for the dataset; `other` for what does not look like one."""
    if value is None:
        return None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "other"


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names."""
    return {str(name).lower(): value for name, value in headers.items()}

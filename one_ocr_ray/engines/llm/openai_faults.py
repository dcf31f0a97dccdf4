"""What the errors of OpenAI and of the servers that speak its protocol mean: code first, then status.

The rules that have only text to go by (marked) read it for a number or for a phrase that stands in the server's source.
Sources: OpenAI error-code and rate-limit guides, Azure OpenAI content-filter reference, vLLM/SGLang/Ollama sources.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.llm.hints import until_s, wait_hint_s
from one_ocr_ray.engines.llm.wire import (
    AUTH,
    BAD_IMAGE,
    BILLING,
    CONTEXT,
    FILTERED,
    FORBIDDEN,
    NO_MODEL,
    PAGE_FORBIDDEN,
    THROTTLED,
    UNAVAILABLE,
    Fault,
    ProviderError,
    fault_of_status,
    lower_names,
    read_error,
)
from one_ocr_ray.model import Action, ErrorCode, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

OVER_TPM = Fault(
    ErrorCode.CONTEXT_TOO_LONG, Action.RETRY_CHANGED, "One page needs more tokens than the account's limit per minute"
)
DAY_QUOTA = Fault(ErrorCode.QUOTA_DAY, Action.STOP, "The account's quota for today is used up")
LOOP = Fault(ErrorCode.REPETITION, Action.RETRY_CHANGED, "The model repeats itself")
RAMP = Fault(
    ErrorCode.PROVIDER_UNAVAILABLE,
    Action.THROTTLED,
    "The request rate rises too fast",
    slow_down=True,
    least_wait_s=1.0,
)
# Flex processing has no capacity; such a request is not charged. Its code is not documented: these are guesses, and
# a 429 with another unknown code is taken for an ordinary throttle.
NO_FLEX = Fault(ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY, "There is no flex capacity right now", least_wait_s=30.0)

# `insufficient_quota` is both a code and the type of the newer codes; none of them mends itself with time.
_BY_CODE = {
    "insufficient_quota": BILLING,
    "credit_balance_exhausted": BILLING,
    "organization_spend_limit_exceeded": BILLING,
    "project_spend_limit_exceeded": BILLING,
    "organization_usage_limit_exceeded": BILLING,
    "billing_hard_limit_reached": BILLING,
    "billing_not_active": BILLING,
    "budget_exceeded": BILLING,  # LiteLLM
    "invalid_api_key": AUTH,
    "unsupported_country_region_territory": AUTH,
    "key_model_access_denied": AUTH,  # LiteLLM
    "team_model_access_denied": AUTH,
    "model_not_found": NO_MODEL,
    "DeploymentNotFound": NO_MODEL,
    "slow_down": RAMP,
    "server_is_overloaded": UNAVAILABLE,
    "resource_unavailable": NO_FLEX,
    "context_length_exceeded": CONTEXT,
    "exceed_context_size_error": CONTEXT,  # llama.cpp
    "content_filter": FILTERED,
    "content_policy_violation": FILTERED,
    "image_content_policy_violation": FILTERED,
    "ResponsibleAIPolicyViolation": FILTERED,
    "invalid_image": BAD_IMAGE,
    "invalid_image_format": BAD_IMAGE,
    "invalid_base64_image": BAD_IMAGE,
    "invalid_image_mode": BAD_IMAGE,
    "image_parse_error": BAD_IMAGE,
    "image_too_large": BAD_IMAGE,
    "image_too_small": BAD_IMAGE,
    "image_file_too_large": BAD_IMAGE,
    "unsupported_image_media_type": BAD_IMAGE,
    "empty_image_file": BAD_IMAGE,
}

# "Rate limit reached ... Limit 50000, Used 47949, Requested 3006" can be waited out; "Request too large ... Limit
# 200000, Requested 480002" cannot. Both carry the same code and type: only the two numbers tell them apart.
_LIMIT_AND_REQUESTED = re.compile(r"Limit ([0-9]{1,12}),.{0,40}?Requested ([0-9]{1,12})")
# vLLM, SGLang and older llama.cpp answer a plain 400 for an overlong request: text only.
_CONTEXT_TEXT = re.compile(
    r"(?:maximum|model's) context length|maximum model length|fit into the model|exceeds? the available context"
)
# LiteLLM refuses a key whose budget is spent as it refuses one that it does not know: text only.
_BUDGET_TEXT = re.compile(r"Exceeded[A-Z][a-z]{0,12}Budget|ExceededBudget|Budget has been exceeded")
# Ollama, of a model that does not think: text only.
_NO_THINKING_TEXT = "does not support thinking"
NO_THINKING = Fault(
    ErrorCode.PROVIDER_REJECTED, Action.FAIL, "The model takes no reasoning effort of this kind; try --reasoning off"
)
# OpenRouter, where no reset is told.
_DAY_TEXT = "free-models-per-day"
# Ollama's runner stops a loop with a plain 500: text only.
_LOOP_TEXT = "token repeat limit reached"
# A per-minute limit never asks for so long a wait; requests and tokens per day do (their code is the same).
_DAY_HINT_S = 900.0


def parse_error(status: int, headers: Mapping[str, str], payload: Any, *, key_works: bool = False) -> Failure:
    """The failure in a reply that is no good answer. `headers` have lower-case names; `payload` is its JSON or None.

    key_works: an earlier answer has shown that the key is good, so a bare 403 means this page.
    """
    error = read_error(payload) or ProviderError()
    if status < 400 and error.http_status is not None:
        status = error.http_status
    hint_s = _hint_s(status, headers, error)
    fault = _by_code(error) or _by_text(status, error) or _by_status(status, error)
    if fault is FORBIDDEN and key_works:
        fault = PAGE_FORBIDDEN
    if fault is THROTTLED:
        fault = _throttle(headers, error, hint_s)
    return fault.failure(status, error, hint_s)


def _by_code(error: ProviderError) -> Fault | None:
    for code in (error.code, error.inner_code, error.type):
        if code in _BY_CODE:
            return _BY_CODE[code]
    return None


def _by_text(status: int, error: ProviderError) -> Fault | None:
    if status in {400, 413, 422} and _CONTEXT_TEXT.search(error.message):
        return CONTEXT
    if status == 400 and (error.param == "reasoning_effort" or _NO_THINKING_TEXT in error.message):
        return NO_THINKING
    if status < 500 and _BUDGET_TEXT.search(error.message):
        return BILLING
    if status >= 500 and _LOOP_TEXT in error.message:
        return LOOP
    return None


def _by_status(status: int, error: ProviderError) -> Fault:
    # OpenRouter answers 403 for a page that its moderation has flagged, and says so in `metadata`.
    flagged = status == 403 and not {"reasons", "flagged_input"}.isdisjoint(error.metadata)
    return FILTERED if flagged else fault_of_status(status)


def _throttle(headers: Mapping[str, str], error: ProviderError, hint_s: float | None) -> Fault:
    numbers = _LIMIT_AND_REQUESTED.search(error.message)
    never_fits = numbers is not None and int(numbers[2]) > int(numbers[1])
    if never_fits or headers.get("x-should-retry") == "false":
        return OVER_TPM
    of_a_day = _DAY_TEXT in error.message if hint_s is None else hint_s > _DAY_HINT_S
    return DAY_QUOTA if of_a_day else THROTTLED


def _hint_s(status: int, headers: Mapping[str, str], error: ProviderError) -> float | None:
    """The longest wait that a reply asks for. OpenRouter has headers in the body, with a reset as a Unix time."""
    waits = [wait_hint_s(headers, error.message)]
    inner = error.metadata.get("headers")
    told = {**headers, **lower_names(inner)} if isinstance(inner, dict) else headers
    if status == 429 and str(told.get("x-ratelimit-remaining", "0")) == "0":
        waits.append(until_s(str(told.get("x-ratelimit-reset", "")), headers.get("date", "")))
    return max((wait for wait in waits if wait is not None), default=None)


# --- finish reasons -------------------------------------------------------------------------------------------------

_CUT_OFF = Fault(ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY, "The server broke off the answer")
_UNKNOWN_FINISH = Fault(
    ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY, "The model stopped for a reason that is not known"
)
# How servers say that an answer is whole, and that it reached a cap: OpenAI, TGI, Anthropic's and Cohere's gateways,
# Mistral, Zhipu. A reason that stands nowhere here is no whole answer: new ones tell of faults.
_WHOLE = frozenset(
    {"", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "finished"}
    | {"tool_calls", "function_call"}
)
TRUNCATED = frozenset({"length", "max_tokens", "model_length", "max_length", "model_context_window_exceeded"})
_BY_FINISH = {
    "content_filter": FILTERED,
    "sensitive": FILTERED,  # Zhipu
    "abort": _CUT_OFF,
    "error": _CUT_OFF,
    "network_error": _CUT_OFF,  # Zhipu
    "insufficient_system_resource": _CUT_OFF,  # DeepSeek
    "repetition": LOOP,
}


def fault_of_finish(reason: str) -> Fault | None:
    """What a finish reason in lower case means; None for an answer that is whole, or cut off at its cap."""
    return None if reason in _WHOLE | TRUNCATED else _BY_FINISH.get(reason, _UNKNOWN_FINISH)

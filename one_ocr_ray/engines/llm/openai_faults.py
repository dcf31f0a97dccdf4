"""Maps errors of OpenAI's protocol to faults: by code, then by status.

Rules marked "text only" look for a number in the message, or for a phrase from the server's source. Sources: OpenAI
error-code and rate-limit guides, Azure OpenAI content-filter reference, vLLM/SGLang/Ollama sources.
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
# Flex processing has no capacity; the request is not charged. The code is undocumented, so these are guesses. A 429
# with any other unknown code counts as an ordinary throttle.
NO_FLEX = Fault(ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY, "There is no flex capacity right now", least_wait_s=30.0)

# `insufficient_quota` is both a code and the type of the newer codes. None of these goes away with time.
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
# 200000, Requested 480002" cannot. Code and type are the same: only the two numbers differ.
_LIMIT_AND_REQUESTED = re.compile(r"Limit ([0-9]{1,12}),.{0,40}?Requested ([0-9]{1,12})")
# vLLM, SGLang and older llama.cpp answer an overlong request with a plain 400: text only.
_CONTEXT_TEXT = re.compile(
    r"(?:maximum|model's) context length|maximum model length|fit into the model|exceeds? the available context"
)
# LiteLLM refuses a key with a spent budget and an unknown key alike: text only.
_BUDGET_TEXT = re.compile(r"Exceeded[A-Z][a-z]{0,12}Budget|ExceededBudget|Budget has been exceeded")
# Ollama, for a model that does not think: text only.
_NO_THINKING_TEXT = "does not support thinking"
NO_THINKING = Fault(
    ErrorCode.PROVIDER_REJECTED, Action.FAIL, "The model takes no reasoning effort of this kind; try --reasoning off"
)
# OpenRouter, where the reply names no reset: text only.
_DAY_TEXT = "free-models-per-day"
# Ollama's runner stops a loop with a plain 500: text only.
_LOOP_TEXT = "token repeat limit reached"
# vLLM with --max-num-queued-reqs or --max-num-queued-tokens: the server is full and not ill. Text only, with a 503.
_FULL_TEXT = re.compile(r"busy and cannot accept new requests|prefill token backlog limit")
# Limits per minute never ask for so long a wait. Limits per day do, under the same code.
_DAY_HINT_S = 900.0


def parse_error(status: int, headers: Mapping[str, str], payload: Any, *, key_works: bool = False) -> Failure:
    """The failure in a reply that is not a good answer. `headers` have lower-case names; `payload` is its JSON or None.

    key_works: an earlier answer has proved the key, so a bare 403 means this page.
    """
    error = read_error(payload) or ProviderError()
    if status < 400 and error.http_status is not None:
        status = error.http_status
    # The longest wait that a reply asks for. OpenRouter puts headers into the body, with the reset as a Unix time.
    waits = [wait_hint_s(headers, error.message)]
    inner = error.metadata.get("headers")
    all_headers = {**headers, **lower_names(inner)} if isinstance(inner, dict) else headers
    if status == 429 and str(all_headers.get("x-ratelimit-remaining", "0")) == "0":
        waits.append(until_s(str(all_headers.get("x-ratelimit-reset", "")), headers.get("date", "")))
    hint_s = max((wait for wait in waits if wait is not None), default=None)
    codes = (_BY_CODE[code] for code in (error.code, error.inner_code, error.type) if code in _BY_CODE)
    fault = next(codes, None) or _by_content(status, error) or fault_of_status(status)
    if fault is FORBIDDEN and key_works:
        fault = PAGE_FORBIDDEN
    if fault is THROTTLED:
        numbers = _LIMIT_AND_REQUESTED.search(error.message)
        never_fits = numbers is not None and int(numbers[2]) > int(numbers[1])
        of_a_day = _DAY_TEXT in error.message if hint_s is None else hint_s > _DAY_HINT_S
        if never_fits or headers.get("x-should-retry") == "false":
            fault = OVER_TPM
        elif of_a_day:
            fault = DAY_QUOTA
    return fault.failure(status, error, hint_s)


def _by_content(status: int, error: ProviderError) -> Fault | None:
    if status in {400, 413, 422} and _CONTEXT_TEXT.search(error.message):
        return CONTEXT
    if status == 400 and (error.param == "reasoning_effort" or _NO_THINKING_TEXT in error.message):
        return NO_THINKING
    if status < 500 and _BUDGET_TEXT.search(error.message):
        return BILLING
    if status >= 500:
        is_full = status == 503 and _FULL_TEXT.search(error.message)
        return LOOP if _LOOP_TEXT in error.message else THROTTLED if is_full else None
    # OpenRouter answers 403 for a page that its moderation flags, and says so in `metadata`.
    if status == 403 and not {"reasons", "flagged_input"}.isdisjoint(error.metadata):
        return FILTERED
    return None


# --- finish reasons -------------------------------------------------------------------------------------------------

_CUT_OFF = Fault(ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY, "The server broke off the answer")
_UNKNOWN_FINISH = Fault(
    ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY, "The model stopped for a reason that is not known"
)
# How servers mark a complete answer, and one that reached a cap: OpenAI, TGI, Anthropic's and Cohere's gateways,
# Mistral, Zhipu. An unknown reason is a fault, for new ones always were.
_COMPLETE = frozenset(
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
    """The fault behind a finish reason in lower case. None for a complete answer, and for one cut off at its cap."""
    return None if reason in _COMPLETE | TRUNCATED else _BY_FINISH.get(reason, _UNKNOWN_FINISH)

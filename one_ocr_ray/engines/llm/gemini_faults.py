"""Maps errors of the Gemini API to faults, by reply names and HTTP status.

The message of a per-minute throttle equals that of OpenAI's empty account, so messages decide nothing. Three rules,
marked "text only", have nothing else. Sources: ai.google.dev troubleshooting and rate-limit pages,
google.rpc.error_details.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.llm.hints import duration_s, wait_hint_s
from one_ocr_ray.engines.llm.wire import (
    AUTH,
    BILLING,
    CONTEXT,
    FORBIDDEN,
    NO_MODEL,
    PAGE_FORBIDDEN,
    THROTTLED,
    UNAVAILABLE,
    Fault,
    ProviderError,
    fault_of_status,
    read_error,
)
from one_ocr_ray.model import Action, ErrorCode, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_QUOTA = Fault(
    ErrorCode.BILLING, Action.STOP, "The account's tier has no quota at all for this model; choose another or pay"
)
DAY_THROTTLE = Fault(
    ErrorCode.QUOTA_DAY, Action.THROTTLED, "The account's quota for today is reached", least_wait_s=1.0
)
DAY_QUOTA = Fault(ErrorCode.QUOTA_DAY, Action.STOP, "The account's quota for today is used up")
SPEND_RATE = Fault(
    ErrorCode.PROVIDER_UNAVAILABLE,
    Action.THROTTLED,
    "The account spends faster than its tier allows",
    slow_down=True,
    least_wait_s=60.0,
)

_BY_STATUS_NAME = {
    "PERMISSION_DENIED": AUTH,
    "UNAUTHENTICATED": AUTH,
    "FAILED_PRECONDITION": AUTH,  # the free tier is not offered in this country
    "NOT_FOUND": NO_MODEL,
    "UNAVAILABLE": UNAVAILABLE,
    "INTERNAL": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
    "ABORTED": UNAVAILABLE,
}
# Google's JSON omits zeros, so `quotaValue` may be missing where the text says "limit: 0".
_LIMIT_ZERO = re.compile(r"limit: 0(?![0-9.])")
# An empty prepaid account differs from the spend-rate limit by its message alone: text only.
_PREPAID_EMPTY = "prepayment credits are depleted"
# "The input token count (1300000) exceeds the maximum number of tokens allowed" is an INVALID_ARGUMENT: text only.
_CONTEXT_TEXT = re.compile(r"input token count .{0,24}exceeds the maximum")
_DAY_HINT_S = 3600.0


def parse_error(status: int, headers: Mapping[str, str], payload: Any, *, key_works: bool = False) -> Failure:
    """The failure in a reply that is not a good answer. `headers` have lower-case names; `payload` is its JSON or None.

    key_works: an earlier answer has proved the key, so a bare 403 means this page.
    """
    error = read_error(payload) or ProviderError()
    if status < 400 and error.http_status is not None:
        status = error.http_status
    delays_s = (duration_s(str(detail.get("retryDelay", ""))) for detail in error.details)
    # RetryInfo is rounded down to whole seconds ("58s" for 58.93 s), so waiting exactly that long fails again.
    waits = [wait_hint_s(headers, error.message), *(delay_s + 1.0 for delay_s in delays_s if delay_s is not None)]
    hint_s = max((wait for wait in waits if wait is not None), default=None)
    fault = _fault_of(status, error, hint_s)
    if fault is FORBIDDEN and key_works:
        fault = PAGE_FORBIDDEN
    return fault.failure(status, error, hint_s)


def _fault_of(status: int, error: ProviderError, hint_s: float | None) -> Fault:
    if any(str(detail.get("reason")).startswith("API_KEY_") for detail in error.details):
        return AUTH  # arrives as 400 INVALID_ARGUMENT
    if error.status == "RESOURCE_EXHAUSTED" or status == 429:
        return _exhausted(status, error, hint_s)
    if status == 400 and _CONTEXT_TEXT.search(error.message):
        return CONTEXT
    return _BY_STATUS_NAME.get(error.status) or fault_of_status(status)


def _exhausted(status: int, error: ProviderError, hint_s: float | None) -> Fault:
    if status == 402 or _PREPAID_EMPTY in error.message:
        return BILLING
    listed = [detail.get("violations") for detail in error.details]
    violations = [each for entries in listed if isinstance(entries, list) for each in entries if isinstance(each, dict)]
    if _LIMIT_ZERO.search(error.message) or any(str(violation.get("quotaValue")) == "0" for violation in violations):
        return NO_QUOTA
    if any("PerDay" in str(violation.get("quotaId")) for violation in violations):
        return DAY_QUOTA if hint_s is not None and hint_s > _DAY_HINT_S else DAY_THROTTLE
    # The limit on spending per ten minutes has neither details nor a hint.
    return THROTTLED if violations or hint_s is not None else SPEND_RATE

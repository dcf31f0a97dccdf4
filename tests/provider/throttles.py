"""How each provider words a 429, and where it puts the hint when to come back.

Sources: OpenAI rate-limit guide and recorded bodies; Azure OpenAI quota guide; Gemini API rate limits, troubleshooting
and recorded bodies. What Gemini puts into RetryInfo is its own text's hint cut to whole seconds: a client that waits
only so long is refused again.
"""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from tests.provider.questions import Dialect, Question
from tests.provider.quotas import GcraMeter, Quota, Refusal, Unit
from tests.provider.replies import Reply, json_reply
from tests.provider.scenario import Hint

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPE = "type.googleapis.com/google.rpc."
_GEMINI_LIMITS_URL = "https://ai.google.dev/gemini-api/docs/rate-limits"
GEMINI_QUOTA_TEXT = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    f"head to: {_GEMINI_LIMITS_URL}. "
)


def throttle(question: Question, refusal: Refusal, hint: Hint, now_at: float) -> Reply:
    """The 429 for a refusal by a quota. `now_at` is the wall clock, for HTTP dates."""
    if question.dialect is Dialect.GEMINI:
        return _gemini(question, refusal, hint)
    if math.isinf(refusal.wait_s):
        return _openai_too_large(question, refusal)
    headers, hint_s = _hint_headers(refusal.wait_s, hint, now_at)
    told_s = None if hint is Hint.NONE else max(hint_s, _ceil_ms(refusal.wait_s))
    is_azure = question.dialect is Dialect.AZURE
    body = _azure_body(refusal, hint) if is_azure else _openai_body(question, refusal, hint)
    return json_reply(429, body, headers, hint_s=told_s)


def rate_headers(meters: Iterable[GcraMeter | None], now_s: float) -> dict[str, str]:
    """`x-ratelimit-*` as OpenAI sends them: limits per minute, what remains, and the time until all is free again."""
    headers = {}
    for meter in meters:
        if meter is not None:
            unit = meter.quota.unit.value
            headers[f"x-ratelimit-limit-{unit}"] = f"{meter.quota.per_minute:.0f}"
            headers[f"x-ratelimit-remaining-{unit}"] = f"{max(0.0, meter.remaining(now_s)):.0f}"
            headers[f"x-ratelimit-reset-{unit}"] = duration(meter.reset_s(now_s))
    return headers


def duration(seconds: float) -> str:
    """Seconds as these providers write them, rounded up to a millisecond: `84ms`, `1.146s`, `6m0s`."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    tail = f"{rest / 1000:g}s"
    return f"{minutes}m{tail}" if minutes else tail


def _ceil_ms(seconds: float) -> float:
    return math.ceil(seconds * 1000 - 1e-6) / 1000


def _hint_headers(wait_s: float, hint: Hint, now_at: float) -> tuple[dict[str, str], float]:
    """Return the headers and the seconds they say."""
    if hint is Hint.RETRY_AFTER:
        return {"retry-after": f"{math.ceil(wait_s)}"}, math.ceil(wait_s)
    if hint is Hint.RETRY_AFTER_MS:
        return {"retry-after-ms": f"{math.ceil(wait_s * 1000)}"}, _ceil_ms(wait_s)
    if hint is Hint.HTTP_DATE:
        at = math.ceil(now_at + wait_s)
        return {"retry-after": formatdate(at, usegmt=True)}, at - now_at
    return {}, 0.0


def _metric(quota: Quota) -> str:
    letter = "R" if quota.unit is Unit.REQUESTS else "T"
    return f"{quota.unit.value} per day ({letter}PD)" if quota.is_daily else f"{quota.unit.value} per min ({letter}PM)"


def _openai_limit(quota: Quota) -> str:
    return f"{quota.limit if quota.is_daily else quota.per_minute:.0f}"


def _openai_body(question: Question, refusal: Refusal, hint: Hint) -> dict[str, Any]:
    quota = refusal.quota
    again = "" if hint is Hint.NONE else f" Please try again in {duration(refusal.wait_s)}."
    message = (
        f"Rate limit reached for {question.model} in organization org-x on {_metric(quota)}: "
        f"Limit {_openai_limit(quota)}, Used {refusal.used:.0f}, Requested {refusal.requested:.0f}.{again} "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return {"error": {"message": message, "type": quota.unit.value, "param": None, "code": "rate_limit_exceeded"}}


def _openai_too_large(question: Question, refusal: Refusal) -> Reply:
    message = (
        f"Request too large for {question.model} in organization org-x on {_metric(refusal.quota)}: "
        f"Limit {_openai_limit(refusal.quota)}, Requested {refusal.requested:.0f}. "
        "The input or output tokens must be reduced in order to run successfully."
    )
    error = {"message": message, "type": refusal.quota.unit.value, "param": None, "code": "rate_limit_exceeded"}
    return json_reply(429, {"error": error}, {"x-should-retry": "false"})


def _azure_body(refusal: Refusal, hint: Hint) -> dict[str, Any]:
    kind = "call" if refusal.quota.unit is Unit.REQUESTS else "token"
    again = "" if hint is Hint.NONE else f" Please retry after {math.ceil(refusal.wait_s)} seconds."
    message = (
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded "
        f"{kind} rate limit of your current AIServices S0 pricing tier.{again}"
    )
    return {"error": {"code": "429", "message": message}}


def _gemini(question: Question, refusal: Refusal, hint: Hint) -> Reply:
    wait_s = refusal.wait_s
    if math.isinf(wait_s):  # never seen from Gemini in words of its own; it refuses by the minute for ever
        wait_s = 60.0
    text = None if hint is Hint.NONE else _gemini_duration(wait_s)
    retry_delay = None if hint in {Hint.NONE, Hint.TEXT} else f"{math.floor(wait_s)}s"
    return gemini_quota_reply(
        question, [_violation(refusal.quota)], text, retry_delay, hint_s=None if text is None else wait_s
    )


def gemini_quota_reply(
    question: Question,
    violations: list[tuple[str, str, str]],
    text: str | None,
    retry_delay: str | None,
    *,
    hint_s: float | None = None,
) -> Reply:
    """A RESOURCE_EXHAUSTED of (quotaMetric, quotaId, quotaValue) violations.

    `text` is the wait as the message says it, `retry_delay` as RetryInfo does; None leaves each away.
    """
    lines = [
        f"* Quota exceeded for metric: {metric}, limit: {value}, model: {question.model}"
        for metric, _, value in violations
    ]
    again = "" if text is None else f"\nPlease retry in {text}."
    details: list[dict[str, Any]] = [
        {
            "@type": _TYPE + "Help",
            "links": [{"description": "Learn more about Gemini API quotas", "url": _GEMINI_LIMITS_URL}],
        },
        {
            "@type": _TYPE + "QuotaFailure",
            "violations": [
                {
                    "quotaMetric": metric,
                    "quotaId": quota_id,
                    "quotaDimensions": {"location": "global", "model": question.model},
                    "quotaValue": value,
                }
                for metric, quota_id, value in violations
            ],
        },
    ]
    if retry_delay is not None:
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": retry_delay})
    message = f"{GEMINI_QUOTA_TEXT}\n" + "\n".join(lines) + again
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return json_reply(429, {"error": error}, hint_s=hint_s)


def _violation(quota: Quota) -> tuple[str, str, str]:
    metric = "generativelanguage.googleapis.com/"
    period = "PerDay" if quota.is_daily else "PerMinute"
    value = f"{quota.limit if quota.is_daily else quota.per_minute:.0f}"
    if quota.unit is Unit.REQUESTS:
        quota_id = f"GenerateRequests{period}PerProjectPerModel"
        return metric + "generate_requests_per_model", quota_id, value
    return metric + "generate_content_input_token_count", f"GenerateContentInputTokensPerModel{period}", value


def _gemini_duration(seconds: float) -> str:
    """Nine decimals, as Go writes nanoseconds; milliseconds below a second."""
    return f"{seconds * 1000:.6f}ms" if seconds < 1 else f"{seconds:.9f}s"

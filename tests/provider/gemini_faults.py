"""What can go wrong in generateContent: error bodies and odd successes of the Gemini API.

Sources: Gemini API troubleshooting guide, the official client's enums and error parser, recorded bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.provider.replies import Reply, Used, gemini_body, gemini_usage, json_reply
from tests.provider.throttles import gemini_quota_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.scene import Fault, Scene

_METRIC = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
_PER_DAY = (_METRIC, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250")
_PER_MINUTE = (_METRIC, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10")
_TOKENS = (
    "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count",
    "GenerateContentInputTokensPerModelPerMinute-FreeTier",
    "250000",
)


def error_body(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Google's error object."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": details} if details else {})}


def key_invalid_body() -> dict[str, Any]:
    """What a wrong key gets: a 400, told apart by its reason only."""
    text = "API key not valid. Please pass a valid API key."
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": text},
    ]
    return error_body(400, "INVALID_ARGUMENT", text, details)


def _error(code: int, status: str, message: str, *, listed: bool = False) -> Fault:
    """A fault that is an error body, in a list if `listed`; `{model}` and `{key}` in the message are filled in."""

    def play(scene: Scene) -> Reply:
        body = error_body(code, status, message.format(model=scene.question.model, key=scene.key))
        return json_reply(code, [body] if listed else body)

    return play


def _quota(violations: list[tuple[str, str, str]], wait: str | None) -> Fault:
    def play(scene: Scene) -> Reply:
        hint_s = None if wait is None else float(wait.rstrip("s"))
        return gemini_quota_reply(scene.question, violations, wait, wait, hint_s=hint_s)

    return play


def _answer(change: Callable[[dict[str, Any]], None] = lambda _body: None, finish: str = "STOP") -> Fault:
    """A fault that is a response with another finish reason, then changed in place."""

    def play(scene: Scene) -> Reply:
        body = gemini_body(scene.question, [{"text": scene.text}], scene.used, finish)
        change(body)
        return json_reply(200, body)

    return play


def _truncated_empty(scene: Scene) -> Reply:
    """Thoughts ate the whole output cap: content without parts."""
    cap = scene.question.output_cap or scene.used.output
    return json_reply(200, gemini_body(scene.question, None, Used(scene.used.input, cap, reasoning=cap), "MAX_TOKENS"))


def _prompt_blocked(scene: Scene) -> Reply:
    body = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": gemini_usage(Used(scene.used.input, 0)),
        "modelVersion": scene.question.model,
    }
    return json_reply(200, body)


def _no_content(body: dict[str, Any]) -> None:
    del body["candidates"][0]["content"]
    body["candidates"][0]["citationMetadata"] = {"citationSources": [{"startIndex": 0, "endIndex": 200, "uri": ""}]}


def _empty_parts(body: dict[str, Any]) -> None:
    body["candidates"][0]["content"]["parts"] = []


def _no_candidates(body: dict[str, Any]) -> None:
    body["candidates"] = []


def _candidates_missing(body: dict[str, Any]) -> None:
    del body["candidates"]


def _drop_usage(body: dict[str, Any]) -> None:
    del body["usageMetadata"]


def _thought_first(body: dict[str, Any]) -> None:
    """The answer in two parts behind a thought that is no part of it."""
    parts = body["candidates"][0]["content"]["parts"]
    text = parts[0]["text"]
    parts[:] = [{"text": "Let me look at the page.", "thought": True}, {"text": text[:9]}, {"text": text[9:]}]


GEMINI_FAULTS: dict[str, Fault] = {
    # The account
    "day_short_hint": _quota([_PER_DAY], "22s"),
    "day_long_hint": _quota([_PER_DAY], "21926s"),
    "multi_quota": _quota([_PER_DAY, _PER_MINUTE, _TOKENS], "1s"),
    "no_quota": _quota([(_METRIC, _PER_DAY[1], "0")], None),
    "spend_rate": _error(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your spend-based rate limit. Your spending rate has exceeded the allowed limit for your "
        "account's billing history and tier.",
    ),
    "prepaid_429": _error(
        429,
        "RESOURCE_EXHAUSTED",
        "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your "
        "project and billing.",
    ),
    "prepaid_402": _error(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
    "unauthorized": lambda _scene: json_reply(400, key_invalid_body()),
    "key_echoed": _error(403, "PERMISSION_DENIED", "The key {key} may not call this method."),
    "forbidden": _error(403, "PERMISSION_DENIED", "Your API key doesn't have the required permissions."),
    "precondition": _error(
        400, "FAILED_PRECONDITION", "User location is not supported for the API use without a billing account linked."
    ),
    "model_not_found": _error(
        404, "NOT_FOUND", "models/{model} is not found for API version v1beta, or is not supported for generateContent."
    ),
    # The request
    "context_too_long": _error(
        400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed (1048576)."
    ),
    "bad_image": _error(400, "INVALID_ARGUMENT", "Unable to process input image."),
    "body_too_large": _error(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
    "parameter_refused": _error(400, "INVALID_ARGUMENT", "Thinking level is not supported for this model."),
    "prompt_blocked": _prompt_blocked,
    # The server
    "server_error": _error(500, "INTERNAL", "An internal error has occurred. Please retry."),
    "overloaded": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "gateway_timeout": _error(504, "DEADLINE_EXCEEDED", "The request did not finish in time."),
    "listed_error": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", listed=True),
    "error_in_200": lambda _scene: json_reply(200, error_body(500, "INTERNAL", "An internal error has occurred.")),
    # The answer
    "recitation": _answer(_no_content, "RECITATION"),
    "recitation_empty_parts": _answer(_empty_parts, "RECITATION"),
    "content_filter": _answer(_empty_parts, "SAFETY"),
    "prohibited": _answer(_empty_parts, "PROHIBITED_CONTENT"),
    "truncated": _answer(finish="MAX_TOKENS"),
    "truncated_empty": _truncated_empty,
    "finish_other": _answer(_empty_parts, "OTHER"),
    "finish_language": _answer(_empty_parts, "LANGUAGE"),
    "finish_unknown": _answer(finish="MOONLIGHT"),
    "no_candidates": _answer(_no_candidates),
    "candidates_missing": _answer(_candidates_missing),
    "thought_parts": _answer(_thought_first),
    "usage_missing": _answer(_drop_usage),
}

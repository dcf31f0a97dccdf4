"""What can go wrong in a chat completion: error bodies and odd successes of OpenAI, Azure and servers that speak alike.

Sources: OpenAI error-code and rate-limit guides, the official client's types, vLLM and SGLang protocol sources, and
recorded bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.provider.replies import Reply, Used, json_reply, openai_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.scene import Fault, Scene

_BILLING = "https://platform.openai.com/account/billing"
_QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."


def _error(
    status: int,
    message: str,
    kind: str | None,
    code: str | int | None,
    param: str | None = None,
) -> Fault:
    """A fault that is an error body; `{model}` and `{key}` in the message are filled in."""

    def play(scene: Scene) -> Reply:
        text = message.format(model=scene.question.model, key=scene.key)
        return json_reply(status, {"error": {"message": text, "type": kind, "param": param, "code": code}})

    return play


def _raw(status: int, body: Any) -> Fault:
    return lambda _scene: json_reply(status, body)


def _answer(change: Callable[[dict[str, Any]], None] = lambda _body: None, **said: Any) -> Fault:
    """A fault that is a completion with other words in it (`text`, `finish`, `refusal`), then changed in place."""

    def play(scene: Scene) -> Reply:
        body = openai_body(scene.question, **{"text": scene.text, "used": scene.used, **said})
        change(body)
        return json_reply(200, body)

    return play


def _truncated_empty(scene: Scene) -> Reply:
    """Reasoning ate the whole output cap."""
    cap = scene.question.output_cap or scene.used.output
    return json_reply(200, openai_body(scene.question, "", Used(scene.used.input, cap, reasoning=cap), "length"))


def _drop_usage(body: dict[str, Any]) -> None:
    del body["usage"]


def _drop_usage_details(body: dict[str, Any]) -> None:
    del body["usage"]["prompt_tokens_details"], body["usage"]["completion_tokens_details"]


def _null_usage(body: dict[str, Any]) -> None:
    body["usage"]["completion_tokens"] = None


def _no_choices(body: dict[str, Any]) -> None:
    body["choices"] = []


def _billing(code: str, message: str = _QUOTA_TEXT) -> Fault:
    return _error(429, message, "insufficient_quota", code)


_AZURE_FILTER = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "sexual": {"filtered": True, "severity": "high"},
            },
        },
    }
}

OPENAI_FAULTS: dict[str, Fault] = {
    # The account
    "insufficient_quota": _billing("insufficient_quota"),
    "credit_balance_exhausted": _billing(
        "credit_balance_exhausted", f"Your credit balance is used up. See {_BILLING}."
    ),
    "organization_spend_limit_exceeded": _billing("organization_spend_limit_exceeded", "Spend limit reached."),
    "project_spend_limit_exceeded": _billing("project_spend_limit_exceeded", "Spend limit reached."),
    "organization_usage_limit_exceeded": _billing("organization_usage_limit_exceeded", "Usage limit reached."),
    "unauthorized": _error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "key_echoed": _error(401, "Incorrect API key provided: {key}", "invalid_request_error", "invalid_api_key"),
    "forbidden": _error(
        403, "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"
    ),
    "model_not_found": _error(
        404,
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    "slow_down": _error(429, "Please slow down your request rate.", "rate_limit_error", "slow_down"),
    "flex_unavailable": _error(429, "Resource Unavailable", "rate_limit_error", "resource_unavailable"),
    # The request
    "context_too_long": _error(
        400,
        "This model's maximum context length is 128000 tokens.",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    ),
    "bad_image": _error(
        400, "You uploaded an unsupported image.", "invalid_request_error", "invalid_image_format", "messages"
    ),
    "body_too_large": _error(413, "Request body too large.", "invalid_request_error", None),
    "service_tier_refused": _error(
        400,
        "Invalid service_tier argument: The requested service tier is not allowed for this project.",
        "invalid_request_error",
        None,
        "service_tier",
    ),
    "parameter_refused": _error(
        400,
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "invalid_request_error",
        "unsupported_parameter",
        "temperature",
    ),
    "prompt_blocked": _raw(400, _AZURE_FILTER),
    # The server
    "server_error": _error(
        500,
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        "server_error",
    ),
    "overloaded": _error(503, "The server is overloaded.", "service_unavailable_error", "server_is_overloaded"),
    "request_timeout": _error(408, "Request timed out.", "server_error", None),
    "conflict": _error(409, "The request conflicted with another one.", "server_error", None),
    "gateway_timeout": _error(504, "Gateway timeout.", "server_error", None),
    "queue_full": _raw(
        503,
        {
            "object": "error",
            "message": "The request queue is full.",
            "type": "ServiceUnavailable",
            "param": None,
            "code": 503,
        },
    ),
    "flat_error": _raw(
        500, {"object": "error", "message": "Internal error", "type": "InternalServerError", "param": None, "code": 500}
    ),
    "int_code": _error(500, "Internal error", "InternalServerError", 500),
    "string_error": _raw(500, {"error": "prediction aborted, token repeat limit reached"}),
    "error_in_200": _error(200, "Provider returned error", "server_error", "server_error"),
    # The answer
    "content_null": _answer(text=None),
    "refusal": _answer(text=None, refusal="I'm sorry, but I can't help with that."),
    "content_filter": _answer(finish="content_filter"),
    "truncated": _answer(finish="length"),
    "truncated_empty": _truncated_empty,
    "finish_unknown": _answer(finish="moonlight"),
    "finish_abort": _answer(finish="abort"),
    "finish_error": _answer(finish="error"),
    "finish_repetition": _answer(finish="repetition"),
    "no_choices": _answer(_no_choices),
    "usage_missing": _answer(_drop_usage),
    "usage_details_missing": _answer(_drop_usage_details),
    "usage_null": _answer(_null_usage),
}

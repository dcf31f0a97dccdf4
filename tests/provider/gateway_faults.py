"""What gateways and servers of one's own say in a chat completion, where that is not what OpenAI says.

Sources: LiteLLM's proxy exceptions, OpenRouter's error guide and recorded bodies, DeepSeek's, Zhipu's and Mistral's API
references, vLLM, llama.cpp and Ollama sources, and reports of users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.provider.replies import Reply, json_reply, openai_body, success

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.scene import Fault, Scene

DAY_S = 21926.0


def _raw(status: int, body: Any) -> Fault:
    return lambda _scene: json_reply(status, body)


def _litellm(status: int, message: str, kind: str) -> Fault:
    return _raw(status, {"error": {"message": message, "type": kind, "param": None, "code": str(status)}})


_BUDGET = "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0"
_KEY_BUDGET = "Authentication Error, ExceededTokenBudget: Current spend for token: 7.2; Max Budget for Token: 2e-07"


def _openrouter_free(scene: Scene) -> Reply:
    """The free models of a day are used up; the reset stands in the body, as a Unix time in milliseconds."""
    seconds = DAY_S if scene.seconds is None else scene.seconds
    reset_ms = round((scene.now_at + seconds) * 1000)
    headers = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_ms)}
    message = "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"
    return json_reply(429, {"error": {"message": message, "code": 429, "metadata": {"headers": headers}}})


def _moderated(status: int) -> Fault:
    metadata = {"reasons": ["violence"], "flagged_input": "a stretch of the page", "provider_name": "OpenAI"}
    message = "openai/gpt requires moderation and your input was flagged"
    return _raw(status, {"error": {"code": 403, "message": message, "metadata": metadata}})


def _retry_after_unix_time(scene: Scene) -> Reply:
    """A Retry-After that is an instant, not a wait."""
    at = scene.now_at + (5.0 if scene.seconds is None else scene.seconds)
    body = {"error": {"message": "Too many requests", "type": "rate_limit", "param": None, "code": None}}
    return json_reply(429, body, {"Retry-After": str(round(at))})


def _unless(wants: Callable[[Scene], bool], refusal: Fault) -> Fault:
    """`refusal`, but to a request that this server understands."""
    return lambda scene: success(scene.question, scene.text, scene.used) if wants(scene) else refusal(scene)


_MISTRAL = {
    "object": "error",
    "message": {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "max_completion_tokens"],
                "msg": "Extra inputs are not permitted",
                "input": 8192,
            }
        ]
    },
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}
_OLD_CAP = {
    "error": {
        "message": "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_completion_tokens",
        "code": "unsupported_parameter",
    }
}


def _finish(reason: str) -> Fault:
    """Half an answer, with a reason of its own."""
    return lambda scene: json_reply(
        200, openai_body(scene.question, scene.text[: len(scene.text) // 2], scene.used, reason)
    )


def _said(change: Callable[[str], str]) -> Fault:
    return lambda scene: success(scene.question, change(scene.text), scene.used)


def _in_text(name: str, raw: bytes) -> Fault:
    """A good answer with bytes in its text that no strict JSON reader takes."""

    def play(scene: Scene) -> Reply:
        reply = success(scene.question, scene.text + name, scene.used)
        return Reply(reply.status, reply.body.replace(name.encode(), raw))

    return play


def _not_a_number(scene: Scene) -> Reply:
    """A score that the model server could not work out."""
    reply = success(scene.question, scene.text, scene.used)
    return Reply(reply.status, reply.body.replace(b'"logprobs":null', b'"logprobs":{"content":[{"logprob":NaN}]}'))


def _ollama(scene: Scene) -> Reply:
    body = openai_body(scene.question, scene.text, scene.used)
    return json_reply(200, {**body, "system_fingerprint": "fp_ollama"})


_REASONING = "The page shows a heading. I should write it as Markdown."

GATEWAY_FAULTS: dict[str, Fault] = {
    # The account
    "litellm_budget_429": _litellm(429, _BUDGET, "budget_exceeded"),
    "litellm_budget_400": _litellm(400, _BUDGET, "budget_exceeded"),
    "litellm_key_budget": _litellm(400, _KEY_BUDGET, "auth_error"),
    "openrouter_free_day": _openrouter_free,
    "retry_after_unix_time": _retry_after_unix_time,
    # The page
    "openrouter_moderation": _moderated(403),
    "openrouter_moderation_200": _moderated(200),
    "firewall_403": lambda _scene: Reply(403, b"<html><h1>Request blocked</h1></html>", content_type="text/html"),
    "vllm_too_long": _raw(
        400,
        {
            "object": "error",
            "message": "The decoder prompt (length 5213) is longer than the maximum model length of 4096. Make sure "
            "that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "llamacpp_too_long": _raw(
        400,
        {
            "error": {
                "code": 400,
                "message": "request (5213 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5213,
                "n_ctx": 4096,
            }
        },
    ),
    # The request
    "mistral_cap_field": _unless(
        lambda scene: "max_completion_tokens" not in scene.question.settings, _raw(422, _MISTRAL)
    ),
    "old_cap_field": _unless(lambda scene: "max_completion_tokens" not in scene.question.settings, _raw(400, _OLD_CAP)),
    "ollama": _ollama,
    "ollama_no_thinking": _unless(
        lambda scene: "reasoning_effort" not in scene.question.settings,
        _raw(
            400,
            {
                "error": {
                    "message": '"llava:7b" does not support thinking',
                    "type": "api_error",
                    "param": None,
                    "code": None,
                }
            },
        ),
    ),
    # The answer
    "finish_no_resources": _finish("insufficient_system_resource"),
    "finish_network_error": _finish("network_error"),
    "finish_max_tokens": _finish("max_tokens"),
    "finish_model_length": _finish("model_length"),
    "finish_sensitive": _finish("sensitive"),
    "thinking": _said(lambda text: f"<think>\n{_REASONING}\n</think>\n\n{text}"),
    "thinking_end_only": _said(lambda text: f"{_REASONING}\n</think>\n\n{text}"),
    "box_tokens": _said(lambda text: f"<|begin_of_box|>{text}<|end_of_box|>"),
    "lone_surrogate": _in_text("HALF", b"\\ud83d"),
    "not_a_number": _not_a_number,
}

"""What good answers look like: success bodies of both dialects, and text that names the page it was read from."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from tests.provider.questions import Dialect, Question

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
NO_IMAGE = "no page image"

_CREATED = 1790000000
_WORDS = ("harbour", "ledger", "copper", "winter", "signal", "meadow", "barrel", "window", "garden", "letter", "carbon")


class Delivery(StrEnum):
    """How a reply travels."""

    WHOLE = "whole"
    CUT = "cut"  # half of the body, then the connection is closed in good order
    RESET_BEFORE_HEADERS = "reset_before_headers"
    RESET_AFTER_HEADERS = "reset_after_headers"
    STALL_AFTER_HEADERS = "stall_after_headers"  # headers, `pause_s` of silence, then the body
    TRICKLE = "trickle"  # a byte every `pause_s`


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply before it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    delivery: Delivery = Delivery.WHOLE
    pause_s: float = 0.0  # of a whole reply: before it begins; else as the delivery says
    hint_s: float | None = None  # what the reply tells the client to wait


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one request as the reply reports them."""

    input: int
    output: int
    reasoning: int = 0  # part of `output`


NOTHING = Used(0, 0)


def json_reply(
    status: int, body: Any, headers: Mapping[str, str] | None = None, *, hint_s: float | None = None
) -> Reply:
    return Reply(status, orjson.dumps(body), headers or {}, hint_s=hint_s)


def answer_text(question: Question, least_chars: int) -> str:
    """Markdown that names the page, or an instance of the schema whose strings are that Markdown."""
    markdown = page_markdown(question.page or NO_IMAGE, least_chars)
    return markdown if question.schema is None else orjson.dumps(instance_of(question.schema, markdown)).decode()


@lru_cache(maxsize=4096)
def page_markdown(page: str, least_chars: int) -> str:
    """A heading with the page's name and varied sentences below it: the same page always reads the same."""
    words, parts = random.Random(page), [f"# {page}\n"]
    chars = 0
    while chars < least_chars:
        sentence = " ".join(words.sample(_WORDS, 9)).capitalize()
        parts.append(f"{sentence}, {words.randrange(10_000)}.")
        chars += len(parts[-1]) + 1
    return "\n".join(parts)


def instance_of(schema: Mapping[str, Any], text: str) -> Any:
    """The smallest instance of a plain JSON Schema; strings are `text`. Gemini's upper-case type names count too."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return instance_of(schema["anyOf"][0], text)
    kind = schema.get("type", "object")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: instance_of(part, text) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance_of(schema["items"], text)] if "items" in schema else []
    return {"string": text, "integer": 1, "number": 1.5, "boolean": True}.get(kind)


def success(question: Question, text: str, used: Used) -> Reply:
    """The good answer in the question's dialect."""
    if question.dialect is Dialect.GEMINI:
        return json_reply(200, gemini_body(question, [{"text": text}], used))
    return json_reply(200, openai_body(question, text, used))


def openai_body(
    question: Question, text: str | None, used: Used, finish: str = "stop", refusal: str | None = None
) -> dict[str, Any]:
    """A chat completion, with every detail field of the official client's types."""
    return {
        "id": f"chatcmpl-{question.serial}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": question.model,
        "service_tier": question.settings.get("service_tier", "default"),
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": refusal, "annotations": []},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": used.input,
            "completion_tokens": used.output,
            "total_tokens": used.input + used.output,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": used.reasoning, "audio_tokens": 0},
        },
    }


def gemini_body(
    question: Question, parts: list[dict[str, Any]] | None, used: Used, finish: str = "STOP"
) -> dict[str, Any]:
    """A generateContent response; `parts` None leaves the content's parts away, as Gemini does when there are none."""
    content: dict[str, Any] = {"role": "model"} if parts is None else {"role": "model", "parts": parts}
    return {
        "candidates": [{"content": content, "finishReason": finish, "index": 0, "safetyRatings": []}],
        "usageMetadata": gemini_usage(used),
        "modelVersion": question.model,
        "responseId": f"response-{question.serial}",
    }


def gemini_usage(used: Used) -> dict[str, Any]:
    """Output is thoughts and candidates together; a count of zero is left away."""
    counts = {
        "promptTokenCount": used.input,
        "candidatesTokenCount": used.output - used.reasoning,
        "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": used.input + used.output,
    }
    return {name: count for name, count in counts.items() if count} | {
        "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": used.input}]
    }

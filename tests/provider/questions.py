"""What was asked: a request body, read just far enough.

The page image is cut out of the body before the JSON is parsed, and decoded only as far as its name needs it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from tests.provider.identity import digest_of_base64, page_of_base64
from tests.provider.scenario import Identify

if TYPE_CHECKING:
    from collections.abc import Mapping

_JPEG_IN_BASE64 = b"/9j/"  # FF D8 FF
_OPENAI_ELSEWHERE = {"messages", "response_format"}
_GEMINI_ELSEWHERE = {"responseSchema", "responseJsonSchema"}


class Dialect(StrEnum):
    OPENAI = "openai"
    AZURE = "azure"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Question:
    """One request to read a page, understood."""

    dialect: Dialect
    model: str
    page: str | None  # identity or digest of the image; None without an image
    settings: dict[str, Any]  # what was asked for beside messages and schema
    output_cap: int | None  # tokens
    schema: dict[str, Any] | None  # of the JSON that the answer must be
    serial: int = 0  # of the request; ids in the reply are made of it


def read_openai(body: bytes, dialect: Dialect, model: str | None, identify: Identify) -> Question:
    """Understand a chat completion request; ValueError when it is none. Azure's classic path names the model itself."""
    image, asked = _parse(body)
    if not isinstance(asked.get("messages"), list) or not (model or isinstance(asked.get("model"), str)):
        message = "a chat completion needs model and messages"
        raise ValueError(message)
    form = asked.get("response_format") or {}
    return Question(
        dialect=dialect,
        model=model or asked["model"],
        page=_page(image, identify),
        settings={name: value for name, value in asked.items() if name not in _OPENAI_ELSEWHERE},
        output_cap=asked.get("max_completion_tokens") or asked.get("max_tokens"),
        schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
    )


def read_gemini(body: bytes, model: str, identify: Identify) -> Question:
    """Understand a generateContent request; ValueError when it is none."""
    image, asked = _parse(body)
    if not isinstance(asked.get("contents"), list):
        message = "contents is not specified"
        raise ValueError(message)  # noqa: TRY004 - the client's mistake, not this program's
    config: dict[str, Any] = asked.get("generationConfig") or {}
    settings = {name: value for name, value in config.items() if name not in _GEMINI_ELSEWHERE}
    if "serviceTier" in asked:
        settings["serviceTier"] = asked["serviceTier"]
    return Question(
        dialect=Dialect.GEMINI,
        model=model,
        page=_page(image, identify),
        settings=settings,
        output_cap=config.get("maxOutputTokens"),
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
    )


def key_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The API key, from wherever the three dialects carry it."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    return bearer or headers.get("api-key") or headers.get("x-goog-api-key") or query.get("key")


def fingerprint(key: str | None) -> str | None:
    """What the ledger keeps of a key."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:12]


def _parse(body: bytes) -> tuple[bytes, dict[str, Any]]:
    start = body.find(_JPEG_IN_BASE64)
    end = body.find(b'"', start)
    image = body[start:end] if start >= 0 else b""
    asked = orjson.loads(body[:start] + body[end:] if image else body)
    if not isinstance(asked, dict):
        message = "the body is not a JSON object"
        raise ValueError(message)  # noqa: TRY004 - the client's mistake, not this program's
    return image, asked


def _page(image: bytes, identify: Identify) -> str | None:
    if not image or identify is Identify.OFF:
        return None
    marked = page_of_base64(image) if identify is Identify.MARKER else None
    return marked or digest_of_base64(image)

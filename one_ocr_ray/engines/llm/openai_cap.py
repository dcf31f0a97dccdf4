"""The name of the output cap in a chat completion: OpenAI's newer one, or the older one of other servers."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

from one_ocr_ray.engines.llm.wire import ErrorBody, Verdict, read_error, read_json
from one_ocr_ray.model import Action, ErrorCode

_NEWER, _OLDER = "max_completion_tokens", "max_tokens"
# Ollama ignores the newer name without a word, and would write without end.
_OLLAMA_PORT = 11434
_OLLAMA = b'"system_fingerprint":"fp_ollama"'

# A field that a server does not know: Mistral's 422 names it in its details, others in their sentence or `param`.
_UNKNOWN_FIELD = re.compile(
    rb"extra_forbidden|unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed",
    re.IGNORECASE,
)
OTHER_CAP_FIELD = Verdict(
    ErrorCode.PROVIDER_REJECTED, Action.AGAIN, "The server knows the cap of an answer by another name"
)


class CapField:
    """`name` is the one to send; it changes with what the replies show."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._refused: set[str] = set()

    @classmethod
    def of(cls, base_url: str) -> Self:
        """What to begin with at this address."""
        return cls(_OLDER if urlsplit(base_url).port == _OLLAMA_PORT else _NEWER)

    def learns(self, sent: str, status: int, body: bytes) -> bool:
        """Take in the reply to a request with the name `sent`; whether that is refused, and another is to be tried.

        Requests under way when the name changes are refused for the older choice: they are to be sent again, too.
        """
        if status == 200 and _OLLAMA in body:
            self.name = _OLDER
        if not _refuses_field(status, body, sent):
            return False
        self._refused.add(sent)
        self.name = next((name for name in (_NEWER, _OLDER) if name not in self._refused), sent)
        return self.name != sent


def _refuses_field(status: int, body: bytes, name: str) -> bool:
    """Whether a reply refuses the request for having the field `name` at all."""
    if status not in {400, 422} or name.encode() not in body or not _UNKNOWN_FIELD.search(body):
        return False
    error = read_error(read_json(body)) or ErrorBody()
    return error.param in {"", name}

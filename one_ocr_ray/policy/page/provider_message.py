"""Cleans a provider's own message of secrets, and of the prompt's or a page's parts.

The message is shown once to the person who runs the command, and appears in no row, log or exception. It may quote the
key ("Incorrect API key provided: sk-..."), the address with its query, the prompt or the request.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MESSAGE_CHARS = 200
_READ_CHARS = 2000
HIDDEN = "[...]"

# A run of this many characters from a secret, or from the prompt, counts as a quotation.
_OF_A_SECRET = 6
_OF_THE_PROMPT = 24

_URL = re.compile(r"\b([a-z][a-z0-9+.-]{1,12}://)(?:[^\s/?#@]*@)?([^\s?#\"'`<>]*)(?:[?#][^\s\"'`<>]*)?", re.IGNORECASE)
# What a server repeats of the request: "input_value='...'", "messages=[{...", any long stretch in quotes or brackets.
_REQUEST = re.compile(
    r"\b(?:input|input_value|messages|prompt|content|body|text|data)['\"]?\s*[=:]\s*['\"`{\[].*", re.IGNORECASE
)
_QUOTED = re.compile(r"(?<!\w)[\"'`“‘][^\"'`”’]{40,}(?:[\"'`”’]|$)|[{\[][^}\]]{40,}(?:[}\]]|$)")
_NAMED = re.compile(
    r"\b((?:api[ _-]?)?keys?|tokens?|passwords?|secrets?|authorization|credentials?)\b([^.:=]{0,24}[:=])\s*\S+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
_PREFIXED = re.compile(
    r"(?:^|[^a-z0-9])(?:[spr]k|gsk|hf|xai|nvapi|gh[opsu]|glpat|xox[a-z]|org|proj|req|key)[-_]\S{4,}|AIza|AKIA|eyJ|ya29\.",
    re.IGNORECASE,
)
_MASKED = re.compile(r"\w(?:\*{2,}|\.{2,}|…|•+|x{4,})\w|\*{2,}")
_LONG_WORD, _LONG_PIECE, _MANY_DIGITS = 32, 16, 12


def clean_message(sentence: str, *, secrets: Iterable[str] = (), prompt: str = "", known: Iterable[str] = ()) -> str:
    """Put `sentence` on one line of at most `MAX_MESSAGE_CHARS`. '' if nothing of it can be shown.

    secrets: the key and the values of headers. known: names that look like secrets but are not, such as the model's.
    """
    text, prompt = _on_one_line(sentence[:_READ_CHARS]), _on_one_line(prompt)
    for start in range(len(text) - _OF_THE_PROMPT + 1):
        if text[start : start + _OF_THE_PROMPT] in prompt:
            text = text[:start] + "…"
            break
    hidden = [secret for secret in secrets if secret]
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(r"\1\2", text)
    text = _QUOTED.sub("…", _REQUEST.sub("…", text))
    text = _BEARER.sub(rf"\1 {HIDDEN}", _NAMED.sub(rf"\1\2 {HIDDEN}", text))
    names = frozenset(known)
    words = [HIDDEN if _is_secret(word, hidden, names) else word for word in text.split()]
    text = " ".join(word for before, word in pairwise(["", *words]) if word != before or word != HIDDEN)
    if not re.search(r"[^\W\d_]{2}", text.replace(HIDDEN, "")):
        return ""
    if len(text) <= MAX_MESSAGE_CHARS:
        return text
    short = text[: MAX_MESSAGE_CHARS - 1]
    return (short.rsplit(" ", 1)[0] if " " in short else short) + "…"


def _on_one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _is_secret(word: str, secrets: list[str], known: frozenset[str]) -> bool:
    bare = word.strip(".,;:!?()[]{}<>\"'`“”‘’")
    if bare in known:
        return False
    pieces = [word[start : start + _OF_A_SECRET] for start in range(len(word) - _OF_A_SECRET + 1)]
    if any(piece in secret for piece in pieces for secret in secrets):
        return True
    if "@" in bare or _PREFIXED.search(bare) or _MASKED.search(bare):
        return True
    # A word that is longer, or holds more digits among its letters, than ordinary words.
    digits = sum(map(str.isdigit, bare))
    if digits >= _MANY_DIGITS or (len(bare) >= _LONG_WORD and digits):
        return True
    return any(
        len(piece) > 2 * _LONG_WORD or (len(piece) >= _LONG_PIECE and sum(map(str.isdigit, piece)) >= 2)
        for piece in re.split(r"[^A-Za-z0-9]+", bare)
    )

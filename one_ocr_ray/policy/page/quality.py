"""Cleans a model's answer, and decides if it can be used.

Refusals and filters are reported by the provider (engines/); no answer is judged by its words here.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest
from one_ocr_ray.policy.page.extraction import schema_violation, without_lone_surrogates

# A longer text is suspicious for one page, but tables of figures reach it: it fails only if it compresses very well.
_LONG_CHARS = 25_000
_LONG_COMPRESSES_TO = 0.1
# A longer text is no page.
_MAX_CHARS = 200_000

_TAIL_CHARS = 200
_TAIL_REPEATS = 5
# Table rules, dotted leaders, empty cells and columns of one figure may repeat, but not without end.
_WORDLESS_TAIL_REPEATS = 30
# A sheet of labels and equal rows of a table may repeat, too, but no page holds more of them than this. A loop goes on
# to the cap, or until a server breaks it off. A text that the model ended by itself is such a page.
_PAGE_TAIL_REPEATS = 40


def judge(answer: Answer, request: PageRequest) -> Answer:
    """`answer` with clean text, and with `failure` if it cannot be used.

    An existing failure stays. A text cut off at the cap fails as `truncated` with RETRY_CHANGED; if nothing is left to
    change, `retry` accepts it. Only for models: the embedded engine may find nothing.
    """
    answered = without_box(without_reasoning(without_controls(answer.text), open_ended=answer.truncated))
    text = without_fence(answered, open_ended=answer.truncated).strip()
    if request.json_schema is not None:
        text = without_controls(without_lone_surrogates(text))
    failure = answer.failure or _failure(text, request, truncated=answer.truncated, ended=answer.ended_by_itself)
    return replace(answer, text=text, failure=failure)


_NO_TEXT = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "The model answered with no text.", Action.RETRY)
_NO_PAGE = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "The answer is longer than any page.", Action.RETRY)
_LOOP = Failure(ErrorCode.REPETITION, "The model repeats itself without end.", Action.RETRY_CHANGED)
_CUT_OFF = Failure(ErrorCode.TRUNCATED, "The answer reached its output cap.", Action.RETRY_CHANGED)
_CUT_BEFORE_TEXT = Failure(
    ErrorCode.TRUNCATED, "The output cap was reached before any text came.", Action.RETRY_CHANGED
)


def _failure(text: str, request: PageRequest, *, truncated: bool, ended: bool) -> Failure | None:
    if not text:
        return _CUT_BEFORE_TEXT if truncated else _NO_TEXT
    if len(text) > _MAX_CHARS:
        return _NO_PAGE
    if request.json_schema is not None:
        violation = schema_violation(text, request.json_schema, truncated=truncated)
        if violation is None:
            return None
        return _LOOP if repeats(text) else Failure(ErrorCode.SCHEMA_MISMATCH, violation, Action.RETRY_CHANGED)
    if repeats(text, ended=ended):
        return _LOOP
    return _CUT_OFF if truncated else None


# --- cleaning --------------------------------------------------------------------------------------------------------

# C0 and C1 controls except newline and tab, characters that change the direction of text (Unicode Bidi_Control,
# "Trojan Source"), the byte order mark, and lone surrogates, which UTF-8 cannot encode.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def without_controls(text: str) -> str:
    """`text` without harmful invisible characters, and with `\\n` as line end."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


_THINKING = re.compile(r"\s*<(think|thinking|thought|reasoning)>|\s*◁(think)▷")
_ANSWER_STARTS = ("\n", "#", "|", "```", "{", "[", "<")
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought|reasoning)>|◁/think▷")


def without_reasoning(text: str, *, open_ended: bool = False) -> str:
    """`text` without the model's thoughts, which some servers leave in the answer.

    Thoughts come before the answer. A block at the start is removed up to its closing tag; in a text that was cut off
    (open_ended) also one that never closes. A lone closing tag, whose opening is in the chat template, ends thoughts
    if it is the only tag of its kind and either begins or ends its line, or is followed by a heading, table, fence or
    JSON value; the text before it is removed, unless nothing follows. All other tags belong to the page.
    """
    while (opening := _THINKING.match(text)) is not None:
        end = _THOUGHT_END.search(text, opening.end())
        if end is None:
            return "" if open_ended else text
        text = text[end.end() :]
    ends = list(_THOUGHT_END.finditer(text))
    if len(ends) != 1 or _THINKING.search(text):
        return text
    before, after = text[: ends[0].start()], text[ends[0].end() :]
    if not after.strip():
        return before
    begins_line = not before.rpartition("\n")[2].strip()
    return after if begins_line or after.lstrip(" \t").startswith(_ANSWER_STARTS) else text


_BOX, _BOX_END = "<|begin_of_box|>", "<|end_of_box|>"


def without_box(text: str) -> str:
    """`text` without GLM's tokens around an answer; tokens inside it stay."""
    text = text.strip()
    if not text.startswith(_BOX):
        return text
    return text.removeprefix(_BOX).removesuffix(_BOX_END)


_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*([\w-]*)[ \t]*$", re.MULTILINE)
_WRAPPERS = {"markdown", "md"}
_WRAPPERS_WITHOUT_FENCES_INSIDE = {"", "text", "json", "html", "latex"}


def without_fence(text: str, *, open_ended: bool = False) -> str:
    """`text` without a code fence around all of it, which only models add.

    A page that is one listing keeps its fence, which names a language. open_ended: the text was cut off, so the fence
    may have no end.
    """
    text = text.strip()
    opening = _FENCE.match(text)
    if opening is None or opening[2].lower() not in _WRAPPERS | _WRAPPERS_WITHOUT_FENCES_INSIDE:
        return text
    # CommonMark: a closing fence has the same character and is at least as long.
    fences = [fence for fence in _FENCE.finditer(text) if fence[1].startswith(opening[1])]
    closed = len(fences) > 1 and fences[-1].end() == len(text) and not fences[-1][2]
    inside = fences[1:-1] if closed else fences[1:]
    if not (closed or open_ended):
        return text
    # The outer two belong together if the fences inside are blocks of their own. A bare one may end the outer block.
    if inside and not (opening[2].lower() in _WRAPPERS and inside[0][2] and (not closed or len(inside) % 2 == 0)):
        return text
    return text[opening.end() : fences[-1].start() if closed else None].strip("\n")


# --- repetition ------------------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"<[^<>]*>|&\w+;")


def repeats(text: str, *, ended: bool = False) -> bool:
    """True if the model fell into a loop: a repeating end, or long empty text.

    ended: the model ended the text by itself.
    """
    text = text.rstrip()
    tail = text[-_TAIL_CHARS:]
    wordless = not any(character.isalpha() for character in _MARKUP.sub("", tail))
    repeats_at_most = _PAGE_TAIL_REPEATS if ended else _WORDLESS_TAIL_REPEATS if wordless else _TAIL_REPEATS
    if len(tail) == _TAIL_CHARS and text.count(tail) >= repeats_at_most:
        return True
    if len(text) <= _LONG_CHARS:
        return False
    data = text.encode()
    return len(zlib.compress(data, 1)) < _LONG_COMPRESSES_TO * len(data)

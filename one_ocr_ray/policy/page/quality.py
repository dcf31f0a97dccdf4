"""Whether a model's answer can be used: cleaned of what harms a reader, and given a failure when it is none.

Refusals and filters are told by the provider (engines/); no sentence of the model is judged by its words here.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest
from one_ocr_ray.policy.page.extraction import complaint, without_lone_surrogates

# More than this is suspicious for one page, and tables of figures do reach it: it fails only if it says little new.
_LONG_CHARS = 25_000
_LONG_COMPRESSES_TO = 0.1
# More than this is not a page.
_MAX_CHARS = 200_000

_TAIL_CHARS = 200
_TAIL_REPEATS = 5
# Rules of tables, dotted leaders, empty cells and columns of one figure repeat by right, but not for ever.
_WORDLESS_TAIL_REPEATS = 30
# A sheet of labels and equal rows of a table repeat by right, too, though no page holds more of them than this. A loop
# goes on to the cap, or to where a server breaks it off: what the model has ended by itself is such a page.
_PAGE_TAIL_REPEATS = 40


def judge(answer: Answer, ask: PageRequest) -> Answer:
    """`answer` with clean text; with `failure` when it cannot be used as it stands.

    A failure that is already there stays. A text cut off at the cap fails as `truncated` with RETRY_CHANGED; when
    nothing is left to alter, `retry` takes it as it is. Only for models: the embedded engine may find nothing.
    """
    said = without_box(without_reasoning(without_controls(answer.text), open_ended=answer.truncated))
    text = without_fence(said, open_ended=answer.truncated).strip()
    if ask.json_schema is not None:
        text = without_controls(without_lone_surrogates(text))
    failure = answer.failure or _failure(text, ask, truncated=answer.truncated, ended=answer.ended_by_itself)
    return replace(answer, text=text, failure=failure)


_NO_TEXT = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "The model answered with no text.", Action.RETRY)
_NO_PAGE = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "The answer is longer than any page.", Action.RETRY)
_LOOP = Failure(ErrorCode.REPETITION, "The model repeats itself without end.", Action.RETRY_CHANGED)
_CUT_OFF = Failure(ErrorCode.TRUNCATED, "The answer reached its output cap.", Action.RETRY_CHANGED)
_CUT_BEFORE_TEXT = Failure(
    ErrorCode.TRUNCATED, "The output cap was reached before any text came.", Action.RETRY_CHANGED
)


def _failure(text: str, ask: PageRequest, *, truncated: bool, ended: bool) -> Failure | None:
    if not text:
        return _CUT_BEFORE_TEXT if truncated else _NO_TEXT
    if len(text) > _MAX_CHARS:
        return _NO_PAGE
    if ask.json_schema is not None:
        return _mismatch(text, ask.json_schema, truncated=truncated)
    if repeats(text, ended=ended):
        return _LOOP
    return _CUT_OFF if truncated else None


def _mismatch(text: str, schema: str, *, truncated: bool) -> Failure | None:
    found = complaint(text, schema, truncated=truncated)
    if found is None:
        return None
    return _LOOP if repeats(text) else Failure(ErrorCode.SCHEMA_MISMATCH, found, Action.RETRY_CHANGED)


# --- cleaning --------------------------------------------------------------------------------------------------------

# C0 and C1 controls but for newline and tab, characters that turn the direction of the text around (Unicode property
# Bidi_Control, "Trojan Source"), the byte order mark, and halves of surrogate pairs, which UTF-8 cannot hold.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def without_controls(text: str) -> str:
    """`text` without invisible characters that harm, and with `\\n` at the end of its lines."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


_THINKING = re.compile(r"\s*<(think|thinking|thought|reasoning)>|\s*◁(think)▷")
_ANSWER_STARTS = ("\n", "#", "|", "```", "{", "[", "<")
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought|reasoning)>|◁/think▷")


def without_reasoning(text: str, *, open_ended: bool = False) -> str:
    """`text` without the model's thoughts, where a server leaves them in the answer.

    The rule: thoughts stand before the answer. A block that begins the text goes, up to its closing tag; in a text that
    was cut off (open_ended) also one that never closes. A closing tag alone, whose opening stands in the chat template,
    ends thoughts where it is the only tag of its kind and begins or ends its line, or a heading, table, fence or JSON
    value follows at once: what stands before it goes, but not where nothing follows. All other tags are of the page.
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
    """`text` without GLM's tokens around an answer; words stay, and so do tokens inside of it."""
    text = text.strip()
    if not text.startswith(_BOX):
        return text
    return text.removeprefix(_BOX).removesuffix(_BOX_END)


_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*([\w-]*)[ \t]*$", re.MULTILINE)
_WRAPPERS = {"markdown", "md"}
_WRAPPERS_WITHOUT_FENCES_INSIDE = {"", "text", "json", "html", "latex"}


def without_fence(text: str, *, open_ended: bool = False) -> str:
    """`text` without a code fence around the whole of it, which models add and no page has.

    A page that is one listing keeps its fence (it names a language). open_ended: the text was cut off, so that its
    fence may lack an end.
    """
    text = text.strip()
    opening = _FENCE.match(text)
    if opening is None or opening[2].lower() not in _WRAPPERS | _WRAPPERS_WITHOUT_FENCES_INSIDE:
        return text
    fences = [fence for fence in _FENCE.finditer(text) if _closes(fence, opening)]
    closed = len(fences) > 1 and fences[-1].end() == len(text) and not fences[-1][2]
    inside = fences[1:-1] if closed else fences[1:]
    if not (closed or open_ended) or not _paired(inside, opening[2].lower(), open_ended=not closed):
        return text
    return text[opening.end() : fences[-1].start() if closed else None].strip("\n")


def _closes(fence: re.Match[str], opening: re.Match[str]) -> bool:
    """Whether `fence` could end the block that `opening` begins (CommonMark: the same character, at least as long)."""
    return fence[1].startswith(opening[1])


def _paired(inside: list[re.Match[str]], wrapper: str, *, open_ended: bool) -> bool:
    """Whether the fences inside are blocks of their own, so that the outer two belong together."""
    if not inside:
        return True
    # A bare fence that comes first may just as well end the outer block.
    return wrapper in _WRAPPERS and bool(inside[0][2]) and (open_ended or len(inside) % 2 == 0)


# --- repetition ------------------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"<[^<>]*>|&\w+;")


def repeats(text: str, *, ended: bool = False) -> bool:
    """Whether the model fell into a loop: its last words stand there again and again, or very much says nothing new.

    ended: the model says that the page ends here.
    """
    text = text.rstrip()
    tail = text[-_TAIL_CHARS:]
    if len(tail) == _TAIL_CHARS and text.count(tail) >= (_PAGE_TAIL_REPEATS if ended else _repeats_at_most(tail)):
        return True
    if len(text) <= _LONG_CHARS:
        return False
    data = text.encode()
    return len(zlib.compress(data, 1)) < _LONG_COMPRESSES_TO * len(data)


def _repeats_at_most(tail: str) -> int:
    wordless = not any(character.isalpha() for character in _MARKUP.sub("", tail))
    return _WORDLESS_TAIL_REPEATS if wordless else _TAIL_REPEATS

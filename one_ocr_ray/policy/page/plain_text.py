"""Turns Markdown into plain text: what the page says, without marks for its look.

Meant for the Markdown that engines write, so tables, fences and links included; not a full CommonMark parser.
A page can be hostile, so the time is linear in its length: no pattern here looks for the end of what it may have begun.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL_SEPARATOR = "\t"

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"\s{0,3}#{1,6}(?:\s+|$)")
_QUOTE = re.compile(r"\s{0,3}(?:>\s?)+")
_TABLE_ROW = re.compile(r"\|(.*)\|$")
_TABLE_RULE = re.compile(r"(?:\|\s*)?:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$")
_RULE = re.compile(r"\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,}|={3,})$")

_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HIDDEN = re.compile(r"[\ue000-\ue07f]")  # an escaped character waits here, in a private use area, until marks are gone
_BACKTICKS = re.compile(r"`+")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_AUTOLINK = re.compile(r"<((?:https?|mailto|ftp):[^<>\s]*)>")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_CELL_JOINT = re.compile(r"</t[dh]>\s*<t[dh](?:\s[^<>]*)?>", re.IGNORECASE)
_TABLE_TAG = re.compile(r"</?(?:table|thead|tbody|tfoot|tr|t[dh]|caption)(?:\s[^<>]*)?>", re.IGNORECASE)
_CHARACTER = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});")


# What opens and what closes each kind of emphasis. What closes it does not depend on where it was opened: where one has
# no end, none has.
_EMPHASIS = tuple(
    (re.compile(opening), re.compile(closing))
    for opening, closing in (
        (r"\*\*(?=\S)", r"(?<=\S)\*\*"),
        (r"~~(?=\S)", r"(?<=\S)~~"),
        # A single asterisk opens only before a letter or after something else than one, as in CommonMark: README*, *.c
        (r"(?:(?<![\w*])|(?<=\w)(?=\*\w))\*(?=[^\s*])", r"(?<=\w)\*|(?<=[^\w\s*])\*(?!\w)"),
        *((rf"(?<!\w){mark}(?=[^\s_])", rf"(?<=[^\s_]){mark}(?!\w)") for mark in ("___", "__", "_")),
    )
)


def plain_text(markdown: str) -> str:
    """The text of `markdown`.

    Headings, emphasis, quotes, fences and escapes lose their marks; list markers stay. Tabs part the cells of tables,
    in HTML too. Links give their text and images their alternative text.
    """
    lines = []
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            else:
                lines.append(line)
        elif mark:
            fence = mark[1]
        else:
            bare = line.rstrip()
            is_rule = _RULE.match(bare) or ("|" in bare and _TABLE_RULE.match(bare.lstrip()))
            if not is_rule and ((text := _line(bare)) or not _TABLE_TAG.search(line)):
                lines.append(text)
    return "\n".join(lines)


def _line(line: str) -> str:
    if quote := _QUOTE.match(line):
        line = line[quote.end() :]
    if heading := _HEADING.match(line):
        line = line[heading.end() :]
        without_hashes = line.rstrip("#")
        line = without_hashes.rstrip() if without_hashes[-1:].isspace() else line
    line = _ESCAPE.sub(lambda match: chr(0xE000 + ord(match[1])), line)
    if row := _TABLE_ROW.match(line.lstrip()):
        line = CELL_SEPARATOR.join(cell.strip() for cell in row[1].split("|"))
    text = "".join(part if is_code else _without_marks(part) for part, is_code in _code_spans(line))
    return _HIDDEN.sub(lambda match: chr(ord(match[0]) - 0xE000), text)


def _code_spans(line: str) -> Iterator[tuple[str, bool]]:
    """The parts of `line`, and of each whether it is code. A span ends at the next run of as many backticks."""
    runs = list(_BACKTICKS.finditer(line))
    ends: dict[int, int] = {}  # by length, the next run to the right
    end_of: dict[int, int] = {}
    for number in range(len(runs) - 1, -1, -1):
        length = len(runs[number][0])
        end_of[number] = ends.get(length, -1)
        ends[length] = number
    done, number = 0, 0
    while number < len(runs):
        end = end_of[number]
        if end >= 0:
            yield line[done : runs[number].start()], False
            yield line[runs[number].end() : runs[end].start()], True
            done, number = runs[end].end(), end
        number += 1
    yield line[done:], False


def _without_marks(text: str) -> str:
    text = _TABLE_TAG.sub("", _CELL_JOINT.sub(CELL_SEPARATOR, _LINE_BREAK.sub(" ", text)))
    text = _IMAGE_OR_LINK.sub(r"\1", _IMAGE_OR_LINK.sub(r"\1", text))  # twice: an image may be a link's text
    text = _AUTOLINK.sub(r"\1", text)
    for begin, end in _EMPHASIS:
        # `text` without this emphasis: each opening mark goes with the next closing one, at least one character on.
        parts, done = [], 0
        while opening := begin.search(text, done):
            closing = end.search(text, opening.end() + 1)
            if closing is None:
                break
            parts += [text[done : opening.start()], text[opening.end() : closing.start()]]
            done = closing.end()
        text = "".join([*parts, text[done:]])
    return _CHARACTER.sub(lambda match: html.unescape(match[0]), text)

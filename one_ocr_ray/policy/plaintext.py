"""Markdown to plain text: what the page says without the marks that say how it looks.

Meant for the Markdown that engines write, so tables, fences and links included; not a full CommonMark parser.
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
_CLOSING_HASHES = re.compile(r"\s+#+\s*$")
_QUOTE = re.compile(r"\s{0,3}(?:>\s?)+")
_TABLE_ROW = re.compile(r"\s*\|(.*)\|\s*$")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_RULE = re.compile(r"\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,}|={3,})$")

_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HIDDEN = re.compile(r"[\ue000-\ue07f]")  # an escaped character waits here, in a private use area, until marks are gone
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_AUTOLINK = re.compile(r"<((?:https?|mailto|ftp):[^<>\s]*)>")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_EMPHASIS = (
    re.compile(r"(\*\*|~~)(?=\S)(.+?)(?<=\S)\1"),
    # A single asterisk opens only before a letter or after something else than one, as in CommonMark: README*, *.c
    re.compile(r"(?:(?<![\w*])|(?<=\w)(?=\*\w))(\*)(?=[^\s*])(.+?)(?:(?<=\w)\*|(?<=[^\w\s*])\*(?!\w))"),
    re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])(.+?)(?<=[^\s_])\1(?!\w)"),
)


def plain_text(markdown: str) -> str:
    """The text of `markdown`: headings, emphasis, quotes, fences and escapes lose their marks, list markers stay, table
    cells are parted by tabs, links give their text and images their alternative text.
    """
    return "\n".join(_lines(markdown))


def _lines(markdown: str) -> Iterator[str]:
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            else:
                yield line
        elif mark:
            fence = mark[1]
        elif not _is_rule(line):
            yield _line(line)


def _is_rule(line: str) -> bool:
    return bool(_RULE.match(line) or ("|" in line and _TABLE_RULE.match(line)))


def _line(line: str) -> str:
    line = _QUOTE.sub("", line.rstrip(), count=1) if _QUOTE.match(line) else line.rstrip()
    if heading := _HEADING.match(line):
        line = _CLOSING_HASHES.sub("", line[heading.end() :])
    line = _ESCAPE.sub(lambda match: chr(0xE000 + ord(match[1])), line)
    if row := _TABLE_ROW.match(line):
        line = CELL_SEPARATOR.join(cell.strip() for cell in row[1].split("|"))
    pieces = _CODE_SPAN.split(line)  # text, backticks, code, text, backticks, code, ..., text
    pieces[0::3] = [_without_marks(text) for text in pieces[0::3]]
    del pieces[1::3]
    return _HIDDEN.sub(lambda match: chr(ord(match[0]) - 0xE000), "".join(pieces))


def _without_marks(text: str) -> str:
    text = _LINE_BREAK.sub(" ", text)
    text = _IMAGE_OR_LINK.sub(r"\1", _IMAGE_OR_LINK.sub(r"\1", text))  # twice: an image may be a link's text
    text = _AUTOLINK.sub(r"\1", text)
    for pattern in _EMPHASIS:
        text = pattern.sub(r"\2", text)
    return html.unescape(text)

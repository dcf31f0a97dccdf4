"""What the characters of a line say about its block: list markers, ends of sentences, program code."""

from __future__ import annotations

import re
import unicodedata

from one_ocr_ray.policy.layout.text import CJK_RANGE

BULLET = "-"  # how every bullet is written in Markdown

_BULLETS = "•●▪■◦○‣⁃∙►▶◆◇·"
_BULLET = re.compile(rf"(?:[{_BULLETS}]\s*|[-–—*](?:\s+|(?=[{CJK_RANGE}])))(?=\S)")
_NUMBER = re.compile(rf"(\d{{1,3}}[.)])(?:\s+|(?=[{CJK_RANGE}]))(?=\S)")
_LONE_MARKER = re.compile(rf"[-–—*{_BULLETS}$%#]|\(?(?:\d{{1,3}}|[a-z]|[ivx]{{1,5}})[.)]|\d{{1,2}}(?:\.\d{{1,3}})*\.?")
# Not list markers in Markdown, but they start something new on the page all the same.
_OTHER = re.compile(
    r"[(（](?:[\divx一二三四五六七八九十]{1,4}|[a-z])[)）]|\[\d{1,3}\]|[一二三四五六七八九十\d]{1,3}、|[①-⑳]|[a-z][.)]\s"
)
_SECTION = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+|[一二三四五六七八九十]{1,3}、\s*)[^\W\d_]")
_CAPTION = re.compile(
    r"(?:(?i:figure|fig\.?|table|tab\.|chart|exhibit|scheme|listing|algorithm|abbildung|abb\.|tabelle|tableau)|图|表|圖|図)"
    r"\s*(?:\d{1,3}|[A-Z]\d{0,2}|[IVX]{1,5})(?:[-.]\d{1,3})*(?P<end>\s*[.:：|]|\s|$)"
)
_FOOTNOTE = re.compile(r"([*†‡§¶]{1,2}|\d{1,2}|\d?[⁰¹²³⁴-⁹]{1,2}|\(\d{1,2}\)|\[\d{1,2}\]|[①-⑳])\s?[^\W\d_]")
_RAISED_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_CHAPTER = re.compile(
    r"[^\W\d_]{2,10}\s*(?:\d{1,3}|[IVX]{1,4}|[A-Z]|[一二三四五六七八九十]{1,3})|第\S{1,4}[章节部课编篇]"
)
_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’）)]?$")
_CODE = re.compile(
    r"""^[$%]\s+[\w./~]              # a command after a prompt
    |^\#!|\\$                       # a script's first line, a continued line
    |[{}]$|^[)\]}]+[;,]?$           # braces
    |(?:=|\w[(\[]).*;$|^return\b.*;$
    |^</?[A-Za-z][\w-]*[\s/>]       # a tag
    |==|=>|&&|::|\w->\w|\w\(\)$
    |^(?:if|elif|for|while|switch)\s*\(
    |^(?:def|class|function)\s+\w+\s*[(:{]
    |^(?:import|from|include)\s+[\w.]+(?:\s+import\b|;?$)""",
    re.VERBOSE,
)
_INDEX_ENTRY = re.compile(r"\D,\s?\d{1,4}(?:[,–-]\s?\d{1,4})*,?$")


def is_index_entry(text: str) -> bool:
    """True if a text may be an entry of an index: words, a comma, and the pages where they stand."""
    return _INDEX_ENTRY.search(text) is not None


def starts_item(text: str) -> bool:
    """True if a line starts with a bullet, a number or a letter that counts."""
    return any(pattern.match(text) for pattern in (_BULLET, _NUMBER, _OTHER))


def is_bulleted(text: str) -> bool:
    return _BULLET.match(text) is not None


def split_item(text: str) -> tuple[str, str] | None:
    """The Markdown marker and the text of a list item; None for any other text."""
    if match := _BULLET.match(text):
        return BULLET, text[match.end() :]
    if match := _NUMBER.match(text):
        return match[1], text[match.end() :]
    return None


def is_marker(text: str) -> bool:
    """True if `text` is nothing but a marker or a section number, waiting for its text."""
    return _LONE_MARKER.fullmatch(text) is not None


def ends_sentence(text: str) -> bool:
    return _SENTENCE_END.search(text) is not None


def is_section_title(text: str) -> bool:
    """True if a line reads like "3 Results", "2.1. Method" or "二、方法"."""
    return _SECTION.match(text) is not None and not ends_sentence(text)


def is_chapter_label(text: str) -> bool:
    """True if `text` is a short name with a number, such as "Part 1", "Annex B" or "第六章"."""
    return _CHAPTER.fullmatch(text) is not None


def section_depth(text: str) -> int:
    """How deep a section is by its number: 2 for "2.1 Method"; 0 without a number."""
    match = re.match(r"\d{1,2}(?:\.\d{1,2})*(?=\.?\s)", text)
    return match[0].count(".") + 1 if match else 0


def starts_caption(text: str) -> bool:
    """True if a line starts with the name and number of a figure or table; a sentence about it may, too."""
    return _CAPTION.match(text) is not None


def ends_caption_number(text: str) -> bool:
    """True if a mark parts that number from what follows, as no sentence has it."""
    match = _CAPTION.match(text)
    return match is not None and match["end"].strip() != ""


def symbol_of_note(text: str) -> str:
    """The sign that a line starts with as a footnote does, such as a star; empty without one."""
    match = re.match(r"([*†‡§¶]{1,3})\s?[^\W\d_]", text)
    return match[1] if match else ""


def reference_to_note(text: str) -> re.Pattern[str] | None:
    """Finds where a text refers to the note that is `text`: by a raised number, or by its sign as it stands."""
    match = _FOOTNOTE.match(text)
    if match is None:
        return None
    sign = match[1]
    if unicodedata.normalize("NFKC", sign).isdecimal():
        sign = unicodedata.normalize("NFKC", sign).translate(_RAISED_DIGITS)
    return re.compile(f"(?<![*†‡§¶⁰¹²³⁴-⁹]){re.escape(sign)}(?![*†‡§¶⁰¹²³⁴-⁹])")


def starts_footnote(text: str) -> bool:
    """True if a line starts with a note's mark."""
    return _FOOTNOTE.match(text) is not None


def ends_statement(text: str) -> bool:
    """True if a line ends as lines of programs do and rows of tables do not."""
    return text.endswith((",", ";", "{", "}"))


def has_words(text: str) -> bool:
    """True if there are two letters side by side, which numbers and most formulas do not have."""
    return re.search(r"[^\W\d_]{2}", text) is not None


def looks_like_code(text: str) -> bool:
    """True if a line reads like a command or a statement of a program rather than prose."""
    return _CODE.search(text) is not None


def continues_code(last: str, line: str) -> bool:
    """True if two lines that follow each other may be of one listing; the sentence before it is not."""
    return looks_like_code(last) or (looks_like_code(line) and not last.endswith((".", "。", ":", "：")))

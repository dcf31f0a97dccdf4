"""Parses lists of inputs as shells, editors and PowerShell write them."""

from __future__ import annotations

import codecs
import re

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(r"\r\n|\n|\r")  # no others: a file's name may hold U+2028


def parse_list(data: bytes) -> list[str]:
    """The names in a list: UTF-8, or UTF-16 with its byte order mark. One per line, or NUL-separated (`find -print0`).

    Lines are stripped; empty lines and those that begin with `#` are skipped. NUL-separated names stay as they are.
    A name that is not UTF-8 keeps its bytes. Raise UnicodeDecodeError for broken UTF-16.
    """
    if data.startswith(_UTF16):
        text = data.decode("utf-16")
    elif b"\0" in data:
        return [name for name in data.decode("utf-8", "surrogateescape").split("\0") if name]
    else:
        text = data.decode("utf-8-sig", "surrogateescape")
    lines = [line.strip() for line in _LINE_END.split(text)]
    return [line for line in lines if line and not line.startswith("#")]

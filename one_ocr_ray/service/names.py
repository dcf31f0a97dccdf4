"""File names from clients: made safe to show, and to name a download."""

from __future__ import annotations

import binascii
import re
import unicodedata
from contextlib import suppress
from urllib.parse import quote, unquote_to_bytes

_NAME_CHARACTERS = 200
_UNSAFE_IN_A_HEADER = re.compile(r"[^A-Za-z0-9 ._()+-]")
_PDF = re.compile(r"\.pdf$", re.IGNORECASE)
_UNNAMED = "document.pdf"


# The charsets in which clients write names. Not all that Python knows: some codecs take minutes for a long name.
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "windows-1252", "gb18030", "gbk", "gb2312", "big5"}) | {
    "shift_jis", "euc-jp", "iso-2022-jp", "euc-kr",
}  # fmt: skip
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EXTENDED = re.compile(r";\s*filename\*\s*=\s*([^\s';]+)'[^\s';]*'([^\s;]*)", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([BQ])\?([^?\s]*)\?=(?:\s+(?==\?))?", re.IGNORECASE)


def client_filename(disposition: bytes, filename: bytes | None) -> str:
    """The file name in a part's Content-Disposition; empty when there is none. `filename` is its parameter.

    `filename*` (RFC 5987) comes first. Else `filename` is UTF-8 (browsers), encoded words (RFC 2047, .NET) or
    percent-encoded (aiohttp). Anything else is taken as it is.
    """
    extended = _EXTENDED.search(_QUOTED.sub('""', disposition.decode("latin-1")))
    if extended and (name := _decoded(unquote_to_bytes(extended[2]), extended[1])) is not None:
        return name
    plain = _ENCODED_WORD.sub(_from_encoded_word, (filename or b"").decode("utf-8", "replace"))
    if "%" in plain and (name := _decoded(unquote_to_bytes(plain), "utf-8")) and not name.isascii():
        return name
    return plain


def _from_encoded_word(word: re.Match[str]) -> str:
    name = None
    with suppress(ValueError):
        data = word[3].encode()
        is_base64 = word[2] in "Bb"
        name = _decoded(
            binascii.a2b_base64(data, strict_mode=True) if is_base64 else binascii.a2b_qp(data, header=True), word[1]
        )
    return word[0] if name is None else name


def _decoded(data: bytes, charset: str) -> str | None:
    with suppress(UnicodeDecodeError):
        return data.decode(charset) if charset.lower() in _CHARSETS else None
    return None


def display_name(name: str) -> str:
    """`name` for display only: a path's last part, composed (NFC), 1 to 200 characters long.

    Control, direction and private characters are removed.
    """
    last = re.split(r"[/\\]", name[-4 * _NAME_CHARACTERS :])[-1]
    kept = "".join(each for each in unicodedata.normalize("NFC", last) if unicodedata.category(each)[0] not in "C")
    kept = " ".join(kept.split())
    if len(kept) > _NAME_CHARACTERS:
        ending = _PDF.search(kept)
        kept = kept[: _NAME_CHARACTERS - 4].rstrip() + ending[0] if ending else kept[:_NAME_CHARACTERS]
    return kept if kept.strip(". ") else _UNNAMED


def download_stem(filename: str) -> str:
    """The name of a download of the result of `filename`, without ending."""
    return _PDF.sub("", filename).strip(" .") or "document"


def content_disposition(filename: str) -> str:
    """The value of Content-Disposition that saves a body as `filename` (RFC 6266)."""
    plain = _UNSAFE_IN_A_HEADER.sub("_", unicodedata.normalize("NFKD", filename).encode("ascii", "replace").decode())
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

"""File names that strangers give: made fit to be shown, and to be sent back as the name of a download."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_NAME_CHARACTERS = 200
_UNSAFE_IN_A_HEADER = re.compile(r"[^A-Za-z0-9 ._()+-]")
_PDF = re.compile(r"\.pdf$", re.IGNORECASE)
_UNNAMED = "document.pdf"


def shown_name(name: str) -> str:
    """`name` for display only: its last part, composed (NFC), without control, direction and private characters, at
    most 200 characters long and never empty.
    """
    last = re.split(r"[/\\]", name[-4 * _NAME_CHARACTERS :])[-1]
    kept = "".join(each for each in unicodedata.normalize("NFC", last) if unicodedata.category(each)[0] not in "C")
    kept = " ".join(kept.split())
    if len(kept) > _NAME_CHARACTERS:
        ending = _PDF.search(kept)
        kept = kept[: _NAME_CHARACTERS - 4].rstrip() + ending[0] if ending else kept[:_NAME_CHARACTERS]
    return kept if kept.strip(". ") else _UNNAMED


def download_stem(filename: str) -> str:
    """What a download of `filename`'s result is called, without ending."""
    return _PDF.sub("", filename).strip(" .") or "document"


def attachment(filename: str) -> str:
    """The value of Content-Disposition that saves a body as `filename` (RFC 6266)."""
    plain = _UNSAFE_IN_A_HEADER.sub("_", unicodedata.normalize("NFKD", filename).encode("ascii", "replace").decode())
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

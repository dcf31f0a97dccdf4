"""Tells by its name if a file, object or archive member is a document.

A file that is named itself is read whatever its ending: the first bytes tell its kind, see `pdf/kinds.py`.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".heic")
COMIC, ZIP = ".cbz", ".zip"
ENDINGS = (".pdf", *IMAGE_ENDINGS, COMIC, ZIP)

_MEMBER = re.compile(r"(.*\.zip)#([^#]*)", re.IGNORECASE | re.DOTALL)


def is_document(name: str) -> bool:
    """True if a file in an archive is to be read, by its ending."""
    return name.lower().endswith((".pdf", *IMAGE_ENDINGS))


def is_input(name: str) -> bool:
    """True for a document, a comic book, or an archive of documents."""
    return name.lower().endswith(ENDINGS)


def is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def is_archive(name: str) -> bool:
    return name.lower().endswith((ZIP, COMIC))


def holds_documents(name: str) -> bool:
    """True if each member of the archive is a document of its own. A comic book is one document."""
    return name.lower().endswith(ZIP)


def member_uri(archive_uri: str, name: str) -> str:
    """The URI of a member: that of its archive, `#`, and its name with escapes."""
    return f"{archive_uri}#{quote(name, safe='/')}"


def split_member(uri: str) -> tuple[str, str] | None:
    """The URI of the archive and the name of the member that `uri` is of. None for what is no member.

    No other input has `.zip#` in its URI: a path with it becomes a `file://` URI, and a key with it is refused.
    """
    found = _MEMBER.fullmatch(uri)
    return (found[1], unquote(found[2])) if found else None

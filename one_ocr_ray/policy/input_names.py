"""Which files of a folder, a bucket or an archive are documents, by their names.

A file that is named itself is read whatever its ending: the first bytes tell its kind, see `pdf/kinds.py`.
"""

from __future__ import annotations

ENDINGS = (".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".heic")


def is_document(name: str) -> bool:
    """True if a file of a folder is to be read, by its ending in any case."""
    return name.lower().endswith(ENDINGS)

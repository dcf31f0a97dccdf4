"""Names and contents of exported files, from dataset rows."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.policy.page.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import DocumentResult, PageResult

# Characters that some file system refuses or a shell interprets, and control characters.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_ENDING = re.compile(r"\.pdf$", re.IGNORECASE)
_NAME_BYTES = 200


class ExportFormat(StrEnum):
    """Formats of `export`: a Markdown or plain-text file per document, or one file of JSON lines."""

    MD = "md"
    TXT = "txt"
    JSONL = "jsonl"
    DOLMA = "dolma"


class FileNames:
    """Names for exported documents: the source's name, with a number if several sources share it."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._taken: set[str] = set()

    def next(self, source_name: str) -> str:
        """A file name that is still free; upper and lower case count as the same."""
        stem = _UNSAFE.sub("_", _ENDING.sub("", source_name)).strip(" .") or "document"
        stem = stem.encode()[:_NAME_BYTES].decode(errors="ignore")
        name, number = stem, 2
        while name.casefold() in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name.casefold())
        return name + self._suffix


def text_of(document: DocumentResult, kind: ExportFormat) -> str:
    """The whole text of one document as Markdown or plain text, ending in a line break."""
    markdown = document.markdown or ""
    text = plain_text(markdown) if kind is ExportFormat.TXT else markdown
    return text.rstrip("\n") + "\n"


def json_line(document: DocumentResult, pages: Sequence[PageResult], kind: ExportFormat) -> bytes:
    """One document as one line of JSON: our own shape, or Dolma's (github.com/allenai/dolma)."""
    values = _dolma_line(document, pages) if kind is ExportFormat.DOLMA else _own_line(document, pages)
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _own_line(document: DocumentResult, pages: Sequence[PageResult]) -> dict[str, Any]:
    return {
        "document_id": document.document_id,
        "source_uri": document.source_uri,
        "source_name": document.source_name,
        "page_count": document.page_count,
        "outcome": document.outcome,
        "error": document.failure.code if document.failure else None,
        "markdown": document.markdown,
        "pages": [
            {
                "page_number": page.page_number,
                "status": page.status,
                "markdown": page.markdown,
                "data": orjson.Fragment(page.data) if page.data else None,
                "error": page.failure.code if page.failure else None,
            }
            for page in pages
        ],
    }


def _dolma_line(document: DocumentResult, pages: Sequence[PageResult]) -> dict[str, Any]:
    return {
        "id": document.document_id,
        "text": document.markdown or "",
        "source": "one-ocr-ray",
        "added": document.finished_at,
        "created": document.started_at,
        "metadata": {
            "Source-File": document.source_uri,
            "pdf-total-pages": document.page_count,
            "outcome": document.outcome,
            "total-input-tokens": document.input_tokens,
            "total-output-tokens": document.output_tokens,
        },
        "attributes": {
            "pdf_page_numbers": [
                [start, end, page.page_number]
                for (start, end), page in zip(pairwise((0, *document.page_ends)), pages, strict=True)
            ]
        },
    }

"""Names and contents of exported files, from dataset rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.blocks import Block, BlockKind, BlockSource
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.writers.alto import to_alto
from one_ocr_ray.policy.writers.hocr import to_hocr
from one_ocr_ray.policy.writers.placed import placed_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import TableGrid
    from one_ocr_ray.model import DocumentResult, PageResult

# Characters that some file system refuses or a shell interprets, and control characters.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_ENDING = re.compile(r"\.pdf$", re.IGNORECASE)
_NAME_BYTES = 200


class ExportFormat(StrEnum):
    """Formats of `export`: a file per document, tables or figures, or one JSON-lines file."""

    MD = "md"
    TXT = "txt"
    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    FIGURES = "figures"
    PDF = "pdf"  # the input files, searchable
    HOCR = "hocr"
    ALTO = "alto"
    JSONL = "jsonl"
    DOLMA = "dolma"


@dataclass(slots=True)
class ExportReport:
    """What an export has written, and of how many documents it left out."""

    documents: int = 0
    left_out: int = 0
    lacking: str = "text"  # what those that were left out do not have
    pieces: int | None = None  # tables or figures, where these have files of their own
    refused: int = 0  # documents not written, each for a reason that was reported
    unopened: int = 0  # documents whose file is not there any more, or is another one


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table of a document: the `number`-th on its page, counted from 1."""

    page_number: int
    number: int
    grid: TableGrid


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
    """The whole text of a document as Markdown or plain text, with a final newline."""
    markdown = document.markdown or ""
    text = plain_text(markdown) if kind is ExportFormat.TXT else markdown
    return text.rstrip("\n") + "\n"


def placed_text_of(name: str, pages: Iterable[PageResult], kind: ExportFormat) -> str:
    """One document with the places of its words, as hOCR or ALTO. Where no places are known they are guessed."""
    write = to_alto if kind is ExportFormat.ALTO else to_hocr
    return write(name, (placed_page(page) for page in pages))


def page_blocks(page: PageResult) -> tuple[Block, ...]:
    """The page's blocks; where none are known, those of its Markdown. Of a failed page a sentence that says so."""
    if page.status is PageStatus.FAILED:
        code = page.failure.code if page.failure else "unknown"
        return (Block(1, BlockKind.PARAGRAPH, f"[page {page.page_number} failed: {code}]"),)
    if page.blocks:
        return unpack(page.blocks, with_lines=False)
    return markdown_blocks(page.markdown or "", BlockSource.LLM)


def page_tables(pages: Iterable[PageResult]) -> list[PageTable]:
    """The tables of a document in reading order."""
    return [
        PageTable(page.page_number, number, grid)
        for page in pages
        for number, grid in enumerate((block.table for block in page_blocks(page) if block.table is not None), start=1)
    ]


def json_line(document: DocumentResult, pages: Sequence[PageResult], kind: ExportFormat) -> bytes:
    """One document as one line of JSON: our own shape, or Dolma's (github.com/allenai/dolma)."""
    values: dict[str, Any]
    if kind is ExportFormat.DOLMA:
        values = {
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
    else:
        values = {
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
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)

"""Comparing a dataset with a truth: a folder of texts, or another dataset. One shard of each is in memory at a time."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.evaluation.html_report import html_report
from one_ocr_ray.policy.evaluation.page_score import Truth, score_page
from one_ocr_ray.policy.evaluation.report import EvalReport, ScoredPage
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.run_dir import CONFIG
from one_ocr_ray.storage.store.uris import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import DocumentResult, PageResult
    from one_ocr_ray.policy.evaluation.page_score import PageScore

MOST_CHARACTERS = 200_000  # of a document that is compared as a whole: the time grows with their square
_PAGE = re.compile(r"(?P<name>.+?)\.p(?P<page>\d{1,7})", re.DOTALL)


class _Truths(Protocol):
    def of(self, document: DocumentResult, page_number: int | None) -> Truth | None:
        """What a page really says, or with None the whole document; None where nobody knows."""

    def unread(self) -> int:
        """How many truths were never asked for."""


def evaluate(output: str, truth: str) -> EvalReport:
    """Compare each page of the dataset at `output` that `truth` knows.

    `truth` is another dataset, whose good pages count as right, or a folder with `NAME.pN.md` or `.txt` for page N of
    the document NAME (with or without `.pdf`), and `NAME.md` or `.txt` for whole documents. A page that failed counts
    as empty. Raises UsageError where nothing can be compared.
    """
    is_dataset = is_remote(truth) or (Path(truth) / CONFIG).is_file()
    truths = _DatasetTruths(truth) if is_dataset else _FolderTruths(Path(truth))
    source, report = committed_documents(output), EvalReport()
    for shard in source.shards:
        for document, pages in source.with_pages(shard):
            for scored in _scored(document, pages, truths):
                if scored is None:
                    report.without_truth += 1
                else:
                    report.add(scored)
    if not report.all.pages:
        raise UsageError(f"--truth: {truth} knows no page of {output}; docs/evaluation.md says how to name files.")
    report.unread = truths.unread()
    return report


def _scored(document: DocumentResult, pages: list[PageResult], truths: _Truths) -> Iterator[ScoredPage | None]:
    """The document as a whole where its truth is one text, else each page. None for a page without a truth."""
    name, text = document.source_name, document.markdown
    if truth := truths.of(document, None):
        if max(len(truth.text), len(text or "")) > MOST_CHARACTERS:
            raise UsageError(f"--truth: {name} is too long to compare as a whole; give the truth of its pages.")
        readers = "+".join(sorted({page.engine for page in pages})) or "-"
        yield ScoredPage(name, None, readers, None, score_page(text, truth), text, truth)
        return
    for page in pages:
        if truth := truths.of(document, page.page_number):
            score = _score(page, truth)
            reason: str | None = getattr(page, "route_reason", None)
            yield ScoredPage(name, page.page_number, page.engine, reason, score, page.markdown, truth)
        else:
            yield None


def _score(page: PageResult, truth: Truth) -> PageScore:
    """The score of a page. A truth may hold the page's furniture, which its Markdown leaves out."""
    score = score_page(page.markdown, truth)
    if truth.is_markdown or page.blocks is None:
        return score
    blocks = unpack(page.blocks, with_lines=False)
    if not any(block.kind.is_furniture for block in blocks):
        return score
    shown = (replace(each, kind=BlockKind.PARAGRAPH) if each.kind.is_furniture else each for each in blocks)
    with_furniture = score_page(to_markdown(shown, page.page_number), truth)
    return min(score, with_furniture, key=lambda each: each.character_errors)


def write_html(report: EvalReport, file: Path) -> None:
    """Write the report as one HTML page. Raise UsageError when the file cannot be written."""
    try:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(html_report(report))
    except OSError as error:
        raise UsageError(f"--html: {file} cannot be written: {error.strerror}.") from error


class _FolderTruths:
    """Files by the name of their document and the page. Each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"--truth: there is no folder or dataset at {folder}.")
        self._files: dict[tuple[str, int | None], Path] = {}
        self._asked: set[tuple[str, int | None]] = set()
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in (".md", ".txt") and file.is_file():
                page = _PAGE.fullmatch(file.stem)
                key = (_stem(page["name"]), int(page["page"])) if page else (_stem(file.stem), None)
                self._files[key] = file

    def of(self, document: DocumentResult, page_number: int | None) -> Truth | None:
        key = _stem(document.source_name), page_number
        if (file := self._files.get(key)) is None:
            return None
        self._asked.add(key)
        try:
            return Truth(file.read_text(encoding="utf-8-sig"), is_markdown=file.suffix.lower() == ".md")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--truth: {file} cannot be read as UTF-8 text.") from error

    def unread(self) -> int:
        return len(self._files.keys() - self._asked)


class _DatasetTruths:
    """The pages of another dataset that did not fail, of the same bytes."""

    def __init__(self, uri: str) -> None:
        self._source = committed_documents(uri)
        self._asked: set[str] = set()
        self._pages = lru_cache(maxsize=2)(self._source.selected_pages)

    def of(self, document: DocumentResult, page_number: int | None) -> Truth | None:
        if page_number is None:
            return None
        for page in self._pages(document.document_id):
            if page.page_number == page_number and page.status is not PageStatus.FAILED:
                self._asked.add(document.document_id)
                return Truth(page.markdown or "", is_markdown=True)
        return None

    def unread(self) -> int:
        return len(self._source.document_ids - self._asked)


def _stem(name: str) -> str:
    return re.sub(r"\.pdf$", "", name, flags=re.IGNORECASE)

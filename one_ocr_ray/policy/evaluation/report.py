"""Sums up scored pages: all, by document, by reader, and by the reader's reason."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from one_ocr_ray.policy.evaluation.page_score import PageScore, Truth

WORST_PAGES = 20


@dataclass(frozen=True, slots=True)
class ScoredPage:
    """A page that has a truth. `page_number` is None where whole documents were compared."""

    source_name: str
    page_number: int | None
    reader: str
    reason: str | None
    score: PageScore
    markdown: str | None = field(repr=False)
    truth: Truth = field(repr=False)


@dataclass(slots=True)
class Totals:
    """The scores of some pages, added up."""

    pages: int = 0
    characters: int = 0
    character_errors: int = 0
    words: int = 0
    word_errors: int = 0
    words_found: int = 0
    words_in_order: int = 0
    tables: int = 0
    teds_sum: float = 0.0
    headings_true: int = 0
    headings_read: int = 0
    headings_found: int = 0
    headings_right: int = 0

    def add(self, score: PageScore) -> None:
        """Count one more page."""
        self.pages += 1
        self.tables += len(score.tables)
        self.teds_sum += sum(score.tables)
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(score, name))

    def figures(self) -> dict[str, Any]:
        """The measures, rounded: shares 0-1, None where there was nothing to measure."""
        recall = self.headings_found / self.headings_true if self.headings_true else 0.0
        precision = self.headings_right / self.headings_read if self.headings_read else 0.0
        f1 = round(2 * recall * precision / (recall + precision), 4) if recall + precision else 0.0
        return {
            "pages": self.pages,
            "cer": _share(self.character_errors, self.characters),
            "wer": _share(self.word_errors, self.words),
            "order": _share(self.words_in_order, self.words_found),
            "tables": self.tables,
            "teds": _share(self.teds_sum, self.tables),
            "headings": self.headings_true,
            "headings_f1": f1 if self.headings_true else None,
        }


_COUNTS = (
    *("characters", "character_errors", "words", "word_errors", "words_found", "words_in_order"),
    *("headings_true", "headings_read", "headings_found", "headings_right"),
)


@dataclass(slots=True)
class EvalReport:
    """What an evaluation found. `without_truth` pages were not compared; `unread` truths have no page."""

    all: Totals = field(default_factory=Totals)
    documents: dict[str, Totals] = field(default_factory=dict)
    readers: dict[str, Totals] = field(default_factory=dict)
    reasons: dict[str, Totals] = field(default_factory=dict)
    without_truth: int = 0
    unread: int = 0
    _worst: list[tuple[int, int, ScoredPage]] = field(default_factory=list)

    def add(self, page: ScoredPage) -> None:
        """Count a page in all the sums that it belongs to. The pages with the most errors are kept."""
        keys = ((self.documents, page.source_name), (self.readers, page.reader), (self.reasons, page.reason or "-"))
        for totals in (self.all, *(group.setdefault(key, Totals()) for group, key in keys)):
            totals.add(page.score)
        heapq.heappush(self._worst, (page.score.character_errors, -self.all.pages, page))
        if len(self._worst) > WORST_PAGES:
            heapq.heappop(self._worst)

    def worst(self) -> list[ScoredPage]:
        """The pages with the most wrong characters, the worst first; none without an error."""
        return [page for errors, _, page in sorted(self._worst, reverse=True) if errors]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values: `all`, and the same by document, reader and reason."""
        return {
            "all": self.all.figures(),
            "documents": {name: totals.figures() for name, totals in sorted(self.documents.items())},
            "readers": {name: totals.figures() for name, totals in sorted(self.readers.items())},
            "route_reasons": {name: totals.figures() for name, totals in sorted(self.reasons.items())},
            "worst": [
                {"source_name": page.source_name, "page_number": page.page_number, "cer": round(page.score.cer, 4)}
                for page in self.worst()
            ],
            "without_truth": self.without_truth,
            "unread": self.unread,
        }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None

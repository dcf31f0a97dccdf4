"""The audit of a run: some pages get a second reader, and both are compared. Decisions only."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.intervals import clustered
from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.policy.route.chain import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class AuditedPage:
    """A page that two readers have read. The row of the dataset is that of the first, `reader`."""

    document_id: str
    page_number: int
    reader: str
    reason: str | None
    second: str
    cost_usd: float | None  # of the second reading; None: unknown
    words: int  # of the longer reading
    word_errors: int | None  # None: the second reader gave no answer
    markdown: str | None = field(repr=False)  # of the second reading


def is_audited(document_id: str, page_number: int, share: float) -> bool:
    """True for that share of all pages. It is the same in every run, and part of any larger share."""
    digest = hashlib.sha256(f"{document_id} {page_number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def second_reader(names: Sequence[str], answered: str) -> str | None:
    """Who audits a page that `answered` read: the next reader, else the embedded engine.

    None where that is the same one, or was asked already and has passed the page on.
    """
    later = names[names.index(answered) + 1 :]
    return later[0] if later else None if LOCAL in names else LOCAL


def audit_report(share: float, pages: Iterable[AuditedPage]) -> dict[str, Any]:
    """The `audit` of a summary: the share of differing words, with its 95 % interval."""
    pages = list(pages)
    by_reader, by_reason = defaultdict(list), defaultdict(list)
    for page in pages:
        by_reader[page.reader].append(page)
        by_reason[page.reason or "-"].append(page)
    return {
        "share": share,
        "cost_usd": sum_known(page.cost_usd for page in pages),
        **_figures(pages),
        "readers": {name: _figures(own) for name, own in sorted(by_reader.items())},
        "route_reasons": {name: _figures(own) for name, own in sorted(by_reason.items())},
    }


def audit_line(report: Mapping[str, Any]) -> str:
    """One line on an audit."""
    if report["disagreement"] is None:
        return f"Audit: no page was read by two readers ({report['unanswered']} without an answer of the second)"
    parts = [
        f"{name} {_shares_text(figures)}"
        for name, figures in report["readers"].items()
        if figures["disagreement"] is not None
    ]
    return f"Audit: of {report['words']:,} words {_shares_text(report)} differ: {', '.join(parts)}"


def _figures(pages: Sequence[AuditedPage]) -> dict[str, Any]:
    parts = [(page.word_errors, page.words) for page in pages if page.word_errors is not None]
    errors, words = sum(own for own, _ in parts), sum(of for _, of in parts)
    low, high = clustered(parts)
    return {
        "pages": len(parts),
        "unanswered": len(pages) - len(parts),
        "words": words,
        "word_errors": errors,
        "disagreement": round(errors / words, 4) if words else None,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def _shares_text(figures: Mapping[str, Any]) -> str:
    interval = f"{100 * figures['low']:.1f}-{100 * figures['high']:.1f} %"
    return f"{100 * figures['disagreement']:.1f} % ({interval}, {figures['pages']} pages)"

"""Writes an evaluation as one HTML page: figures, and the worst pages with marked differences."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from one_ocr_ray.policy.layout.text import CJK_RANGE
from one_ocr_ray.policy.page.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from one_ocr_ray.policy.evaluation.report import EvalReport, Totals

MOST_WORDS = 5_000  # of a page that is shown; comparing takes time with their square
# What is marked: a word, or a character where there are no spaces.
_PIECES = re.compile(f"[{CJK_RANGE}]|[^{CJK_RANGE}]+")
COLUMNS = {
    "pages": "pages", "cer": "CER", "wer": "WER", "order": "order", "tables": "tables", "teds": "TEDS",
    "headings": "headings", "headings_f1": "F1 of headings",
}  # fmt: skip

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>one-ocr eval</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 12rem }
tr + tr { border-top: 1px solid #8884 }
.page { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem }
.page > div { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8886; padding: 1rem }
del { background: #d332; color: inherit } ins { background: #2a23; color: inherit; text-decoration: none }
@media (max-width: 50rem) { .page { grid-template-columns: 1fr } }
</style></head><body><h1>one-ocr eval</h1>
"""


def html_report(report: EvalReport) -> Iterator[str]:
    """The page in pieces. All text of documents is escaped; nothing is loaded from elsewhere."""
    yield _HEAD
    yield from _table("All", {"all": report.all})
    for title, group in (
        ("By reader", report.readers),
        ("By route reason", report.reasons),
        ("By document", report.documents),
    ):
        yield from _table(title, group)
    worst = report.worst()
    told = "Left the truth, right what was read; marked is what differs." if worst else "No page has an error."
    yield f"<h2>Worst pages</h2><p>{told}</p>\n"
    for page in worst:
        where = page.source_name + (f", page {page.page_number}" if page.page_number is not None else "")
        yield f"<h3>{escape(where)}: character errors {page.score.cer:.1%} ({escape(page.reader)})</h3>\n"
        truth = plain_text(page.truth.text) if page.truth.is_markdown else page.truth.text
        left = right = ""
        expected, read = _spaced(truth), _spaced(plain_text(page.markdown or ""))
        for step in Levenshtein.opcodes([word.strip() for word in expected], [word.strip() for word in read]):
            old = escape("".join(expected[step.src_start : step.src_end]))
            new = escape("".join(read[step.dest_start : step.dest_end]))
            left += old if step.tag == "equal" or not old else f"<del>{old}</del>"
            right += new if step.tag == "equal" or not new else f"<ins>{new}</ins>"
        yield f'<div class="page"><div>{left}</div><div>{right}</div></div>\n'
    yield "</body></html>\n"


def _table(title: str, group: Mapping[str, Totals]) -> Iterator[str]:
    heads = "".join(f"<th>{head}</th>" for head in COLUMNS.values())
    yield f"<h2>{title}</h2><table><tr><th></th>{heads}</tr>\n"
    for name, totals in sorted(group.items()):
        figures = totals.figures()
        cells = "".join(f"<td>{_told(figures[column])}</td>" for column in COLUMNS)
        yield f"<tr><td>{escape(name)}</td>{cells}</tr>\n"
    yield "</table>\n"


def _told(figure: float | None) -> str:
    return "" if figure is None else f"{figure:,}" if isinstance(figure, int) else f"{figure:.4f}"


def _spaced(text: str) -> list[str]:
    """The words of `text`, each with the white space behind it."""
    words: list[str] = []
    for line in text.splitlines():
        own = line.split()
        for number, word in enumerate(own, 1):
            *begin, end = _PIECES.findall(word)
            words += [*begin, end + ("\n" if number == len(own) else " ")]
    return words[:MOST_WORDS]

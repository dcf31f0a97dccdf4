"""The proof at a run's end: each planned document and selected page has a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Numbers of documents and pages that an output holds or should hold."""

    documents: int = 0
    pages: int = 0


def missing_rows(planned: RowCounts, found: RowCounts, output: str) -> str | None:
    """One sentence if the rows of `output` are not those of its plan. None if they are."""
    if planned == found:
        return None
    return (
        f"{output} has {found.documents:,} documents where {planned.documents:,} are planned, and {found.pages:,} "
        f"pages where {planned.pages:,} are. Do all nodes share that folder? `one-ocr verify` names what is missing."
    )

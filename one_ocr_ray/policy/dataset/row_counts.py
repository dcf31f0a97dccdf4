"""The proof at a run's end: each planned input has its row in `documents`, each selected page its row in `pages`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many documents and pages an output should hold, or holds."""

    documents: int = 0
    pages: int = 0


def difference(planned: RowCounts, found: RowCounts, output: str) -> str | None:
    """One sentence where what was found in the dataset at `output` is not what its plan says; None where it is."""
    if planned == found:
        return None
    return (
        f"{output} has {found.documents:,} documents where {planned.documents:,} are planned, and {found.pages:,} "
        f"pages where {planned.pages:,} are. Do all nodes share that folder? `one-ocr verify` names what is missing."
    )

"""Writing tables for spreadsheets: rows of cells, as CSV. No cell of a page can become a formula."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Text that a spreadsheet program takes for a formula in a CSV file; a lone dash or a signed number is not one.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20].*\w", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[\d.,' \u00a0]*\d[\d.,' \u00a0]*%?")


def is_formula(text: str) -> bool:
    """True if a spreadsheet program may take a cell for a formula."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def to_csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV (RFC 4180). An apostrophe stands before what may be taken for a formula."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([f"'{text}" if is_formula(text) else text for text in row] for row in rows)
    return out.getvalue()

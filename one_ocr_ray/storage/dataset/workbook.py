"""Spreadsheets as files: one workbook, a sheet for each table. All cells are text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import xlsxwriter

from one_ocr_ray.policy.writers.cells import is_formula

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from one_ocr_ray.policy.dataset.export import PageTable

MOST_CHARACTERS = 32_767  # of a cell; Excel takes no more


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table in a workbook. `head_rows` are printed bold."""

    name: str
    rows: Sequence[Sequence[str]]
    head_rows: int = 0


def sheets_of(tables: Iterable[PageTable]) -> list[Sheet]:
    """A sheet for each table, named by its page."""
    return [
        Sheet(f"page {table.page_number} table {table.number}", table.grid.texts(), table.grid.header_rows)
        for table in tables
    ]


def write_workbook(file: Path | BinaryIO, sheets: Sequence[Sheet], created: datetime) -> None:
    """Write `sheets` to `file`. What looks like a formula is marked as text, so that it stays text when edited."""
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"created": created.replace(tzinfo=None)})
        styles = {
            (bold, quoted): book.add_format({"bold": bold, "quote_prefix": quoted})
            for bold in (True, False)
            for quoted in (True, False)
        }
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            for row, texts in enumerate(sheet.rows):
                for col, text in enumerate(texts):
                    style = styles[row < sheet.head_rows, is_formula(text)]
                    page.write_string(row, col, text[:MOST_CHARACTERS], style)

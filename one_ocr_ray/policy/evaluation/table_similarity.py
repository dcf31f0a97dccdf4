"""TEDS: how alike two tables are, by edits between their trees (Zhong et al., 2020)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from apted import APTED, Config
from rapidfuzz.distance import Levenshtein

if TYPE_CHECKING:
    from one_ocr_ray.blocks import TableGrid

MOST_NODES = 1_500  # rows and cells; the time grows with the square of them: some 30 s for two tables of this size


@dataclass(frozen=True, slots=True)
class _Node:
    """A table, a row or a cell."""

    tag: str
    spans: tuple[int, int] = (1, 1)
    text: str = ""
    children: tuple[_Node, ...] = ()


class _Edits(Config):  # type: ignore[misc]
    def rename(self, a: _Node, b: _Node) -> float:
        if (a.tag, a.spans) != (b.tag, b.spans):
            return 1.0
        return float(Levenshtein.normalized_distance(a.text, b.text)) if a.text or b.text else 0.0

    def children(self, node: _Node) -> tuple[_Node, ...]:
        return node.children


def teds(found: TableGrid | None, truth: TableGrid) -> float:
    """0-1, 1 for the same cells with the same text; white space does not count.

    0 where nothing was found, or too much to compare.
    """
    if found is None or max(_size(found), _size(truth)) > MOST_NODES:
        return 0.0
    edits: float = APTED(_tree(found), _tree(truth), _Edits()).compute_edit_distance()
    return max(0.0, 1 - edits / max(_size(found), _size(truth)))


def _tree(table: TableGrid) -> _Node:
    rows = []
    for _, cells in groupby(table.cells, key=lambda cell: cell.row):
        texts = [(cell, "".join(unicodedata.normalize("NFKC", cell.text).split())) for cell in cells]
        leaves = tuple(_Node("td", (cell.row_span, cell.col_span), text) for cell, text in texts)
        rows.append(_Node("tr", children=leaves))
    return _Node("table", children=tuple(rows))


def _size(table: TableGrid) -> int:
    return 1 + len({cell.row for cell in table.cells}) + len(table.cells)

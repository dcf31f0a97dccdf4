"""Tables with rulings: the faces between drawn lines are cells; where a line is missing, a cell goes on.

Where nothing is drawn between rows or columns of text, the text parts them as in a table without rulings.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import rows
from one_ocr_ray.policy.layout.tables.alignment import columns, grouped, overlap
from one_ocr_ray.policy.layout.tables.grid import Places, is_number
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import Row, Segment
    from one_ocr_ray.policy.layout.tables.rulings import Frame, Rule

COVERED = 0.5  # of an edge is drawn: the edge is there
MOST_EDGES = 150  # rows or columns of one table
# Multiples of the line height.
SAME_EDGE = 0.5  # edges that are less apart are one
OUTSIDE = 0.8  # how far rules reach beyond the last one across before another cell lies there
CELL_GAP = 0.9  # between columns that nothing is drawn between
CROSSING = 0.3  # text that reaches this far over an edge stands on both sides


@dataclass(frozen=True, slots=True)
class Edge:
    """A line through the whole grid at which cells may end. `soft`: text alone says so."""

    at: float
    drawn: tuple[Rule, ...] = ()
    soft: bool = False

    def covers(self, start: float, end: float) -> bool:
        """True if enough is drawn between `start` and `end`."""
        inked = sum(max(0.0, min(rule.end, end) - max(rule.start, start)) for rule in self.drawn)
        return inked >= COVERED * (end - start)

    def parts(self, segments: Sequence[Segment], reach: float) -> bool:
        """True if text parts two columns where nothing is drawn: it stands on both sides of the edge and not across.

        `segments`: those between the next edges that are drawn.
        """
        if any(s.left < self.at - reach and s.right > self.at + reach for s in segments):
            return False
        left = [s for s in segments if s.right <= self.at + reach]
        return self.soft or any(a.stands_beside(b) for a in left for b in segments if b.left >= self.at - reach)


def lattice(frame: Frame, inside: Sequence[Segment], height: float) -> Places | None:
    """The grid that the rules of a frame and the text `inside` of it make; None where there is none."""
    across = _edges(frame.level, frame.top, frame.bottom, height)
    down = _edges(frame.upright, frame.left, frame.right, height)
    if max(len(across), len(down)) > MOST_EDGES:
        return None
    down = _with_soft_columns(down, inside, height)
    across = _with_soft_rows(across, down, inside, height)
    if min(len(across), len(down)) < 3 or max(len(across), len(down)) > MOST_EDGES:
        return None
    return _places(across, down, inside, CROSSING * height)


def _edges(rules: Sequence[Rule], low: float, high: float, height: float) -> list[Edge]:
    """Rules at about one place are one edge; what reaches beyond the outermost ones has an edge at its end."""
    ordered = sorted(rules, key=lambda r: r.at)
    groups = runs(ordered, lambda group, rule: rule.at - group[0].at <= SAME_EDGE * height)
    found = [Edge(sum(r.at * r.length for r in g) / sum(r.length for r in g), tuple(g)) for g in groups]
    if not found or found[0].at - low > OUTSIDE * height:
        found.insert(0, Edge(low))
    if high - found[-1].at > OUTSIDE * height:
        found.append(Edge(high))
    return found


def _with_soft_columns(down: Sequence[Edge], inside: Sequence[Segment], height: float) -> list[Edge]:
    edges = [down[0]]
    for left, right in pairwise(down):
        strip = rows(s for s in inside if left.at <= (s.left + s.right) / 2 < right.at)
        several = [row for row in strip if len(row) > 1]
        gaps = [b.left - a.right for row in several for a, b in pairwise(row)]
        if len(several) > 1 and 2 * len(several) >= len(strip) and median(gaps) >= CELL_GAP * height:
            edges += [Edge((a[1] + b[0]) / 2, soft=True) for a, b in pairwise(columns(strip))]
        edges.append(right)
    return edges


def _with_soft_rows(
    across: Sequence[Edge], down: Sequence[Edge], inside: Sequence[Segment], height: float
) -> list[Edge]:
    cols = [(a.at, b.at) for a, b in pairwise(down)]
    edges = [across[0]]
    for number, (top, bottom) in enumerate(pairwise(across)):
        band = rows(s for s in inside if top.at <= s.middle < bottom.at)
        is_head = number == 0 and len(across) > 3
        if len(band) > 1 and not is_head and are_rows(band, cols, few=len(across) <= 4):
            groups = grouped(band, cols, height)
            for above, below in pairwise(groups):
                foot = max(cell.bottom for row in above for cell in row)
                edges.append(Edge((foot + min(cell.top for row in below for cell in row)) / 2, soft=True))
        edges.append(bottom)
    return edges


def are_rows(band: Sequence[Row], cols: Sequence[tuple[float, float]], *, few: bool) -> bool:
    """True if lines between two rules are rows of the table, not lines of one row."""
    by_column = [[cell for row in band for cell in row if overlap(cell, col) > cell.width / 2] for col in cols]
    numbers = sum(sum(is_number(cell.text) for cell in cells) > 1 for cells in by_column)
    return numbers > 0 or (few and len(band) > 2 and sum(len(cells) == len(band) for cells in by_column) > 1)


def _places(across: Sequence[Edge], down: Sequence[Edge], inside: Sequence[Segment], reach: float) -> Places:
    places = Places(len(across) - 1, len(down) - 1)
    by_row: list[list[Segment]] = [[] for _ in range(places.rows)]
    for segment in inside:
        by_row[_between(across, segment.middle)].append(segment)
    for row, (top, bottom) in enumerate(pairwise(across)):
        drawn = [at for at, edge in enumerate(down) if at in {0, len(down) - 1} or edge.covers(top.at, bottom.at)]
        for first, last in pairwise(drawn):
            near = [s for s in by_row[row] if s.left < down[last].at and s.right > down[first].at]
            for at in range(first + 1, last):
                if not down[at].parts(near, reach):
                    places.join((row, at - 1), (row, at))
    for row, edge in enumerate(across[1:-1]):
        for col, (left, right) in enumerate(pairwise(down)):
            if not edge.soft and not edge.covers(left.at, right.at):
                places.join((row, col), (row + 1, col))
    for segment in inside:
        _put(places, _between(across, segment.middle), segment, down)
    return places


def _put(places: Places, row: int, segment: Segment, down: Sequence[Edge]) -> None:
    """Put a segment in its cell; one that reaches over the edge between two cells is parted there."""
    start = 0
    cols = [_between(down, (word.left + word.right) / 2) for word in segment.words]
    for end in range(1, len(cols) + 1):
        if end == len(cols) or places.cell(row, cols[end]) != places.cell(row, cols[start]):
            places.texts[row][cols[start]].append(replace(segment, words=segment.words[start:end]))
            start = end


def _between(edges: Sequence[Edge], at: float) -> int:
    """Between which edges, counted from 0, `at` lies."""
    return min(max(bisect_right(edges, at, key=lambda edge: edge.at) - 1, 0), len(edges) - 2)

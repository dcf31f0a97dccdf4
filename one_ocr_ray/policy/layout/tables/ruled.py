"""The tables of a page that are drawn with lines: which frames are tables, and what they hold.

A box around a paragraph, the lines between the columns of a newspaper and the grid of a chart are not tables.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Box
from one_ocr_ray.policy.layout.geometry import PlacedWord, gap, line_height, rows, strips
from one_ocr_ray.policy.layout.kinds.marks import is_marker
from one_ocr_ray.policy.layout.places import around
from one_ocr_ray.policy.layout.reading_order import COLUMN_WIDTH, text_width
from one_ocr_ray.policy.layout.tables.alignment import columns, first_head, grouped, heads, level_rows, overlap, placed
from one_ocr_ray.policy.layout.tables.lattice import are_rows, lattice
from one_ocr_ray.policy.layout.tables.rulings import Frame, Rule, frames
from one_ocr_ray.policy.layout.tables.unruled import TableStrip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.content import Ruling
    from one_ocr_ray.policy.layout.geometry import Row, Segment
    from one_ocr_ray.policy.layout.kinds.labels import Labels
    from one_ocr_ray.policy.layout.tables.alignment import Interval
    from one_ocr_ray.policy.layout.tables.grid import Places, PrintedTable

MANY_LINES = 8  # a cell with more is a column of a page
NAMED = 0.6  # of the cells of the first row and of the first column say something, or
FILLED_ROWS = 3  # one row in three has two cells that do
SURE_FIGURE = 0.9  # the score of a region
FULL = 0.6  # of the cells of a table that a figure could be
TORN = 1.5  # times as many pieces as segments: the text keeps to no cells, as in a chart
LINES_OF_A_CELL = 4  # beside each other cell of one line
BANDS_OF_A_PAGE = 2  # between level rules, at most, where upright ones stand between columns of running text
PROSE_LINES = 3  # between two rules; more may be running text
THROUGH = 0.8  # of the width of the others has a rule that goes through
# Multiples of the line height.
CELL_GAP = 0.9  # between two cells of a line that nothing is drawn between
NEAR = 1.0  # rows above the first rule that belong to the table are nearer
INSIDE = 0.3  # text may reach this far out of its frame


@dataclass(frozen=True, slots=True)
class _Found:
    """A table, the segments that it is made of, and where it is on the straightened page."""

    table: PrintedTable
    taken: frozenset[Segment]
    left: float
    top: float
    right: float
    bottom: float

    def box(self, angle: float, pt_per_unit: float) -> Box:
        """Where it is on the page, which was turned back by `angle`, in points."""
        cos, sin = math.cos(angle) * pt_per_unit, math.sin(angle) * pt_per_unit
        corners = product((self.left, self.right), (self.top, self.bottom))
        points = [(round(x * cos - y * sin, 2), round(x * sin + y * cos, 2)) for x, y in corners]
        return around([Box(x, y, x, y) for x, y in points])

    def is_figure(self, labels: Labels) -> bool:
        """True if the layout model sees a figure, and no table, where most of the segments are.

        A grid of three rows and columns stays a table if most cells have text, or all that name a row or a column.
        """
        figures = sum(labels.score(s, "figure") >= SURE_FIGURE > labels.score(s, "table") for s in self.taken)
        grid = self.table.grid
        filled = sum(bool(cell.text) for cell in grid.cells) >= FULL * len(grid.cells)
        named = all(cell.text for cell in grid.cells if cell.row == 0 or cell.col == 0)
        return 2 * figures > len(self.taken) and not (min(grid.rows, grid.cols) > 2 and (filled or named))


def with_ruled_tables(
    rulings: Sequence[Ruling], angle: float, segments: Sequence[Segment], labels: Labels
) -> tuple[Segment, ...]:
    """The segments of a page, with strips of tables in the place of what stands in them.

    The page was turned back by `angle` (radians). No segment is in two tables: frames whose lines cross come first, of
    these the larger ones. What `labels` calls a figure has to be a table without doubt.
    """
    left = list(segments)
    if not rulings or not left:
        return tuple(left)
    height = line_height(left)
    tables: list[Segment] = []
    found = frames(rulings, angle, left, height)
    for frame in sorted(found, key=lambda f: (not f.upright, (f.top - f.bottom) * (f.right - f.left))):
        reach = INSIDE * height
        beside = [s for s in left if frame.left - reach <= s.left and s.right <= frame.right + reach]
        result = (_crossed if frame.upright else _stacked)(frame, beside, height) if len(beside) > 1 else None
        if result is not None and not result.is_figure(labels):
            text, tops = strips(result.left, result.top, result.right, result.bottom, height)
            taken = [s for s in left if s in result.taken]  # in the order of the page, which a set has not
            printed = tuple(word for segment in taken for placed in segment.words for word in placed.printed)
            words = (PlacedWord(text, result.left, result.right, printed),)
            table = replace(result.table, box=result.box(angle, labels.pt_per_unit))
            tables += [TableStrip(words, top, top + height, taken[0].line, table) for top in tops]
            left = [s for s in left if s not in result.taken]
    return (*left, *tables)


def _crossed(frame: Frame, around: Sequence[Segment], height: float) -> _Found | None:
    inside = [s for s in around if frame.top < s.middle < frame.bottom]
    tops = [frame.top, *(rule.at for rule in frame.level), frame.bottom]
    bands = [band for a, b in pairwise(tops) if (band := rows(s for s in inside if a <= s.middle < b))]
    sides = [(a.at, b.at) for a, b in pairwise((Rule(frame.left, 0, 0), *frame.upright, Rule(frame.right, 0, 0)))]
    if len(bands) <= BANDS_OF_A_PAGE and _is_prose(bands, sides, height):
        return None
    places = lattice(frame, inside, height)
    if places is None or not _is_table(places):
        return None
    # There are more pieces of text in the cells than there were where the edges run through words.
    if sum(len(texts) for row in places.texts for texts in row) > TORN * len(inside):
        return None
    return _Found(places.table(), frozenset(inside), frame.left, frame.top, frame.right, frame.bottom)


def _is_table(places: Places) -> bool:
    """True if a grid is one of a table: two rows and columns at least, its cells filled, or named by its first row and
    column; no cell of a page's column, no list.
    """
    grid = places.table().grid
    filled = [cell for cell in grid.cells if cell.text]
    if min(grid.rows, grid.cols) < 2 or len(filled) < 3:
        return False
    by_row = Counter(cell.row for cell in filled)
    firsts = [bool(cell.text) for cell in grid.cells if cell.col == 0]
    heads = [bool(cell.text) for cell in grid.cells if cell.row == 0]
    named = min(sum(firsts) / len(firsts), sum(heads) / len(heads)) >= NAMED
    if not named and FILLED_ROWS * sum(count > 1 for count in by_row.values()) < grid.rows:
        return False
    if grid.cols == 2 and 2 * sum(is_marker(cell.text) for cell in filled if cell.col == 0) > len(firsts):
        return False
    lines = [len(rows(texts)) for row in places.texts for texts in row if texts]
    return 2 * sum(count for count in lines if count > MANY_LINES) < sum(lines)


def _stacked(frame: Frame, around: Sequence[Segment], height: float) -> _Found | None:
    """The table between level rules: the longest stretch of bands whose text stands in columns."""
    inside = [s for s in around if frame.top < s.middle < frame.bottom]
    rules, bands = _stretch(frame, inside, height)
    if not bands:
        return None
    above = _beyond(bands, [s for s in around if s.middle < rules[0].at], rules[0].at, height)
    below = _beyond(bands, [s for s in around if s.middle > rules[-1].at], rules[-1].at, height)
    run = (*above, *chain.from_iterable(bands), *below)
    cols = columns(run)
    if len(cols) < 2 or sum(len(row) > 1 for row in run) < 2 or _is_prose(bands, cols, height):
        return None
    # Rules that do not go through part cells, unless they stand under the heads of several columns.
    full = [at for at, rule in enumerate(rules) if rule.length >= THROUGH * (frame.right - frame.left)]
    partial = [at for at in range(len(rules)) if at not in full]
    rules_part_cells = any(not full or at < full[0] or (len(full) > 1 and at > full[1]) for at in partial)
    if rules_part_cells:
        ends = [min(cell.top for cell in row) for row in above] + [max(cell.bottom for cell in row) for row in below]
        lines = sorted([*rules, *(Rule(end, frame.left, frame.right) for end in ends)], key=lambda rule: rule.at)
        places = lattice(Frame(tuple(lines), ()), [cell for row in run for cell in row], height)
    else:
        groups: list[list[Row]] = []
        for number, band in enumerate(bands):
            if number == 0 and len(bands) > 1 and not above:
                groups += heads(level_rows(band), cols, height)
            elif are_rows(band, cols, few=len(bands) < 4):
                groups += grouped(level_rows(band), cols, height)
            else:
                groups.append(list(band))
        top_row = above[0] if above else bands[0][0]
        over = rows(s for s in around if s.bottom < max(cell.bottom for cell in top_row) and s not in top_row)
        head = over[first_head(over, top_row, cols, height) :]
        reaching = 1 if head and above and gap(head[-1], above[0]) < 0 else 0
        head_rows = heads(level_rows([*head, *above[:reaching]]), cols, height)
        groups = [*head_rows, *([row] for row in above[reaching:]), *groups]
        run = (*head, *run)
        places = placed([*groups, *([row] for row in below)], cols, height)
    if places is None or not _is_table(places):
        return None
    taken = frozenset(cell for row in run for cell in row)
    left, right = min(frame.left, *(c.left for c in taken)), max(frame.right, *(c.right for c in taken))
    top, bottom = min(rules[0].at, *(c.top for c in taken)), max(rules[-1].at, *(c.bottom for c in taken))
    return _Found(places.table(), taken, left, top, right, bottom)


def _stretch(frame: Frame, inside: Sequence[Segment], height: float) -> tuple[list[Rule], list[tuple[Row, ...]]]:
    """The longest run of neighbouring rules with text in columns between each two, and the rows there."""
    best: tuple[list[Rule], list[tuple[Row, ...]]] = [], []
    rules = [frame.level[0]]
    bands: list[tuple[Row, ...]] = []
    gaps: list[Interval] = []
    for upper, lower in pairwise(frame.level):
        band = rows(s for s in inside if upper.at <= s.middle < lower.at)
        # The gaps between the cells of its lines that no lone line covers, where enough of the lines have gaps.
        apart = [[(a.right, b.left) for a, b in pairwise(row) if b.left - a.right >= CELL_GAP * height] for row in band]
        lone = [row[0] for row in band if len(row) == 1]
        own = [gap for found in apart for gap in found if not any(overlap(line, gap) > 0 for line in lone)]
        if LINES_OF_A_CELL * sum(map(bool, apart)) < len(band):
            own = []
        clear = own or [gap for gap in gaps if not any(overlap(cell, gap) > 0 for row in band for cell in row)]
        if own or (bands and clear):
            rules, bands, gaps = [*rules, lower], [*bands, *([band] if band else [])], clear
            if own and sum(map(len, bands)) > max(1, sum(map(len, best[1]))):
                best = rules, bands
        else:
            rules, bands, gaps = [lower], [], []
    return best


def _beyond(bands: Sequence[Sequence[Row]], candidates: Sequence[Segment], rule: float, height: float) -> list[Row]:
    """The rows above the first rule or below the last one that stand in the columns of the table: on a coloured ground,
    or on none between coloured ones.
    """
    found: list[Row] = []
    cols = columns(tuple(chain.from_iterable(bands)))
    edge = rule
    for row in sorted(rows(candidates), key=lambda row: abs(row[0].middle - rule)):
        top, bottom = min(cell.top for cell in row), max(cell.bottom for cell in row)
        near = max(top - edge, edge - bottom) <= NEAR * height
        if not near or len(row) < 2 or any(sum(overlap(cell, col) > 0 for col in cols) > 1 for cell in row):
            break
        found.append(row)
        edge = top if bottom < rule else bottom
    return sorted(found, key=lambda row: row[0].middle)


def _is_prose(bands: Sequence[Sequence[Row]], cols: Sequence[Interval], height: float) -> bool:
    """True if the text between two rules is that of a page in columns."""
    band = max(bands, key=len, default=())
    if len(band) <= PROSE_LINES:
        return False
    sides = [rows(cell for row in band for cell in row if overlap(cell, col) > cell.width / 2) for col in cols]
    return sum(len(side) > PROSE_LINES and text_width(side) >= COLUMN_WIDTH * height for side in sides) > 1

"""Columns and rows of a table by how its text stands: under each other, apart, centred above several."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.geometry import gap
from one_ocr_ray.policy.layout.tables.grid import Places, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import Row, Segment

# Multiples of the line height.
CENTRED = 0.75  # the middle of a head is at most this far from that of the columns below it
HEAD_GAP = 0.4  # between the heads of two columns at least, where it is wider than between the words of a head
BESIDE = 0.7  # of its height has a cell in common with another one of its line
REACHING = 0.1  # a cell reaches at least this far into the row below if it belongs to both
CLOSER = 0.15  # the lines of a cell are nearer to each other than to the next row, by this much at least
MUCH_CLOSER = 0.35  # the same where the first column has a line too, which may begin a row
ABOVE_GAP = 1.0  # between the heads of a table and its first row

HEADED_COLUMNS = 2  # with more, one head may stand above all but the first
WIDER = 1.25  # times the gap between words is one between cells

Interval = tuple[float, float]


def overlap(cell: Segment, column: Interval) -> float:
    """How much of `cell` stands in `column`; negative: how far it is away."""
    return min(cell.right, column[1]) - max(cell.left, column[0])


def columns(run: Sequence[Row]) -> list[Interval]:
    """The columns from left to right. Narrow cells come first and grow together where they overlap; a cell that covers
    several of these spans them. Neighbours that are more often spanned than apart are one column.
    """
    found: list[Interval] = []
    for cell in sorted((cell for row in run for cell in row), key=lambda s: s.width):
        touched = [c for c in found if overlap(cell, c) > 0]
        if len(touched) <= 1:
            low = min([cell.left, *(c[0] for c in touched)])
            high = max([cell.right, *(c[1] for c in touched)])
            found = [c for c in found if c not in touched] + [(low, high)]
    found.sort()
    at = 1
    while at < len(found):
        a, b = found[at - 1], found[at]
        spanned = sum(any(overlap(cell, a) > 0 and overlap(cell, b) > 0 for cell in row) for row in run)
        apart = sum(
            any(overlap(cell, a) > 0 and overlap(cell, b) <= 0 for cell in row)
            and any(overlap(cell, b) > 0 and overlap(cell, a) <= 0 for cell in row)
            for row in run
        )
        if spanned >= apart:
            found[at - 1 : at + 1] = [(a[0], max(a[1], b[1]))]
        else:
            at += 1
    return found


def level_rows(run: Sequence[Row]) -> list[Row]:
    """Lines of a table with the cells that stand at one height: one that lies between two lines is a line of its own,
    though it may have been taken for the beginning of the lower one.
    """
    found: list[Row] = []
    for row in run:
        pairs = list(product(found[-1], row)) if found else []
        are_apart = len(pairs) > 1 and all(min(a.right, b.right) <= max(a.left, b.left) for a, b in pairs)
        if are_apart and any(a.stands_beside(b, BESIDE) for a, b in pairs):
            cells = [*found[-1], *row]
            most = max(cells, key=lambda cell: sum(cell.stands_beside(other, BESIDE) for other in cells))
            level = [cell for cell in cells if cell.stands_beside(most, BESIDE)]
            above = [cell for cell in cells if cell not in level and cell.middle < most.middle]
            below = [cell for cell in cells if cell not in level and cell.middle >= most.middle]
            found[-1:] = [tuple(sorted(part, key=lambda cell: cell.left)) for part in (above, level, below) if part]
        else:
            found += _levels(row, found[-1]) if found else [row]
    return found


def _levels(row: Row, above: Row) -> list[Row]:
    """`row` in two where some of its cells stand lower than the others, under a line of `above`."""
    most = max(row, key=lambda cell: sum(cell.stands_beside(other, BESIDE) for other in row))
    lower = tuple(cell for cell in row if cell.middle > most.middle and not cell.stands_beside(most, BESIDE))
    if lower and all(any(overlap(cell, (a.left, a.right)) > 0 for a in above) for cell in lower):
        level = tuple(cell for cell in row if cell not in lower)
        if not any(overlap(a, (b.left, b.right)) > 0 for a in level for b in (*lower, *above)):
            return [level, lower]
    return [row]


def grouped(run: Sequence[Row], cols: Sequence[Interval], height: float) -> list[list[Row]]:
    """The lines of the page that are one row of the table: a cell may have several."""
    filled = [frozenset(_column_of(cell, cols) for cell in row) for row in run]
    pitch = [0.0, *(b[0].middle - a[0].middle for a, b in pairwise(run))]
    starts = [pitch[at] for at in range(1, len(run)) if not filled[at] < filled[at - 1] or 0 in filled[at]]
    usual = median(starts) if starts else 0.0
    # A line whose cells those of the lines above and below are beside: a cell of several lines has them in its middle.
    between = [
        0 < at < len(run) - 1
        and not filled[at] & (filled[at - 1] | filled[at + 1])
        and max(gap(run[at - 1], row), gap(row, run[at + 1])) < -REACHING * height
        for at, row in enumerate(run)
    ]
    groups: list[list[Row]] = []
    of_group: frozenset[int] = frozenset()
    for at, row in enumerate(run):
        if between[at]:
            groups[-1].append(row)
            of_group |= filled[at]
        elif (
            groups
            and filled[at] < of_group
            and not any(between[at + 1 : at + 2])
            and not _heads_all(row[0], spans(row, cols, height)[0], cols, height)
            and _continues(row, groups[-1], cols, usual - pitch[at], height)
        ):
            groups[-1].append(row)
        else:
            groups.append([row])
            of_group = filled[at]
    return groups


def heads(band: Sequence[Row], cols: Sequence[Interval], height: float) -> list[list[Row]]:
    """The lines of a head that are one row of it: what stands above several columns has a row of its own."""
    groups: list[list[Row]] = []
    of_group: set[int] = set()
    spanning = False
    for line in band:
        found = spans(line, cols, height)
        filled = {col for first, last in found for col in range(first, last + 1)}
        if not groups or (spanning and of_group & filled):
            groups.append([])
            of_group, spanning = set(), False
        groups[-1].append(line)
        of_group |= filled
        spanning = spanning or any(first < last for first, last in found)
    return groups


def _continues(row: Row, group: Sequence[Row], cols: Sequence[Interval], closer: float, height: float) -> bool:
    """True if a line with a part of the cells of the row above goes on with these. Numbers do not go on. `closer`: by
    how much it is nearer than rows are.
    """
    filled = {_column_of(cell, cols) for cell in row}
    above = [cell for line in group for cell in line if _column_of(cell, cols) in filled]
    if any(is_number(cell.text) for cell in (*above, *row)):
        return False
    return closer > (MUCH_CLOSER if 0 in filled else CLOSER) * height or (
        0 not in filled and 2 * len(filled) <= len(cols)
    )


def _column_of(cell: Segment, cols: Sequence[Interval]) -> int:
    """The first column that `cell` stands in, or the nearest one."""
    standing = [at for at, col in enumerate(cols) if overlap(cell, col) > 0]
    return standing[0] if standing else max(range(len(cols)), key=lambda at: overlap(cell, cols[at]))


def placed(groups: Sequence[Sequence[Row]], cols: Sequence[Interval], height: float) -> Places:
    """Each cell in its place; heads that stand above several columns span them."""
    places = Places(len(groups), len(cols))
    for at, group in enumerate(groups):
        for line in (_cut_at_columns(line, cols, height) for line in group):
            for cell, (first, last) in zip(line, spans(line, cols, height), strict=True):
                places.texts[at][first].append(cell)
                for col in range(first, last):
                    places.join((at, col), (at, col + 1))
    for at in range(len(groups) - 1):
        level = median(s.bottom for s in groups[at][0])  # a cell that ends with its line reaches into no other one
        _join_down(places, at, max(level, min(s.top for s in groups[at + 1][0])) + REACHING * height)
    return places


def _cut_at_columns(line: Row, cols: Sequence[Interval], height: float) -> Row:
    """A line whose cells are cut where they have a wide gap between two columns: heads stand near to each other."""
    pieces: list[Segment] = []
    for cell in line:
        gaps = [b.left - a.right for a, b in pairwise(cell.words)]
        start = 0
        for at, (a, b) in enumerate(pairwise(cell.words), start=1):
            others = [*gaps[: at - 1], *gaps[at:]]
            wide = gaps[at - 1] >= max(HEAD_GAP * height, WIDER * median(others or [0.0]))
            if wide and any(a.right < right[0] and left[1] < b.left for left, right in pairwise(cols)):
                pieces.append(replace(cell, words=cell.words[start:at]))
                start = at
        pieces.append(replace(cell, words=cell.words[start:]))
    return tuple(pieces)


def _join_down(places: Places, row: int, below: float) -> None:
    """Join cells that reach down to `below` with the empty place there, and empty places beside spanning heads."""
    is_head = row == 0 and any(places.cell(0, col) != (0, col) for col in range(places.cols))
    for col in range(places.cols):
        upper, lower = places.texts[row][col], places.texts[row + 1][col]
        spanned = any(places.cell(r, c) != (r, c) for r in (row, row + 1) for c in (col, col + 1) if c < places.cols)
        if spanned or (upper and lower):
            continue
        if any(cell.bottom > below for cell in upper) or (is_head and (upper or lower)):
            places.join((row, col), (row + 1, col))


def spans(line: Row, cols: Sequence[Interval], height: float) -> list[tuple[int, int]]:
    """The first and last column of each cell of a line."""
    found = []
    for cell in line:
        standing = [at for at, col in enumerate(cols) if overlap(cell, col) > 0]
        first = standing[0] if standing else _column_of(cell, cols)
        found.append((first, standing[-1] if standing else first))
    return [_centred(cell, number, found, cols, height) for number, cell in enumerate(line)]


def _centred(
    cell: Segment, number: int, others: Sequence[tuple[int, int]], cols: Sequence[Interval], height: float
) -> tuple[int, int]:
    """The columns that `cell` is centred above; its own where that fits as well. Others' columns are not free."""
    first, last = others[number]
    lowest = others[number - 1][1] + 1 if number else 0
    highest = others[number + 1][0] - 1 if number + 1 < len(others) else len(cols) - 1
    middle = (cell.left + cell.right) / 2

    def off(a: int, b: int) -> float:
        return abs((cols[a][0] + cols[b][1]) / 2 - middle)

    if first == last and (first == 0 or len(others) == len(cols) or is_number(cell.text)):
        return first, last
    fitting = [(a, b) for a in range(lowest, first + 1) for b in range(last, highest + 1)]
    best = min(fitting, key=lambda span: off(*span), default=(first, last))
    edges = abs(cols[first][0] - cell.left), abs(cols[last][1] - cell.right), off(first, last)
    if min(edges) < CENTRED * height or off(*best) > CENTRED * height:
        return first, last
    return best


def first_head(above: Sequence[Row], row: Row, cols: Sequence[Interval], height: float) -> int:
    """The number of lines `above` that are no heads of the table which begins with `row`.

    Its heads stand above several columns each, one alone above all but the first. Between such lines the head of a
    column of its own may stand. A line that reaches into the row below is the first of a head of several lines.
    """
    first = len(above)
    below = row
    for at in range(len(above) - 1, -1, -1):
        line = above[at]
        found = spans(line, cols, height)
        if gap(line, below) > ABOVE_GAP * height or not fits(line, found, cols, height):
            break
        is_head = any(a < b for a, b in found) if len(line) > 1 else _heads_all(line[0], found[0], cols, height)
        reaches = len(line) == 1 and gap(line, below) < 0 and found[0][0] == found[0][1]
        if is_head or reaches:
            first = at
        elif len(line) > 1 or line[0].bottom <= min(s.top for s in below):
            break
        below = line
    return first


def _heads_all(cell: Segment, columns_of: tuple[int, int], cols: Sequence[Interval], height: float) -> bool:
    """True if a cell is centred above all columns but the first. Titles of tables are not."""
    middle = (cell.left + cell.right) / 2
    is_title = abs((cols[0][0] + cols[-1][1]) / 2 - middle) < height
    return len(cols) > HEADED_COLUMNS and columns_of == (1, len(cols) - 1) and not is_title


def fits(line: Row, found: Sequence[tuple[int, int]], cols: Sequence[Interval], height: float) -> bool:
    """True if each cell of a line has its own columns and stays within them."""
    return len(set(found)) == len(line) and all(
        cols[a][0] - height <= cell.left and cell.right <= cols[b][1] + height
        for cell, (a, b) in zip(line, found, strict=True)
    )

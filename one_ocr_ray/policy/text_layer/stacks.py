"""What stands above and below the line of a formula and belongs to it: fractions, the limits of sums and integrals.

A fraction is found by its bar: a short rule with something above it and below it that is no wider, beside a sign or a
letter of the formula. The parts of a stack become marks of the line: the upper or numerator first, then the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.kinds.formulas import ends_open, escaped, may_be_formula
from one_ocr_ray.policy.text_layer.spelling import RAISED, SMALL, space_between

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from one_ocr_ray.policy.layout.content import Ruling
    from one_ocr_ray.policy.text_layer.lines import Mark

# Multiples of the size of the type.
NARROWEST, WIDEST = 0.3, 16.0  # of a fraction's bar
OVERHANG = 0.3  # what stands on a bar may be so much wider at either end
NEAR, OVERLAP = 0.75, 0.4  # from the bar to what stands on it, and over the bar, as boxes are higher than ink
ON_BAR, BESIDE = 0.35, 1.2  # middle of what a fraction stands beside, and how far from it
LIMIT = 0.6  # from a large operator to its limits, and how far those of an integral are beside it
ASIDE = 0.2  # how far others are from the middle, beyond its ends
LIMIT_MARKS = 12
# Bounds of the work, far above what pages of formulas have.
ROW_PT, MOST_ROWS = 8.0, 500
MOST_BARS, MOST_OPERATORS, CROWDED, MOST_MARKS = 5_000, 1_000, 200, 400

_INTEGRALS = frozenset("∫∬∭∮")
LARGE_OPERATORS = _INTEGRALS | frozenset("∑∏∐⋃⋂⋀⋁")


class Part(StrEnum):
    """Where a mark stands in a stack."""

    OVER = "over"
    UNDER = "under"
    UPPER = "upper"
    LOWER = "lower"


@dataclass
class _Pieces:
    """The pieces of a page by height, so that few are looked at for each bar and operator."""

    by_row: dict[int, dict[int, list[Mark]]] = field(default_factory=dict)  # each by its identity
    all: dict[int, list[Mark]] = field(default_factory=dict)

    def add(self, piece: list[Mark]) -> None:
        self.all[id(piece)] = piece
        for row in self._rows(piece):
            self.by_row.setdefault(row, {})[id(piece)] = piece

    def near(self, y: float) -> list[list[Mark]]:
        return list(self.by_row.get(int(y // ROW_PT), {}).values())

    def replace(self, some: Sequence[list[Mark]], others: Sequence[list[Mark]]) -> None:
        kept = {id(piece) for piece in others}
        for piece in some:
            if id(piece) not in kept:
                del self.all[id(piece)]
                for row in self._rows(piece):
                    del self.by_row[row][id(piece)]
        for piece in others:
            if id(piece) not in self.all:
                self.add(piece)

    @staticmethod
    def _rows(piece: Sequence[Mark]) -> range:
        """All rows that it may have to do with."""
        size = max(mark.size for mark in piece)
        top, bottom = min(mark.top for mark in piece) - 2 * size, max(mark.bottom for mark in piece) + 2 * size
        return range(int(top // ROW_PT), min(int(bottom // ROW_PT), int(top // ROW_PT) + MOST_ROWS) + 1)


def with_stacks(pieces: Sequence[list[Mark]], rulings: Sequence[Ruling]) -> list[list[Mark]]:
    """The pieces of a page, those of a fraction or with limits in one. The work is bounded on any page."""
    bars = [rule for rule in rulings if abs(rule.y1 - rule.y0) < 1]
    if bars:
        largest = max((mark.bottom - mark.top for piece in pieces for mark in piece), default=0.0)
        bars = [rule for rule in bars if abs(rule.x1 - rule.x0) < WIDEST * largest]
    if not bars and LARGE_OPERATORS.isdisjoint(mark.glyph.text for piece in pieces for mark in piece):
        return list(pieces)
    kept = _Pieces()
    for piece in pieces:
        kept.add(piece)
    for bar in bars[:MOST_BARS]:
        near = kept.near((bar.y0 + bar.y1) / 2)
        if len(near) <= CROWDED:
            kept.replace(near, _with_fraction(near, bar))
    operators = [mark for piece in kept.all.values() for mark in piece if mark.glyph.text in LARGE_OPERATORS]
    for operator in operators[:MOST_OPERATORS]:
        near = kept.near((operator.top + operator.bottom) / 2)
        if len(near) <= CROWDED:
            kept.replace(near, _with_limits(near, operator))
    return list(kept.all.values())


def _with_fraction(pieces: list[list[Mark]], rule: Ruling) -> list[list[Mark]]:
    left, right = min(rule.x0, rule.x1), max(rule.x0, rule.x1)
    y = (rule.y0 + rule.y1) / 2
    over, under, rest = [], [], []
    base: Mark | None = None
    for piece in pieces:
        size = max(mark.size for mark in piece)
        if len(piece) > MOST_MARKS or not (
            NARROWEST * size < right - left < WIDEST * size and piece[0].top - size < y < piece[0].bottom + size
        ):
            rest.append(piece)
            continue
        inside = [m for m in piece if m.left > left - OVERHANG * size and m.right < right + OVERHANG * size]
        upper = [m for m in inside if -OVERLAP * size < y - m.bottom < NEAR * size]
        lower = [m for m in inside if -OVERLAP * size < m.top - y < NEAR * size]
        outside = [m for m in piece if m not in upper and m not in lower]
        if any(abs((m.top + m.bottom) / 2 - y) > ON_BAR * m.size and m.size > SMALL * size for m in outside):
            rest.append(piece)  # a line that runs on above or below the rule
            continue
        over += upper
        under += lower
        middle = (left + right) / 2
        for side in ([m for m in outside if m.left < middle], [m for m in outside if m.left >= middle]):
            if side:
                rest.append(side)
                base = base or _beside(side, left, right)
    if base is None or not over or not under:
        return pieces
    return [*rest, _stacked(over, Part.OVER, (left, right)) + _stacked(under, Part.UNDER, (left, right))]


def _beside(piece: Sequence[Mark], left: float, right: float) -> Mark | None:
    """The mark of a formula that a fraction from `left` to `right` stands beside."""
    before, after = piece[-1], piece[0]
    text = "".join(mark.glyph.text for mark in piece)
    if -OVERHANG * before.size < left - before.right < BESIDE * before.size:
        return before if ends_open(text) or may_be_formula(text) else None
    if -OVERHANG * after.size < after.left - right < BESIDE * after.size:
        return after if ends_open(text[0]) or may_be_formula(text) else None
    return None


def middle_of(marks: Sequence[Mark]) -> float:
    """The height of a fraction's bar."""
    return (min(mark.top for mark in marks) + max(mark.bottom for mark in marks)) / 2


def _with_limits(pieces: list[list[Mark]], operator: Mark) -> list[list[Mark]]:
    near = LIMIT * operator.size
    aside = near if operator.glyph.text in _INTEGRALS else ASIDE * operator.size
    limits: dict[Part, list[list[Mark]]] = {Part.LOWER: [], Part.UPPER: []}
    for piece in pieces:
        middle = (piece[0].left + piece[-1].right) / 2
        is_small = len(piece) <= LIMIT_MARKS and max(mark.size for mark in piece) < SMALL * operator.size
        if not (is_small and operator.left - aside < middle < operator.right + aside):
            continue
        if abs(operator.top - piece[0].bottom) < near:
            limits[Part.UPPER].append(piece)
        elif abs(piece[0].top - operator.bottom) < near:
            limits[Part.LOWER].append(piece)
    span = (operator.left, operator.right)
    taken = [mark for part, some in limits.items() for piece in some for mark in _stacked(piece, part, span)]
    if not taken:
        return pieces
    gone = [piece for some in limits.values() for piece in some]
    found = []
    for piece in pieces:
        if operator in piece:
            at = piece.index(operator) + 1
            found.append([*piece[:at], *taken, *piece[at:]])
        elif not any(piece is other for other in gone):
            found.append(piece)
    return found


def _stacked(marks: Sequence[Mark], part: Part, span: tuple[float, float]) -> list[Mark]:
    return [mark._replace(part=part, stack=span) for mark in sorted(marks, key=lambda each: each.left)]


def latex_of_marks(marks: Sequence[Mark], bottom: float, largest: float, bold_runs: Set[int]) -> str:
    """A formula whose largest type stands on `bottom`: what is raised, lowered, stacked, or bold in `bold_runs`."""
    text = ""
    for part, group in groupby(marks, lambda mark: mark.part):
        some = list(group)
        if part is None:
            text += _line(some, bottom, largest, bold_runs)
            continue
        size = max(mark.size for mark in some)
        inner = _line(some, max(mark.bottom for mark in some if mark.size > SMALL * size), size, bold_runs).strip()
        text += _OPENED[part] % inner
    return text


_OPENED = {Part.OVER: r"\frac{%s}", Part.UNDER: "{%s}", Part.LOWER: "_{%s}", Part.UPPER: "^{%s}"}


def _line(marks: Sequence[Mark], bottom: float, largest: float, bold_runs: Set[int]) -> str:
    def style(numbered: tuple[int, Mark]) -> tuple[int, bool]:
        """The level, 1 for a raised mark and -1 for a lowered one, and if it is a vector."""
        mark = numbered[1]
        level = 0 if mark.size >= SMALL * largest else 1 if bottom - mark.bottom > RAISED * largest else -1
        return level, mark.glyph.run in bold_runs and mark.glyph.text.isalpha()

    text = ""
    for (level, is_bold), group in groupby(enumerate(marks), style):
        run = ""
        for at, mark in group:
            space = " " if at and level == 0 and space_between(marks[at - 1], mark) else ""
            run += space + mark.glyph.text
        written = escaped(run)
        if is_bold:
            written = rf"{written[: len(written) - len(written.lstrip())]}\mathbf{{{written.strip()}}}"
        text += {1: "^{%s}", -1: "_{%s}", 0: "%s"}[level] % written
    return text

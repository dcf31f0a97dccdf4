"""From drawn lines to the frames of tables: straight, whole, and in groups that belong together.

Frames are of two kinds: lines that cross each other, and level lines of one width above each other. Lengths are in the
unit of the page's content; thresholds are multiples of the page's usual line height.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.policy.layout.content import Ruling
    from one_ocr_ray.policy.layout.geometry import Segment

SNAP = 0.25  # rules that are less apart are one
JOIN = 0.6  # a gap of less within a rule is none
TOUCH = 0.4  # rules that come this near to each other meet
LEAST = 1.2  # the length of a rule
STROKES = 0.4  # of an upright rule within a line: it is a part of the letters
STROKE = 0.15  # a rule that runs through this much of a line's height, on both sides, is a part of its letters
SHORTER = 0.8  # of the line that it touches is the length of a stroke, at most
WIDE = 6.0  # the length of a level rule that stands without upright ones
SAME_END = 1.0  # the ends of rules above each other differ by less
MOST_RULES = 800  # a page with more is a drawing: the longest are looked at


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line from `start` to `end`; `at` is the y of a level one, the x of an upright one."""

    at: float
    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Frame:
    """Rules that belong together. Without upright ones it may be a table, or lines between parts of a page."""

    level: tuple[Rule, ...]  # from top to bottom
    upright: tuple[Rule, ...]  # from left to right

    @property
    def left(self) -> float:
        return min([rule.start for rule in self.level] + [rule.at for rule in self.upright])

    @property
    def right(self) -> float:
        return max([rule.end for rule in self.level] + [rule.at for rule in self.upright])

    @property
    def top(self) -> float:
        return min([rule.at for rule in self.level] + [rule.start for rule in self.upright])

    @property
    def bottom(self) -> float:
        return max([rule.at for rule in self.level] + [rule.end for rule in self.upright])


def frames(rulings: Sequence[Ruling], angle: float, segments: Sequence[Segment], height: float) -> list[Frame]:
    """The groups of rules on a page that is turned back by `angle` (radians); crossing ones first."""
    level, upright = _straight(rulings, angle)

    def is_upright_stroke(rule: Rule) -> bool:
        """True if letters, or the gaps between them, are what looks like a rule: much of it is within a line."""
        least = STROKES * rule.length
        return any(
            s.left < rule.at < s.right and min(s.bottom, rule.end) - max(s.top, rule.start) >= least for s in segments
        )

    level = _longest(rule for rule in _whole(level, height) if not _is_stroke(rule, segments))
    upright = _longest(rule for rule in _whole(upright, height) if not is_upright_stroke(rule))
    groups = _crossing(level, upright, TOUCH * height)
    used = {rule for group in groups for rule in group.level}
    return groups + _stacks([rule for rule in level if rule not in used], height)


def _straight(rulings: Iterable[Ruling], angle: float) -> tuple[list[Rule], list[Rule]]:
    cos, sin = math.cos(angle), math.sin(angle)
    level, upright = [], []
    for ruling in rulings:
        x0, y0 = ruling.x0 * cos + ruling.y0 * sin, ruling.y0 * cos - ruling.x0 * sin
        x1, y1 = ruling.x1 * cos + ruling.y1 * sin, ruling.y1 * cos - ruling.x1 * sin
        if abs(y1 - y0) <= abs(x1 - x0) / 20:
            level.append(Rule((y0 + y1) / 2, min(x0, x1), max(x0, x1)))
        elif abs(x1 - x0) <= abs(y1 - y0) / 20:
            upright.append(Rule((x0 + x1) / 2, min(y0, y1), max(y0, y1)))
    return level, upright


def _whole(rules: Iterable[Rule], height: float) -> list[Rule]:
    """Pieces of one line joined, double lines made one; what is too short is left out."""
    lines = runs(
        sorted(rules, key=lambda r: r.at),
        lambda line, rule: rule.at - line[-1].at <= SNAP * height and rule.at - line[0].at <= 2 * SNAP * height,
    )
    found = []
    for line in lines:
        by_start = sorted(line, key=lambda r: r.start)
        reached = accumulate((rule.end for rule in by_start), max)
        for part in runs(
            zip(by_start, reached, strict=True), lambda part, rule: rule[0].start - part[-1][1] <= JOIN * height
        ):
            at = sum(rule.at * rule.length for rule, _ in part) / max(sum(rule.length for rule, _ in part), 1e-9)
            found.append(Rule(at, part[0][0].start, part[-1][1]))
    return [rule for rule in found if rule.length >= LEAST * height]


def _is_stroke(rule: Rule, segments: Sequence[Segment]) -> bool:
    """True if letters are what looks like a level rule: it runs through a line and ends where the line does, or is
    shorter than the line that it touches.
    """
    for s in segments:
        edge = STROKE * s.height
        if (
            s.top - edge < rule.at < s.bottom + edge
            and s.left - s.height < rule.start
            and rule.end < s.right + s.height
        ):
            inside = s.top + edge < rule.at < s.bottom - edge
            shorter = s.left <= rule.start and rule.end <= s.right and rule.length < SHORTER * s.width
            if inside or shorter:
                return True
    return False


def _longest(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(sorted(rules, key=lambda r: -r.length)[:MOST_RULES], key=lambda r: r.at)


def _crossing(level: Sequence[Rule], upright: Sequence[Rule], near: float) -> list[Frame]:
    """Groups of rules that meet, directly or through others, with rules of both directions."""
    group = list(range(len(level) + len(upright)))

    def root(member: int) -> int:
        while group[member] != member:
            group[member] = group[group[member]]
            member = group[member]
        return member

    places = [rule.at for rule in level]
    for number, rule in enumerate(upright, start=len(level)):
        for at in range(bisect_left(places, rule.start - near), bisect_right(places, rule.end + near)):
            if level[at].start - near <= rule.at <= level[at].end + near:
                group[root(at)] = root(number)
    members = sorted(range(len(group)), key=root)
    found = []
    for _, parts in groupby(members, key=root):
        numbers = sorted(parts)
        down = tuple(upright[n - len(level)] for n in numbers if n >= len(level))
        across = tuple(level[n] for n in numbers if n < len(level))
        if across and down:
            found.append(Frame(across, down))
    return found


def _stacks(level: Sequence[Rule], height: float) -> list[Frame]:
    """Level rules of one width above each other, with the shorter ones between them."""
    reach = SAME_END * height
    stacks: list[list[Rule]] = []
    for rule in level:
        if rule.length < WIDE * height:
            continue
        for stack in stacks:
            if abs(stack[0].start - rule.start) <= reach and abs(stack[0].end - rule.end) <= reach:
                stack.append(rule)
                break
        else:
            stacks.append([rule])
    found = []
    for stack in stacks:
        if len(stack) > 1:
            first, last = stack[0], stack[-1]
            inner = [
                rule
                for rule in level
                if rule not in stack
                and first.at < rule.at < last.at
                and first.start - reach <= rule.start
                and rule.end <= first.end + reach
            ]
            found.append(Frame(tuple(sorted([*stack, *inner], key=lambda r: r.at)), ()))
    return found

"""Where the embedded engine looks once more, and how much goes into its models."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.page.looks import (
    LONGEST_LINE_PX,
    PASS_PX,
    TILE_PX,
    Blot,
    BlotKind,
    Window,
    is_rule,
    net_px,
    pass_scale,
    pieces,
    tiles,
    windows,
    worth_a_look,
)

SIDES = st.integers(16, 8000)


@given(SIDES, SIDES)
def test_a_pass_is_bounded_whatever_the_shape(width: int, height: int) -> None:
    """With its sides rounded to what the net takes; very long ones are read tile by tile."""
    scale = pass_scale(width, height)
    wide, high = net_px(width * scale), net_px(height * scale)
    largest = max((right - left) * (low - top) for left, right in tiles(wide, high) for top, low in tiles(high, wide))
    assert largest <= PASS_PX * 1.1


def test_ordinary_pages_go_in_as_they_are() -> None:
    """A4 at 1600 px is neither enlarged nor shrunk; a small one is enlarged, a strip by three at most."""
    assert pass_scale(1131, 1600) == 1
    assert pass_scale(600, 800) == pytest.approx(736 / 600)
    assert pass_scale(60, 1600) == 3


@given(SIDES, SIDES)
def test_tiles_cover_a_side_and_overlap(length: int, other: int) -> None:
    """No pixel is left out, and a line of letters at the border of one tile lies whole in its neighbour."""
    length, other = net_px(length), net_px(other)
    found = tiles(length, other)
    assert (found[0][0], found[-1][1]) == (0, length)
    assert all(0 <= start < end <= length for start, end in found)
    assert all(end - start == min(length, TILE_PX) for start, end in found) or len(found) == 1
    assert all(a_end - b_start >= 64 for (_, a_end), (b_start, _) in pairwise(found))


def test_a_line_that_is_too_long_is_read_in_pieces() -> None:
    """None is longer than the model takes."""
    assert [pieces(width) for width in (48, LONGEST_LINE_PX, LONGEST_LINE_PX + 1, 38_400)] == [1, 1, 2, 8]


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(1600, 2, True), (2, 1600, True), (1600, 20, False), (100, 7, False)]
)
def test_rules_are_not_read(width: float, height: float, expected: bool) -> None:
    """A rule found for a line would be 38,000 px wide in the recogniser."""
    assert is_rule(width, height) is expected


@pytest.mark.parametrize(
    ("blot", "kind"),
    [
        (Blot(0, 0, 2, 2, 4), BlotKind.SPECK),
        (Blot(0, 0, 60, 2, 100), BlotKind.RULE),
        (Blot(0, 0, 200, 3, 500), BlotKind.RULE),
        (Blot(0, 0, 100, 80, 700), BlotKind.DRAWING),
        (Blot(0, 0, 100, 80, 7000), BlotKind.PICTURE),
        (Blot(0, 0, 37, 6, 155), BlotKind.TEXT),
        (Blot(0, 0, 3, 5, 12), BlotKind.TEXT),
    ],
)
def test_a_blot_is_known_by_its_shape(blot: Blot, kind: BlotKind) -> None:
    """Specks, rules, frames and pictures are no lines."""
    assert blot.kind is kind


def test_pictures_are_looked_into_only_where_there_is_nothing_else() -> None:
    """A look costs time; a page of text with a figure is not looked at twice."""
    text, picture, speck = Blot(0, 0, 37, 6, 155), Blot(0, 0, 100, 80, 7000), Blot(9, 9, 1, 1, 1)
    assert worth_a_look([text, picture, speck], lines_found=True) == [text]
    assert worth_a_look([text, picture, speck], lines_found=False) == [text, picture]


def test_blots_near_each_other_share_a_window() -> None:
    """Two lines of a block are one window, a page number far away is another."""
    lines = [Blot(10, 10, 40, 5, 150), Blot(10, 18, 30, 5, 100), Blot(140, 390, 3, 5, 12)]
    assert windows(lines) == [Window(10, 10, 50, 23), Window(140, 390, 143, 395)]


def test_windows_come_in_few_sizes() -> None:
    """For each shape the detector has to make programs."""
    sizes = {Window(0, 0, width, 5).around(4.0)[2] for width in range(1, 380)}
    assert len(sizes) <= 13

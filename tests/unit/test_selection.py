"""The grammar of --pages and what it selects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.dataset.selection import ALL_PAGES, PageSelection, parse_selection

PAGE = st.integers(1, 60)
RANGES = st.lists(st.tuples(PAGE, st.one_of(st.none(), PAGE)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("text", "page_count", "pages"),
    [
        ("all", 3, [1, 2, 3]),
        ("1-3,8,10-", 12, [1, 2, 3, 8, 10, 11, 12]),
        ("2", 5, [2]),
        ("4-", 3, []),
        (" 3 , 1 ", 3, [1, 3]),
        ("2-3,1-2", 3, [1, 2, 3]),
    ],
)
def test_a_specification_selects_pages(text: str, page_count: int, pages: list[int]) -> None:
    """Each specification of the contract's grammar selects the pages it names, rising, once."""
    assert parse_selection(text).of(page_count) == pages


@pytest.mark.parametrize("text", ["0", "a", "3-1", "1--2", "-3", "1,,2", "1.5", "99999999999"])
def test_a_bad_specification_is_a_value_error(text: str) -> None:
    """What is not in the grammar is refused, not guessed at."""
    with pytest.raises(ValueError, match=r"page|range"):
        parse_selection(text)


@given(RANGES, st.integers(0, 80))
def test_selection_equals_the_set_of_its_parts(ranges: list[tuple[int, int | None]], page_count: int) -> None:
    """Overlaps and order in the text make no difference to what is selected."""
    ranges = [(first, last if last is None else max(first, last)) for first, last in ranges]
    text = ",".join(f"{first}-{'' if last is None else last}" for first, last in ranges)
    wanted = {page for first, last in ranges for page in range(first, (last or page_count) + 1) if page <= page_count}
    assert parse_selection(text).of(page_count) == sorted(wanted)


@given(RANGES)
def test_the_canonical_text_parses_to_the_same_selection(ranges: list[tuple[int, int | None]]) -> None:
    """`str` of a selection is a specification of it, so that configurations can be compared by text."""
    text = ",".join(f"{first}-{'' if last is None else max(first, last)}" for first, last in ranges)
    selection = parse_selection(text)
    assert parse_selection(str(selection)) == selection


def test_all_pages_is_written_as_all() -> None:
    """`1-` and `all` are the same configuration."""
    assert str(parse_selection("1-")) == str(ALL_PAGES) == "all"
    assert parse_selection("all") == PageSelection(((1, None),))

"""Exit 0 is proved: whatever is missing from a dataset, or too much in it, is one sentence."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.dataset.row_counts import RowCounts, difference


def test_equal_sums_say_nothing() -> None:
    """Also those of an output with nothing in it."""
    assert difference(RowCounts(3, 20), RowCounts(3, 20), "out") is None
    assert difference(RowCounts(), RowCounts(), "out") is None


@pytest.mark.parametrize(
    "found", [RowCounts(2, 20), RowCounts(3, 19), RowCounts(4, 20), RowCounts(3, 21), RowCounts(), RowCounts(2, 21)]
)
def test_any_difference_is_one_sentence_that_says_what_to_do(found: RowCounts) -> None:
    """With the numbers, and the likeliest cause: an output that is another folder on each node."""
    said = difference(RowCounts(3, 20), found, "/out") or ""
    assert f"{found.documents} documents where 3 are planned, and {found.pages} pages where 20" in said
    assert "Do all nodes share" in said

"""Exit 0 is proved: whatever is missing from a dataset, or too much in it, is one sentence."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.dataset.row_counts import RowCounts, missing_rows


def test_equal_sums_say_nothing() -> None:
    """Also those of an output with nothing in it."""
    assert missing_rows(RowCounts(3, 20), RowCounts(3, 20), "out") is None
    assert missing_rows(RowCounts(), RowCounts(), "out") is None


@pytest.mark.parametrize(
    "found", [RowCounts(2, 20), RowCounts(3, 19), RowCounts(4, 20), RowCounts(3, 21), RowCounts(), RowCounts(2, 21)]
)
def test_any_missing_rows_is_one_sentence_that_says_what_to_do(found: RowCounts) -> None:
    """With the numbers, and the likeliest cause: an output that is another folder on each node."""
    said = missing_rows(RowCounts(3, 20), found, "/out") or ""
    assert f"{found.documents} documents where 3 are planned, and {found.pages} pages where 20" in said
    assert "Do all nodes share" in said

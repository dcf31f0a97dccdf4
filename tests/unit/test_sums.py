"""Exit 0 is proved: whatever is missing from a dataset, or too much in it, is one sentence."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.dataset.sums import Sums, difference


def test_equal_sums_say_nothing() -> None:
    """Also those of an output with nothing in it."""
    assert difference(Sums(3, 20), Sums(3, 20), "out") is None
    assert difference(Sums(), Sums(), "out") is None


@pytest.mark.parametrize("found", [Sums(2, 20), Sums(3, 19), Sums(4, 20), Sums(3, 21), Sums(), Sums(2, 21)])
def test_any_difference_is_one_sentence_that_says_what_to_do(found: Sums) -> None:
    """With the numbers, and the likeliest cause: an output that is another folder on each node."""
    said = difference(Sums(3, 20), found, "/out") or ""
    assert f"{found.documents} documents where 3 are planned, and {found.pages} pages where 20" in said
    assert "Do all nodes share" in said

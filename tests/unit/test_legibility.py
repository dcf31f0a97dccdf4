"""What the embedded engine says of a page beside its text."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import PageWarning
from one_ocr_ray.policy.page.legibility import LineRead, page_warnings, sure_of_no_text
from one_ocr_ray.policy.page.looks import BlotKind

GOOD = LineRead(900, 30, 0.99, 0.6, 0.0)
VANISHED = LineRead(900, 30, 0.3, 0.6, 1.0)
HALF_READ = LineRead(640, 30, 0.84, 0.6, 0.9)  # ":       " of a line in Russian
POOR = LineRead(900, 30, 0.77, 0.6, 0.0)  # Hebrew, taken for Latin on its head
PICTURE = LineRead(400, 440, 0.36, 0.8, 0.0)
DOTS = LineRead(600, 20, 0.0, 0.0, 0.0, guessed=True)
SPECK = LineRead(30, 20, 0.4, 0.5, 0.0, guessed=True)
UNSEEN = LineRead(600, 20, 0.3, 0.6, 0.0, guessed=True)

LOST, FOREIGN = PageWarning.LINES_DROPPED, PageWarning.SCRIPT_NOT_READ


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ()),
        ([GOOD] * 20, ()),
        ([GOOD] * 20 + [VANISHED], ()),
        ([GOOD] * 8 + [VANISHED], (LOST,)),
        ([GOOD] * 4 + [HALF_READ], (LOST,)),
        ([GOOD, UNSEEN], (LOST,)),
        ([VANISHED] * 4, (LOST, FOREIGN)),
        ([HALF_READ] * 4, (LOST, FOREIGN)),
        ([POOR] * 4, (FOREIGN,)),
        ([GOOD, PICTURE, DOTS, SPECK], ()),
        ([VANISHED], (LOST,)),
    ],
)
def test_a_page_says_what_it_lost(lines: list[LineRead], expected: tuple[PageWarning, ...]) -> None:
    """A considerable part of its lines, or a script that the models do not know; not pictures, dots and specks."""
    assert page_warnings(lines) == expected


def test_a_guess_must_be_surer_than_a_line() -> None:
    """The detector saw no line there."""
    assert LineRead(90, 30, 0.6, 0.6, 0.0).is_text
    assert not LineRead(90, 30, 0.6, 0.6, 0.0, guessed=True).is_text


def test_ink_that_may_be_text_makes_no_text_unsure() -> None:
    """Rules and frames are certainly none, a picture probably; what looks like a line is the doubt that counts."""
    assert sure_of_no_text([]) > 0.9
    assert sure_of_no_text([BlotKind.RULE, BlotKind.SPECK, BlotKind.DRAWING]) > 0.9
    assert 0.5 < sure_of_no_text([BlotKind.RULE, BlotKind.PICTURE]) < 0.9
    assert sure_of_no_text([BlotKind.PICTURE, BlotKind.TEXT]) < 0.5

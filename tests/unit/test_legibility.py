"""What the embedded engine says of a page beside its text."""

from __future__ import annotations

import pytest

from one_ocr_ray.model import PageWarning
from one_ocr_ray.policy.page.legibility import LineRead, page_confidence, page_warnings, sure_of_no_text
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


def test_lost_lines_cost_confidence() -> None:
    """Else a page of which half was read well would seem to be read well; a few marks cost nothing."""
    assert page_confidence(0.97, [GOOD] * 20 + [VANISHED], ()) == 0.97
    assert page_confidence(0.97, [GOOD, VANISHED], ()) == pytest.approx(0.97 / 2)


def test_print_out_of_focus_is_no_answer() -> None:
    """Whatever a few blurred letters are taken for."""
    assert page_confidence(None, [], [BlotKind.PICTURE, BlotKind.SMEAR]) < 0.5
    assert page_confidence(0.97, [GOOD], [BlotKind.SMEAR]) < 0.5
    assert page_warnings([], [BlotKind.SMEAR]) == (LOST,)


@pytest.mark.parametrize(("score", "is_text"), [(0.7, False), (0.95, True)])
def test_a_huge_letter_is_read_well_or_a_picture(score: float, is_text: bool) -> None:
    """The detector takes whole photographs for lines, and the recogniser some of them for a letter."""
    assert LineRead(400, 380, score, 0.5, 0.0, page_side=1600).is_text is is_text
    assert LineRead(40, 38, score, 0.5, 0.0, page_side=1600).is_text

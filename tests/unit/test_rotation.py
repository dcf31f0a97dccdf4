"""Which way up a page is, decided on shapes and scores."""

from __future__ import annotations

from one_ocr_ray.policy.layout.rotation import is_better_turned, is_text, runs_sideways

LINES = [(0.98, 40), (0.95, 31)]
SCRAWL = [(0.35, 6), (0.2, 13), (0.3, 1), (0.27, 4)]
ZIGZAG = [(0.99, 1), (0.98, 1), (0.83, 3)]


def test_boxes_vote_by_their_length() -> None:
    """Page numbers and one label of an axis are outvoted."""
    assert not runs_sideways([(600, 20), (500, 20), (20, 700)])
    assert runs_sideways([(20, 600), (20, 500), (300, 20)])


def test_text_is_many_characters_of_good_scores() -> None:
    """Pictures give poor ones, or a letter now and then that looks perfect."""
    assert is_text(LINES)
    assert not any(map(is_text, (SCRAWL, ZIGZAG, [])))


def test_only_text_turns_a_page_over() -> None:
    """Noise that reads better on its head is noise still."""
    assert is_better_turned([(0.4, 25)], LINES)
    assert not is_better_turned(LINES, LINES)
    assert not is_better_turned(SCRAWL, [(0.4, 40)])

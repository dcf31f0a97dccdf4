"""Which lines of a scanned page are bold, by the width of their strokes."""

from __future__ import annotations

from one_ocr_ray.policy.layout.kinds.boldness import Strokes, bold_lines

TEXT = Strokes(2.4, 20, 60)


def test_a_line_with_thicker_strokes_than_the_text_is_bold() -> None:
    """Bold type of the same size; text of the same width is none, nor is a larger type with strokes as much wider."""
    lines = [TEXT, TEXT, Strokes(3.3, 17, 30), Strokes(2.5, 17, 30), Strokes(3.6, 30, 20), Strokes(5.4, 30, 20)]
    assert bold_lines(lines) == [False, False, True, False, False, True]


def test_where_all_is_bold_nothing_is() -> None:
    """Bold is what differs from the text of the page."""
    assert bold_lines([Strokes(3.3, 20, 60)] * 3) == [False] * 3


def test_a_page_of_few_characters_tells_nothing() -> None:
    """None is said of a page of a few words, of a single character, of a page without ink."""
    assert bold_lines([Strokes(2.4, 20, 10), Strokes(4.0, 20, 8)]) == [None, None]
    assert bold_lines([TEXT, TEXT, Strokes(4.0, 20, 1)])[2] is None
    assert bold_lines([Strokes(0.0, 20, 100)]) == [None]
    assert bold_lines([]) == []

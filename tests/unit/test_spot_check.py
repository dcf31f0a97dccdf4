"""The spot check of text layers: which samples are read, and what follows from them, font by font."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.text_layer.ink import InkGrid
from one_ocr_ray.policy.text_layer.layer import Font, Glyph, Layer, Run
from one_ocr_ray.policy.text_layer.lines import LayerLine, layer_lines
from one_ocr_ray.policy.text_layer.samples import SAMPLES_MAX, more_samples, samples_of
from one_ocr_ray.policy.text_layer.spot_check import FontRecord, SampleRead, compared, folded


def page(*lines: tuple[tuple[str, str], ...]) -> tuple[Layer, list[LayerLine]]:
    """A layer of lines; a line is pieces of text, each in a font by name. Every character is 5 points wide."""
    names = sorted({font for line in lines for _, font in line})
    glyphs = []
    for row, line in enumerate(lines):
        column = 0
        for text, font in line:
            for character in text:
                box = (10 + 5.0 * column, 20.0 * row, 15 + 5.0 * column, 20.0 * row + 10)
                glyphs.append(Glyph(character, box, box, names.index(font), len(glyphs), unmapped=False))
                column += 1
    runs = tuple(Run(number, 0.0, False, False, number) for number in range(len(names)))
    layer = Layer(
        width=600, height=800, glyphs=tuple(glyphs), runs=runs,
        fonts=tuple(Font(name, name, True, False, False, False, False) for name in names),
        pictures=(), rulings=(), values=(), annotations=0, cut=False, ink=InkGrid.of(b"", 0, 600, 800),
    )  # fmt: skip
    return layer, layer_lines(layer, layer.glyphs)


def read_as(layer: Layer, lines: list[LayerLine], *texts: str, score: float = 0.99) -> dict[str, tuple[int, int]]:
    """Characters read and errors by font, where the samples of the page say `texts`, in the order of the lines."""
    samples = sorted(samples_of(lines, layer, {}), key=lambda sample: sample.box[1])
    assert len(samples) == len(texts)
    spot = compared(samples, [SampleRead(text, score) for text in texts], layer)
    return {key: (record.read, record.errors) for key, record in spot.fonts.items() if record.read}


def test_a_right_layer_has_no_errors() -> None:
    """Blanks, case, accents, dashes and quotes do not count: readers do not agree on them."""
    layer, lines = page((("Caf\u00e9 \u201cno\u201d 10 \u2013 20", "a"),))
    assert read_as(layer, lines, 'cafe"NO"10-20') == {"a": (10, 0)}


def test_errors_count_against_their_own_font() -> None:
    """A font that is garbled is found among good ones on the same line."""
    layer, lines = page((("good text ", "a"), ("cbe", "b"), (" goes on", "a")))
    assert read_as(layer, lines, "good text had goes on") == {"a": (14, 0), "b": (3, 3)}


def test_letters_that_a_mark_hides_count_against_its_font() -> None:
    """The layer has a mark where the picture has a letter; lost letters are nobody's."""
    layer, lines = page((("wor", "a"), ("\u00a4", "b"), ("d and more", "a")))
    samples = samples_of(lines, layer, {})
    spot = compared(samples, [SampleRead("world and mooore", 0.99)], layer)
    assert (spot.fonts["b"].read, spot.fonts["b"].errors, spot.inserted) == (1, 1, 2)


def test_a_poor_reading_says_nothing() -> None:
    """No line of a script that the models do not know is read."""
    layer, lines = page((("some words", "a"),))
    assert read_as(layer, lines, "xxxx", score=0.7) == {}
    layer, lines = page((("слово a word", "a"),))
    assert samples_of(lines, layer, {}) == more_samples(lines, layer, [], {"a": FontRecord(50, 2)}) == []


def test_letters_that_the_models_do_not_know_are_not_expected() -> None:
    """A few of them among others are left out of the comparison."""
    layer, lines = page((("Khởi động Hệ thống", "a"),))
    assert read_as(layer, lines, "Khi đng H thng") == {"a": (11, 0)}


def test_what_is_read_for_letters_that_the_models_do_not_know_is_no_error() -> None:
    """The models put letters of their own in the places of some, beside others that count."""
    layer, lines = page((("serpent, 그리고 twofish(Initialize", "a"),))
    samples = samples_of(lines, layer, {})
    spot = compared(samples, [SampleRead("serpent, ユ7 twoofish(lnitialize", 0.97)], layer)
    assert (spot.fonts["a"].read, spot.fonts["a"].errors, spot.inserted) == (24, 0, 1)


def test_samples_hold_every_font() -> None:
    """A font with one word on the page is read, too; the samples are few."""
    body = [(("the quick brown fox jumps over the lazy dog number " + str(row), "body"),) for row in range(40)]
    layer, lines = page(*body, (("rare", "other"),))
    samples = samples_of(lines, layer, {})
    assert len(samples) <= SAMPLES_MAX
    assert any(layer.runs[mark.glyph.run].font == 1 for sample in samples for mark in sample.marks)


def test_what_is_known_of_a_font_is_not_read_again() -> None:
    """Pages of one document share what samples have shown; a few new characters of a well-known font need no look."""
    layer, lines = page((("the quick brown fox jumps over the lazy dog", "a"),), (("the same text again" * 3, "a"),))
    known = {"a": FontRecord(100, 0, frozenset("thequickbrownfoxjumpsoverlazydogmi"))}
    assert samples_of(lines, layer, known) == [], "all is known"
    assert samples_of(lines, layer, {"a": FontRecord(100, 0, frozenset("xyz"))})
    assert samples_of(lines, layer, {})


def test_a_sample_is_the_words_that_show_something_new() -> None:
    """Those beside them are read only where they are too short to be read well."""
    layer, lines = page((("the very lazy dog and a fox", "a"),))
    known = {"a": FontRecord(20, 0, frozenset("thevrylaydogandfx"))}
    (sample,) = samples_of(lines, layer, known)
    assert "".join(mark.glyph.text for mark in sample.marks) == "lazydogand"


def test_samples_end_where_enough_of_the_page_is_shown() -> None:
    """One line shows a font as well as many that say the same, and a few rare letters need no look."""
    body = [(("these words stand on all of the lines", "body"),) for _ in range(40)]
    layer, lines = page(*body, (("a fuzzy bug", "body"),))
    assert len(samples_of(lines, layer, {})) == 1


def test_later_pages_of_a_document_need_fewer_samples() -> None:
    """One where all fonts are known, two where a part is in a new one, and as many as on the first page if all is."""
    rows = ("abcdefghijkl", "mnopqrstuvw", "ABCDEFGHIJKL", "MNOPQRSTUVW", "123456789xyz")
    layer, lines = page(*(((text * 2, "body"),) for text in rows), (("the annex", "annex"),))
    seen = {"body": FontRecord(20, 0, frozenset("a")), "annex": FontRecord(20, 0, frozenset("e"))}
    assert len(samples_of(lines, layer, seen)) == 1
    assert len(samples_of(lines, layer, {"body": seen["body"]})) == 2
    assert len(samples_of(lines, layer, {"other": seen["body"]})) > 2


def test_new_characters_of_a_font_that_was_misread_are_looked_at() -> None:
    """So few of them would not be in a font whose samples were right."""
    layer, lines = page((("the quick brown fox jumps over the lazy dog", "a"),))
    letters = frozenset("thequickbrownfoxjumpsoverlady")
    assert samples_of(lines, layer, {"a": FontRecord(100, 2, letters)}) == []
    assert samples_of(lines, layer, {"a": FontRecord(100, 20, letters)})


def test_more_samples_are_others() -> None:
    """Where a few characters were read otherwise, other lines of that font decide."""
    layer, lines = page(*((("some words of line " + str(row), "a"),) for row in range(30)))
    samples = samples_of(lines, layer, {})
    more = more_samples(lines, layer, samples, {"a": FontRecord(50, 2)})
    assert more
    assert not {sample.box for sample in samples} & {sample.box for sample in more}
    assert more_samples(lines, layer, samples, {"a": FontRecord(50, 0)}) == []


@pytest.mark.parametrize(
    ("text", "same"),
    [("ﬁ", "fl"), ("É", "e"), ("１", "l"), ("|", "l"), ("I", "l"), ("0", "o"), ("—", ""), ("漢", "漢")],
)
def test_what_readers_agree_on(text: str, same: str) -> None:
    """Forms of one letter are that letter."""
    assert folded(text) == same

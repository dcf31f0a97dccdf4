"""The spot check of a text layer: a few short lines are read from the picture, and errors are counted font by font.

A wrong table of codes spoils one font and leaves the others right, and nothing in the file tells. So the samples are
chosen to hold every font and many of its characters, and each character that was read otherwise counts against its own
font. A line that is read poorly says nothing: the recogniser may not know its script.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.policy.text_layer.alphabet import is_known
from one_ocr_ray.policy.text_layer.edits import least_edits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Layer
    from one_ocr_ray.policy.text_layer.lines import Mark

GOOD_SCORE = 0.85  # lines that are read with less are no evidence
Pair = tuple[str, str]  # a font's key and one of its characters

_MARK, _UNKNOWN = _NO_LETTERS = ("\0", "\1")  # what has no letter or digit; a letter that the models do not know
_SAME = str.maketrans({"0": "o", "1": "l", "|": "l", "i": "l", "ı": "l", "ſ": "s", "µ": "μ"})


@dataclass(frozen=True, slots=True)
class FontRecord:
    """What samples have shown of one font of a document."""

    read: int = 0
    errors: int = 0
    characters: frozenset[str] = field(default=frozenset(), repr=False)

    def __add__(self, other: FontRecord) -> FontRecord:
        characters = self.characters | other.characters
        return FontRecord(self.read + other.read, self.errors + other.errors, characters)


KnownFonts = dict[str, FontRecord]


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece of a line to be read from the picture: its box in points, and its direction in degrees clockwise."""

    marks: tuple[Mark, ...] = field(repr=False)
    box: BoxPt
    angle: float


@dataclass(frozen=True, slots=True)
class SampleRead:
    """What the recogniser reads in a sample, and how sure it is, 0-1."""

    text: str = field(repr=False)
    score: float


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """What samples say of a page's fonts; `inserted`: letters of the picture that are in no character's place."""

    fonts: Mapping[str, FontRecord]
    inserted: int = 0
    score: float = 1.0  # 0-1, the mean of the samples that were read: those of a poor picture have errors of their own


def compared(samples: Sequence[Sample], reads: Sequence[SampleRead], layer: Layer) -> SpotCheck:
    """What the readings of `samples` say of their fonts; those of poor ones say nothing."""
    read: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    characters: dict[str, set[str]] = {}
    inserted, scores = 0, list[float]()
    for sample, reading in zip(samples, reads, strict=True):
        if reading.score < GOOD_SCORE:
            continue
        scores.append(reading.score)
        expected = [
            (character, layer.fonts[layer.runs[mark.glyph.run].font].key)
            for mark in sample.marks
            for character in _expected(mark.glyph.text)
        ]
        letters = [each for each in expected if each[0] not in _NO_LETTERS]
        wrong, extra = _differences(expected, letters, folded(reading.text))
        for number, (_, key) in enumerate(letters):
            read[key] += 1
            errors[key] += number in wrong
        inserted += extra.count(None)
        for mark in filter(None, extra):
            read[mark] += 1
            errors[mark] += 1
        for key, character in pairs_of(sample.marks, layer):
            characters.setdefault(key, set()).add(character)
    keys = read.keys() | characters.keys()
    fonts = {key: FontRecord(read[key], errors[key], frozenset(characters.get(key, ()))) for key in keys}
    return SpotCheck(fonts, inserted, sum(scores) / len(scores) if scores else 1.0)


def letters_of(sample: Sample) -> str:
    """The letters and digits that a reading of `sample` should say, as `folded` ones."""
    expected = "".join(_expected(mark.glyph.text) for mark in sample.marks)
    return "".join(character for character in expected if character not in _NO_LETTERS)


def _expected(text: str) -> str:
    """What a sample should say for a character: its letters, or one of `_NO_LETTERS`."""
    if text.isalpha() and not is_known(text):
        return _UNKNOWN
    return folded(text) or _MARK


def folded(text: str) -> str:
    """The letters and digits of `text` as far as readers agree on them: without case and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_SAME)
    return "".join(character for character in plain if character.isalnum())


def pairs_of(marks: Sequence[Mark], layer: Layer) -> Iterator[Pair]:
    """The letters and digits of `marks` that the models know, each with the key of its font."""
    runs, fonts = layer.runs, layer.fonts
    for mark in marks:
        glyph = mark.glyph
        if glyph.text.isalnum() and is_known(glyph.text):
            yield fonts[runs[glyph.run].font].key, glyph.text


def _differences(
    expected: Sequence[tuple[str, str]], letters: Sequence[tuple[str, str]], read: str
) -> tuple[set[int], list[str | None]]:
    """Which letters were read otherwise. For each letter read beside them: the font of the mark in its place.

    What is read in the place of a letter that the models do not know is no difference.
    """
    written = "".join(character for character, _ in letters)
    if written == read:
        return set(), []
    wrong: set[int] = set()
    extra: list[str | None] = []
    places = [number for number, (character, _) in enumerate(expected) if character not in _NO_LETTERS]
    for operation, at in least_edits(written, read):
        if operation != "insert":
            wrong.add(at)
            continue
        before = places[at - 1] if at else -1
        after = places[at] if at < len(places) else len(expected)
        between = expected[before + 1 : after]
        if all(character == _MARK for character, _ in between):
            extra.append(between[0][1] if between else None)
    return wrong, extra

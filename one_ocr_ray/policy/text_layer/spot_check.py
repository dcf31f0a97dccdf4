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

from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.text_layer.alphabet import is_known
from one_ocr_ray.policy.text_layer.edits import least_edits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine, Mark

# Samples of a page: where nothing is known of its fonts, where a part of it is in new ones, and where all are known.
SAMPLES_MAX, SAMPLES_NEW_FONT, SAMPLES_LATER = 8, 2, 1
SAMPLE_CHARACTERS = 40  # a longer line is cut between words
CJK_CHARACTERS = 16
LEAST_CHARACTERS = 3
NEW_FONT = 3.0  # a character of a font that no sample has is worth so many of others
GOOD_SCORE = 0.85  # lines that are read with less are no evidence
WELL_KNOWN = 40  # characters of a font that were read on the document's pages
FEW_ERRORS = 0.05  # of them: nobody misread more of a right font
FEW_NEW = 0.1  # of the characters of a well-known font without errors: as many unseen ones need no look
FEW_OF_PAGE = 0.02  # of the page's letters: so many may be wrong, so as many unseen ones need no look, either
UNKNOWN_LETTERS = 0.3  # of a sample: with more of them its reading is no evidence
MARGIN = 0.12  # of the size of the type, around a sample

Pair = tuple[str, str]  # a font's key and one of its characters

_SAME = str.maketrans({"0": "o", "1": "l", "|": "l", "ſ": "s", "ı": "i", "µ": "μ"})


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


def samples_of(lines: Sequence[LayerLine], layer: Layer, known: KnownFonts) -> list[Sample]:
    """The pieces of lines to read: those that show the most characters not seen yet for their length."""
    marked = Counter([_code(mark) for line in lines for mark in line.marks])
    pair_of = {
        (run, text): (layer.fonts[layer.runs[run].font].key, text)
        for run, text in marked
        if text.isalnum() and is_known(text)
    }
    counts: Counter[Pair] = Counter()
    for code, pair in pair_of.items():
        counts[pair] += marked[code]
    wanted = _wanted(counts, known)
    if not wanted:
        return []
    new_pairs = {code: pair for code, pair in pair_of.items() if pair in wanted}
    candidates = [
        (sample, frozenset(new_pairs[code] for code in map(_code, sample.marks) if code in new_pairs))
        for line in lines
        if not new_pairs.keys().isdisjoint(map(_code, line.marks))
        for sample in _cut(line)
    ]
    candidates = [each for each in candidates if each[1]]
    seen: set[Pair] = set()
    fonts = {key for key, record in known.items() if record.read}
    most = _most_samples(counts, fonts)
    chosen: list[Sample] = []
    while candidates and len(chosen) < most:
        best, gain, pairs = None, 0.0, frozenset[Pair]()
        for sample, its_pairs in candidates:
            new = its_pairs - seen
            worth = sum(1.0 if key in fonts else NEW_FONT for key, _ in new)
            worth /= len(sample.marks) + LEAST_CHARACTERS
            if worth > gain:
                best, gain, pairs = sample, worth, new
        if best is None:
            break
        chosen.append(best)
        seen |= pairs
        fonts |= {key for key, _ in pairs}
        candidates = [each for each in candidates if each[0] is not best and each[1] - seen]
    return chosen


def more_samples(
    lines: Sequence[LayerLine], layer: Layer, taken: Sequence[Sample], fonts: Mapping[str, FontRecord]
) -> list[Sample]:
    """Other samples, the ones with the most letters in fonts of which something was read otherwise."""
    doubtful = {key for key, record in fonts.items() if record.errors}
    used = {sample.box for sample in taken}
    others = [sample for line in lines for sample in _cut(line) if sample.box not in used]
    letters = {
        number: sum(key in doubtful for key, _ in _pairs(sample.marks, layer)) for number, sample in enumerate(others)
    }
    best = sorted(letters, key=lambda number: (-letters[number], number))[:SAMPLES_MAX]
    return [others[number] for number in best if letters[number] >= LEAST_CHARACTERS]


def compared(samples: Sequence[Sample], reads: Sequence[SampleRead], layer: Layer) -> SpotCheck:
    """What the readings of `samples` say of their fonts; those of poor ones say nothing."""
    read: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    characters: dict[str, set[str]] = {}
    inserted, scores = 0, list[float]()
    for sample, reading in zip(samples, reads, strict=True):
        unknown = [not is_known(mark.glyph.text) for mark in sample.marks if mark.glyph.text.isalpha()]
        if reading.score < GOOD_SCORE or sum(unknown) > UNKNOWN_LETTERS * len(unknown):
            continue
        scores.append(reading.score)
        expected = [
            (character, layer.fonts[layer.runs[mark.glyph.run].font].key)
            for mark in sample.marks
            for character in _expected(mark.glyph.text)
        ]
        letters = [each for each in expected if each[0] != "\0"]
        wrong, extra = _differences(expected, letters, folded(reading.text))
        for number, (_, key) in enumerate(letters):
            read[key] += 1
            errors[key] += number in wrong
        inserted += extra.count(None)
        for mark in filter(None, extra):
            read[mark] += 1
            errors[mark] += 1
        for key, character in _pairs(sample.marks, layer):
            characters.setdefault(key, set()).add(character)
    keys = read.keys() | characters.keys()
    fonts = {key: FontRecord(read[key], errors[key], frozenset(characters.get(key, ()))) for key in keys}
    return SpotCheck(fonts, inserted, sum(scores) / len(scores) if scores else 1.0)


def agrees(sample: Sample, text: str) -> bool:
    """True if a reading of `sample` says the letters and digits of the layer and no others."""
    return folded(text) == "".join(_expected(mark.glyph.text) for mark in sample.marks).replace("\0", "")


def _expected(text: str) -> str:
    """What a sample should say for a character: \\0 for a mark, nothing for a letter that the models do not know."""
    if text.isalpha() and not is_known(text):
        return ""
    return folded(text) or "\0"


def folded(text: str) -> str:
    """The letters and digits of `text` as far as readers agree on them: without case and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_SAME)
    return "".join(character for character in plain if character.isalnum())


def _wanted(counts: Counter[Pair], known: KnownFonts) -> frozenset[Pair]:
    """The characters that nothing is known of yet; of a font that is well known only where they are many."""
    totals: Counter[str] = Counter()
    new: Counter[str] = Counter()
    for (key, character), count in counts.items():
        totals[key] += count
        if key not in known or character not in known[key].characters:
            new[key] += count
    settled = {
        key
        for key, count in totals.items()
        if key in known
        and known[key].read >= WELL_KNOWN
        and known[key].errors <= FEW_ERRORS * known[key].read
        and new[key] <= FEW_NEW * count
    }
    unseen = sum(count for key, count in new.items() if key not in settled)
    if unseen <= FEW_OF_PAGE * totals.total() and any(key in known and known[key].read for key in totals):
        return frozenset()
    return frozenset(
        (key, character)
        for key, character in counts
        if key not in settled and (key not in known or character not in known[key].characters)
    )


def _most_samples(counts: Counter[Pair], known: Collection[str]) -> int:
    new = sum(count for (key, _), count in counts.items() if key not in known)
    if new == counts.total():
        return SAMPLES_MAX
    return SAMPLES_NEW_FONT if new > FEW_OF_PAGE * counts.total() else SAMPLES_LATER


def _pairs(marks: Sequence[Mark], layer: Layer) -> Iterator[Pair]:
    runs, fonts = layer.runs, layer.fonts
    for mark in marks:
        glyph = mark.glyph
        if glyph.text.isalnum() and is_known(glyph.text):
            yield fonts[runs[glyph.run].font].key, glyph.text


def _code(mark: Mark) -> tuple[int, str]:
    """What a character is in its layer: many are alike."""
    return mark.glyph.run, mark.glyph.text


def _cut(line: LayerLine) -> Iterator[Sample]:
    """Pieces of a line that are short enough, cut at spaces where there are any."""
    piece: list[Mark] = []
    for mark in line.marks:
        most = CJK_CHARACTERS if is_cjk(mark.glyph.text[0]) else SAMPLE_CHARACTERS
        if piece and len(piece) >= most - 10 and (mark.spaced or len(piece) >= most):
            yield _sample(piece, line.angle)
            piece = []
        piece.append(mark)
    if piece:
        yield _sample(piece, line.angle)


def _sample(marks: Sequence[Mark], angle: float) -> Sample:
    boxes = [mark.glyph.box for mark in marks]
    margin = MARGIN * max(mark.size for mark in marks)
    box = (
        min(box[0] for box in boxes) - margin,
        min(box[1] for box in boxes) - margin,
        max(box[2] for box in boxes) + margin,
        max(box[3] for box in boxes) + margin,
    )
    return Sample(tuple(marks), box, angle)


def _differences(
    expected: Sequence[tuple[str, str]], letters: Sequence[tuple[str, str]], read: str
) -> tuple[set[int], list[str | None]]:
    """Which letters were read otherwise. For each letter read beside them: the font of the mark in its place."""
    written = "".join(character for character, _ in letters)
    if written == read:
        return set(), []
    wrong: set[int] = set()
    extra: list[str | None] = []
    places = [number for number, (character, _) in enumerate(expected) if character != "\0"]
    for operation, at in least_edits(written, read):
        if operation != "insert":
            wrong.add(at)
            continue
        before = places[at - 1] if at else -1
        after = places[at] if at < len(places) else len(expected)
        marks = [key for _, key in expected[before + 1 : after]]
        extra.append(marks[0] if marks else None)
    return wrong, extra

"""Which samples the spot check of a text layer reads: a few short pieces of lines that show much of its fonts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from math import sqrt
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.text_layer.alphabet import is_known
from one_ocr_ray.policy.text_layer.spot_check import Sample, pairs_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine, Mark
    from one_ocr_ray.policy.text_layer.spot_check import FontRecord, KnownFonts, Pair

# Samples of a page: where nothing is known of its fonts, where a part of it is in new ones, and where all are known.
SAMPLES_MAX, SAMPLES_NEW_FONT, SAMPLES_LATER = 8, 2, 1
SAMPLE_CHARACTERS = 40  # a longer line is cut between words
CJK_CHARACTERS = 12
CHARACTERS_LESS = 10  # at a space a piece ends with so many fewer
WORDS_CHARACTERS = 8  # of words of it that show something new, with those beside them
LEAST_CHARACTERS = 3
NEW_FONT = 3.0  # a character of a font that no sample has is worth so many of others
WELL_KNOWN = 40  # characters of a font that were read on the document's pages
FEW_ERRORS = 0.05  # of them: nobody misread more of a right font
FEW_NEW = 0.1  # of the characters of a well-known font without errors: as many unseen ones need no look
FEW_OF_PAGE = 0.02  # of the page's letters: so many may be wrong, so as many unseen ones need no look, either
UNKNOWN_LETTERS = 0.3  # of a piece of a line: with more of them its reading is no evidence
MARGIN = 0.12  # of the size of the type, around a sample

Code = tuple[int, str]  # the run and the text of a character


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a line. `codes`: what its characters are in their layer; many are alike."""

    marks: Sequence[Mark]
    codes: Sequence[Code]
    angle: float


def samples_of(lines: Sequence[LayerLine], layer: Layer, known: KnownFonts) -> list[Sample]:
    """The pieces of lines to read: those that show the most not seen yet of the page's letters for their length."""
    codes = [[(mark.glyph.run, mark.glyph.text) for mark in line.marks] for line in lines]
    marked = Counter(chain.from_iterable(codes))
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
    with_new = [
        (line, of_line) for line, of_line in zip(lines, codes, strict=True) if not new_pairs.keys().isdisjoint(of_line)
    ]
    candidates = [
        (piece, frozenset([new_pairs[code] for code in piece.codes if code in new_pairs]))
        for piece in _pieces(with_new)
    ]
    seen: set[Pair] = set()
    fonts = {key for key, record in known.items() if record.read}
    most = _most_samples(counts, fonts)
    worth_of = {pair: sqrt(counts[pair]) for pair in wanted}
    chosen: list[Sample] = []
    while len(chosen) < most and not _is_enough(wanted - seen, counts, fonts):
        best, gain = None, 0.0
        for each in candidates:
            worth = sum([worth_of[pair] * (1.0 if pair[0] in fonts else NEW_FONT) for pair in each[1] - seen])
            worth /= len(each[0].marks) + LEAST_CHARACTERS
            if worth > gain:
                best, gain = each, worth
        if best is None:
            break
        piece, pairs = best
        new = pairs - seen
        marks = _words_with(piece.marks, [new_pairs.get(code) in new for code in piece.codes])
        chosen.append(_sample(marks, piece.angle))
        seen |= pairs
        fonts |= {key for key, _ in pairs}
        candidates = [each for each in candidates if each is not best and each[1] - seen]
    return chosen


def more_samples(
    lines: Sequence[LayerLine], layer: Layer, taken: Sequence[Sample], fonts: Mapping[str, FontRecord]
) -> list[Sample]:
    """Other samples, the ones with the most letters in fonts of which something was read otherwise."""
    doubtful = {key for key, record in fonts.items() if record.errors}
    used = {mark.glyph.place for sample in taken for mark in sample.marks}
    coded = [(line, [(mark.glyph.run, mark.glyph.text) for mark in line.marks]) for line in lines]
    others = [piece for piece in _pieces(coded) if used.isdisjoint(mark.glyph.place for mark in piece.marks)]
    letters = [sum(key in doubtful for key, _ in pairs_of(piece.marks, layer)) for piece in others]
    best = sorted(range(len(others)), key=lambda number: -letters[number])[:SAMPLES_MAX]
    return [_sample(others[each].marks, others[each].angle) for each in best if letters[each] >= LEAST_CHARACTERS]


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


def _is_enough(unseen: Collection[Pair], counts: Counter[Pair], fonts: Collection[str]) -> bool:
    """True if every font has a sample, and so few letters of the page are left that all of them may be wrong."""
    return all(key in fonts for key, _ in unseen) and (
        sum([counts[pair] for pair in unseen]) <= FEW_OF_PAGE * counts.total()
    )


def _pieces(lines: Iterable[tuple[LayerLine, Sequence[Code]]]) -> Iterator[_Piece]:
    """Pieces that are short enough, cut at spaces where there are any, and that the models can read."""
    for line, codes in lines:
        cuts = [0]
        for number, mark in enumerate(line.marks):
            length = number - cuts[-1]
            if length < CJK_CHARACTERS - CHARACTERS_LESS:
                continue
            most = CJK_CHARACTERS if is_cjk(mark.glyph.text[0]) else SAMPLE_CHARACTERS
            if length >= most - CHARACTERS_LESS and (mark.spaced or length >= most):
                cuts.append(number)
        for start, end in pairwise([*cuts, len(codes)]):
            letters = [text for _, text in codes[start:end] if text.isalpha()]
            if sum([not is_known(text) for text in letters]) <= UNKNOWN_LETTERS * len(letters):
                yield _Piece(line.marks[start:end], codes[start:end], line.angle)


def _words_with(piece: Sequence[Mark], is_new: Sequence[bool]) -> Sequence[Mark]:
    """The words of a piece from the first to the last with a new character, and those beside them if it is short."""
    starts = [number for number, mark in enumerate(piece) if mark.spaced or not number]
    ends = [*starts[1:], len(piece)]
    with_new = [number for number, (start, end) in enumerate(zip(starts, ends, strict=True)) if any(is_new[start:end])]
    first, last = with_new[0], with_new[-1]
    while ends[last] - starts[first] < WORDS_CHARACTERS and last - first + 1 < len(starts):
        if last + 1 < len(starts):
            last += 1
        else:
            first -= 1
    return piece[starts[first] : ends[last]]


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

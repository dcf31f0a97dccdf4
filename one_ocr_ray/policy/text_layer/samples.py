"""Which samples the spot check of a text layer reads: a few short pieces of lines that show much of its fonts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.text_layer.alphabet import is_known
from one_ocr_ray.policy.text_layer.spot_check import Sample, pairs_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine, Mark
    from one_ocr_ray.policy.text_layer.spot_check import FontRecord, KnownFonts, Pair

# Samples of a page: where nothing is known of its fonts, where a part of it is in new ones, and where all are known.
SAMPLES_MAX, SAMPLES_NEW_FONT, SAMPLES_LATER = 8, 2, 1
SAMPLE_CHARACTERS = 40  # a longer line is cut between words
CJK_CHARACTERS = 16
WORDS_CHARACTERS = 8  # of words of it that show something new, with those beside them
LEAST_CHARACTERS = 3
NEW_FONT = 3.0  # a character of a font that no sample has is worth so many of others
WELL_KNOWN = 40  # characters of a font that were read on the document's pages
FEW_ERRORS = 0.05  # of them: nobody misread more of a right font
FEW_NEW = 0.1  # of the characters of a well-known font without errors: as many unseen ones need no look
FEW_OF_PAGE = 0.02  # of the page's letters: so many may be wrong, so as many unseen ones need no look, either
UNKNOWN_LETTERS = 0.3  # of a piece of a line: with more of them its reading is no evidence
MARGIN = 0.12  # of the size of the type, around a sample


def samples_of(lines: Sequence[LayerLine], layer: Layer, known: KnownFonts) -> list[Sample]:
    """The pieces of lines to read: those that show the most characters not seen yet for their length."""
    marked = Counter([(mark.glyph.run, mark.glyph.text) for line in lines for mark in line.marks])
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
        (piece, line.angle, pairs)
        for line in lines
        for piece in _pieces(line)
        if (pairs := frozenset([new_pairs[code] for code in map(_code, piece) if code in new_pairs]))
    ]
    seen: set[Pair] = set()
    fonts = {key for key, record in known.items() if record.read}
    most = _most_samples(counts, fonts)
    chosen: list[Sample] = []
    while candidates and len(chosen) < most:
        best, gain = None, 0.0
        for each in candidates:
            worth = sum(1.0 if key in fonts else NEW_FONT for key, _ in each[2] - seen)
            worth /= len(each[0]) + LEAST_CHARACTERS
            if worth > gain:
                best, gain = each, worth
        if best is None:
            break
        piece, angle, pairs = best
        new = pairs - seen
        is_new = [new_pairs.get(_code(mark)) in new for mark in piece]
        chosen.append(_sample(_words_with(piece, is_new), angle))
        seen |= pairs
        fonts |= {key for key, _ in pairs}
        candidates = [each for each in candidates if each is not best and each[2] - seen]
    return chosen


def more_samples(
    lines: Sequence[LayerLine], layer: Layer, taken: Sequence[Sample], fonts: Mapping[str, FontRecord]
) -> list[Sample]:
    """Other samples, the ones with the most letters in fonts of which something was read otherwise."""
    doubtful = {key for key, record in fonts.items() if record.errors}
    used = {mark.glyph.place for sample in taken for mark in sample.marks}
    others = [
        (piece, line.angle)
        for line in lines
        for piece in _pieces(line)
        if used.isdisjoint(mark.glyph.place for mark in piece)
    ]
    letters = [sum(key in doubtful for key, _ in pairs_of(piece, layer)) for piece, _ in others]
    best = sorted(range(len(others)), key=lambda number: -letters[number])[:SAMPLES_MAX]
    return [_sample(*others[number]) for number in best if letters[number] >= LEAST_CHARACTERS]


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


def _code(mark: Mark) -> tuple[int, str]:
    """What a character is in its layer: many are alike."""
    return mark.glyph.run, mark.glyph.text


def _pieces(line: LayerLine) -> list[Sequence[Mark]]:
    """Pieces of a line that are short enough, cut at spaces where there are any, and that the models can read."""
    pieces: list[Sequence[Mark]] = []
    start = 0
    for number, mark in enumerate(line.marks):
        length, most = number - start, CJK_CHARACTERS if is_cjk(mark.glyph.text[0]) else SAMPLE_CHARACTERS
        if length and length >= most - 10 and (mark.spaced or length >= most):
            pieces.append(line.marks[start:number])
            start = number
    pieces.append(line.marks[start:])
    return [piece for piece in pieces if _is_readable(piece)]


def _is_readable(marks: Sequence[Mark]) -> bool:
    unknown = [not is_known(mark.glyph.text) for mark in marks if mark.glyph.text.isalpha()]
    return sum(unknown) <= UNKNOWN_LETTERS * len(unknown)


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

"""From characters with places to lines of text as the layout takes them.

The order and the line ends of a layer are worth nothing: lines are built from the boxes. Only the spaces that stand
between two neighbours of the layer are believed. Text that runs in another direction than most of the page is built in
a frame of its own (frames.py), and put back as a line on its side.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from operator import sub
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from one_ocr_ray.policy.layout.geometry import TextLine
from one_ocr_ray.policy.layout.kinds.formulas import has_operators, may_be_formula
from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.sequences import runs
from one_ocr_ray.policy.text_layer.frames import corners_of, framed
from one_ocr_ray.policy.text_layer.spelling import CLOSED, placed_words, read_backwards
from one_ocr_ray.policy.text_layer.stacks import latex_of_marks, middle_of, with_stacks
from one_ocr_ray.policy.text_layer.tex_signs import with_signs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.policy.layout.geometry import Word
    from one_ocr_ray.policy.text_layer.layer import Glyph, Layer
    from one_ocr_ray.policy.text_layer.stacks import Part

# Multiples of the size of the type.
LINE_GAP = 0.6  # pieces further apart are lines of their own
JUSTIFIED = 1.3  # a space within one text object is not wider, else it parts columns
WIDEST_SPACE = 2.5  # between words that are objects of their own, where a line is justified
FEW_SPACES = 2
EQUAL = 0.06  # the spaces of a justified line differ by less, and its words by more
BACK = 0.5  # a character this far left of the end of the one before begins a new piece
SAME_LINE, OTHER_SIZE = 0.35, 0.85  # middles that differ by less, of types of one size and of two
RAISED, SMALL = 0.15, 0.8  # a superscript
MONO = 0.9  # of a line's characters; prose names files and commands in a fixed-width font
FEW = 0.25  # of the characters of a line: fewer do not say how large its type is

_LETTERS = re.compile(r"[^\W\d_]{2}")
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


class Mark(NamedTuple):
    """A glyph in the frame of its direction, in which text runs to the right."""

    glyph: Glyph
    left: float
    top: float
    right: float
    bottom: float
    spaced: bool  # a space stands before it in the layer
    part: Part | None = None  # of a stack
    stack: tuple[float, float] = (0.0, 0.0)  # its left and its right end

    @property
    def size(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class LayerLine:
    """A line and the glyphs that it is made of, in reading order."""

    marks: tuple[Mark, ...]
    angle: float  # of its frame, degrees clockwise
    line: TextLine

    @classmethod
    def of(cls, marks: list[Mark], angle: float, layer: Layer) -> LayerLine:
        """The line that `marks`, from left to right, make in the frame of `angle`."""
        glyphs, lefts, tops, rights, bottoms, _, parts, _ = zip(*marks, strict=True)
        texts, _, _, runs_of_marks, _, _ = zip(*glyphs, strict=True)
        left, right = min(lefts), max(rights)
        sizes = sorted(map(sub, bottoms, tops))
        # The size of the line's large type; a sign or two from another font, such as a star, do not make it larger.
        usual = sizes[len(sizes) // 2]
        large = [size for size in sizes if size > SMALL * sizes[-1]]
        largest = sizes[-1] if len(large) >= FEW * len(sizes) else max(size for size in sizes if size < usual / SMALL)
        has_stack = any(parts)
        if has_stack or sizes[0] <= SMALL * largest:
            body = [mark for mark in marks if mark.size > SMALL * largest]
            body = [mark for mark in body if mark.part is None] or body
            top, bottom = median(mark.top for mark in body), median(mark.bottom for mark in body)
        else:
            top, bottom = median(tops), median(bottoms)
        if max(texts) > "\u0590" and 3 * sum(map(is_right_to_left, texts)) > len(marks):
            marks = sorted(marks, key=lambda mark: mark.glyph.place)
            words = read_backwards(marks)
        else:
            words = placed_words(marks, left, right, bottom, largest)
        fonts = [(layer.fonts[layer.runs[number].font], count) for number, count in Counter(runs_of_marks).items()]
        bold = 2 * sum(count for font, count in fonts if font.bold) > len(marks)
        mono = sum(count for font, count in fonts if font.mono) > MONO * len(marks)
        italic = 2 * sum(count for font, count in fonts if font.italic) > len(marks)
        starts_bold = layer.fonts[layer.runs[marks[0].glyph.run].font].bold
        latex = None
        if _is_formula(marks, words, layer):
            bold_runs = {number for number, run in enumerate(layer.runs) if layer.fonts[run.font].is_bold_upright}
            latex = latex_of_marks(marks, bottom, largest, bold_runs)
            if has_stack:
                top, bottom = min(tops), max(bottoms)
        corners = corners_of(left, top, right, bottom, angle)
        line = TextLine(corners, words, None, usual, bold, starts_bold, mono, italic, angle, latex)
        return cls(tuple(marks), angle, line)


@dataclass(slots=True)
class _Open:
    """A line that may go on to the right."""

    marks: list[Mark]
    right: float
    middle: float
    size: float

    def takes(self, piece: _Open, left: float) -> bool:
        """True if a piece that begins at `left` continues the line, or is raised or lowered in a gap of it.

        The second is what an exponent before a sign does.
        """
        larger, smaller = max(self.size, piece.size), min(self.size, piece.size)
        apart = abs(self.middle - piece.middle)
        most = SAME_LINE if smaller > SMALL * larger else OTHER_SIZE / 2
        if apart < most * larger and -BACK * larger < left - self.right < LINE_GAP * larger:
            return True
        is_small = piece.size < SMALL * self.size and apart < OTHER_SIZE / 2 * self.size
        if not is_small or not min(m.left for m in self.marks) < left < self.right:
            return False
        slack = BACK / 2 * piece.size
        return all(m.right <= left + slack or m.left >= piece.right - slack for m in self.marks)


def layer_lines(layer: Layer, glyphs: Sequence[Glyph]) -> list[LayerLine]:
    """The lines that `glyphs` make, on the page as displayed."""
    letters: list[Glyph] = []
    spaces: list[bool] = []  # before each letter
    spaced, last = True, 0
    for glyph in with_signs(layer, glyphs):
        if glyph.run < 0 or glyph.text.isspace():
            spaced = True
            continue
        letters.append(glyph)
        # What lies between two neighbours may have been dropped, a space among it.
        spaces.append(spaced or glyph.place - last > 2)
        spaced, last = False, glyph.place
    frames: dict[float, list[Mark]] = {}
    downwards = _downwards(layer, letters)
    angles = [run.angle for run in layer.runs]
    for number, (glyph, spaced) in enumerate(zip(letters, spaces, strict=True)):
        angle = 90.0 if number in downwards else angles[glyph.run]
        left, top, right, bottom = framed(glyph.box, angle) if angle else glyph.box
        frames.setdefault(angle, []).append(Mark(glyph, left, top, right, bottom, spaced))
    return [
        LayerLine.of(marks, angle, layer)
        for angle, found in frames.items()
        for marks in _joined(with_stacks(_justified(runs(found, _follows)), () if angle else layer.rulings))
    ]


def text_of(marks: Iterable[Mark]) -> str:
    """The characters of marks without spaces."""
    return "".join(mark.glyph.text for mark in marks)


def _downwards(layer: Layer, letters: Sequence[Glyph]) -> set[int]:
    """Which of the letters are written downwards, as Chinese and Japanese may be, by their numbers."""
    found: set[int] = set()
    if not any(letter.text >= "\u2e80" for letter in letters):
        return found
    for number in range(1, len(letters)):
        above, below = letters[number - 1], letters[number]
        if below.text < "\u2e80" or above.text < "\u2e80" or layer.runs[below.run].angle:
            continue
        height = below.box[3] - below.box[1]
        middle = (above.box[0] + above.box[2] - below.box[0] - below.box[2]) / 2
        if abs(middle) < 0.2 * height and 0.6 * height < below.box[1] - above.box[1] < 1.3 * height:
            found |= {number - 1, number}
    return found


def _follows(piece: Sequence[Mark], mark: Mark) -> bool:
    """True if `mark` follows the last one of a piece, in the layer and on the page."""
    last = piece[-1]
    size, smaller = last.bottom - last.top, mark.bottom - mark.top
    if smaller > size:
        size, smaller = smaller, size
    gap = mark.left - last.right
    reach = JUSTIFIED if mark.glyph.run == last.glyph.run else LINE_GAP
    if not -BACK * size < gap < reach * size and not (
        is_right_to_left(last.glyph.text) and -reach * size < last.left - mark.right < 3 * size
    ):
        return False
    overlap = min(last.bottom, mark.bottom) - max(last.top, mark.top)
    return overlap > 0.5 * smaller or is_raised(mark, last) or is_raised(last, mark)


def _justified(pieces: list[list[Mark]]) -> list[list[Mark]]:
    """`pieces` with the spaces of justified lines closed, where each word is an object of its own.

    They are equally wide, and there are two at least; the words are not, as numbers under each other may be. Two
    are equal by chance in tables, too: there they have to be exactly so, and no word a number.
    """
    for words in runs(pieces, _may_be_justified):
        spaces = [b[0].left - a[-1].right for a, b in pairwise(words)]
        equal = EQUAL * words[0][0].size
        few = len(spaces) == FEW_SPACES
        if len(spaces) < FEW_SPACES or max(spaces) - min(spaces) > equal / (4 if few else 1):
            continue
        if few and any(word[0].glyph.text.isdecimal() for word in words):
            continue
        widths = [word[-1].right - word[0].left for word in words]
        if max(widths) - min(widths) > equal:
            for word, following in pairwise(words):
                word[-1] = word[-1]._replace(right=following[0].left - CLOSED * following[0].size)
    return pieces


def _may_be_justified(words: Sequence[Sequence[Mark]], word: Sequence[Mark]) -> bool:
    last, first = words[-1][-1], word[0]
    return (
        first.spaced
        and LINE_GAP * first.size <= first.left - last.right < WIDEST_SPACE * first.size
        and abs(first.bottom + first.top - last.bottom - last.top) < SAME_LINE * first.size
    )


def is_raised(mark: Mark, base: Mark) -> bool:
    """True if `mark` is a superscript of `base`."""
    return mark.size < SMALL * base.size and base.bottom - mark.bottom > RAISED * base.size and mark.bottom > base.top


def _joined(pieces: list[list[Mark]]) -> list[list[Mark]]:
    """Pieces that stand close beside each other on one line put together, from left to right."""
    lines: list[_Open] = []
    rows: dict[int, list[_Open]] = {}  # by the height at which they stand
    step = 4.0
    for piece in sorted(pieces, key=lambda each: min([mark.left for mark in each])):
        _, lefts, tops, rights, bottoms, _, parts, stacks = zip(*piece, strict=True)
        left, size = min(lefts), median(map(sub, bottoms, tops))
        if any(parts):
            on_line = [m for m in piece if m.part is None]
            middle = median((m.top + m.bottom) / 2 for m in on_line) if on_line else middle_of(piece)
        else:
            middle = median([(top + bottom) / 2 for top, bottom in zip(tops, bottoms, strict=True)])
        new = _Open(piece, max(*rights, *(end for _, end in stacks)), middle, size)
        reach = int(max(size, step) // step) + 1
        at = int(middle // step)
        near = (line for row in range(at - reach, at + reach + 1) for line in rows.get(row, ()))
        fitting = [line for line in near if line.takes(new, left)]
        if not fitting:
            lines.append(new)
            rows.setdefault(at, []).append(new)
            continue
        line = max(fitting, key=lambda each: each.right)
        if left < line.right - BACK * line.size:
            line.marks = sorted(line.marks + piece, key=lambda mark: mark.stack[0] if mark.part else mark.left)
        else:
            line.marks += piece
        line.right = max(line.right, new.right)
    return [line.marks for line in lines]


def _is_formula(marks: Sequence[Mark], words: Sequence[Word], layer: Layer) -> bool:
    """True if a line reads like a formula with two operators, and its letters are set in a formula's type."""
    text = "".join(word.text for word in words)
    if any(mark.part for mark in marks) and may_be_formula(text):
        return True
    if not (may_be_formula(text) and has_operators(text)):
        return False
    fonts = [layer.fonts[layer.runs[mark.glyph.run].font] for mark in marks if mark.glyph.text.isalpha()]
    vectors = _LETTERS.search(text) is None  # a bold letter alone is one
    return bool(fonts) and all(font.italic or font.math or (vectors and font.bold) for font in fonts)


def is_right_to_left(text: str) -> bool:
    return text > "\u0590" and not is_cjk(text[0]) and unicodedata.bidirectional(text[0]) in _RIGHT_TO_LEFT

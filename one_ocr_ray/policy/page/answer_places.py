"""Finds the places of a model's answer: matches its words with words of known places.

A model reads a page well and does not say where anything stands; a text layer or the embedded OCR knows every place.
Words match where runs of them agree, in whatever order the blocks stand; then what is left between two matched words
is compared letter by letter. What matches nothing has no place.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from rapidfuzz.distance import LCSseq
from rapidfuzz.fuzz import ratio

from one_ocr_ray.blocks import Block, BlockLine, BlockWord, Box
from one_ocr_ray.policy.layout.places import around, part_of
from one_ocr_ray.policy.layout.text import CJK_RANGE
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_WORDS = 10_000  # of a page, on either side: the comparison takes memory for each pair of 64
ROUNDS = 6  # each finds the longest part that is in the same order on both sides; blocks may be in another
RUN_WORDS, RUN_LETTERS = 3, 8  # fewer words in a row may agree by chance
ALIKE = 60  # per cent of the letters, between two words that both have matched neighbours
GAP_WORDS = 12  # more words than this between two matched ones are not compared letter by letter
FAR_LINES = 3.0  # a word this many line heights from the middle of its block's words was matched elsewhere by chance

# A word with each of its CJK characters by itself.
_CJK_APART = re.compile(f"[{CJK_RANGE}]|[^{CJK_RANGE}]+")


@dataclass(frozen=True, slots=True)
class Alignment:
    """An answer's blocks with places. `matched` is the share 0-1 of its words that have one, 1 for no words."""

    blocks: tuple[Block, ...]
    matched: float


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of the answer: its place there, and what is compared of it."""

    block: int
    cell: int | None
    text: str
    folded: str
    space: bool

    @classmethod
    def all_of(cls, number: int, block: Block) -> Iterator[_Token]:
        """The words of the block with that number, CJK characters by themselves."""
        texts = (
            [(None, block.text)] if block.table is None else list(enumerate(cell.text for cell in block.table.cells))
        )
        for cell, text in texts:
            for word in text.split():
                parts = _CJK_APART.findall(word)
                for part in parts:
                    if folded := _folded(part):
                        yield cls(number, cell, part, folded, space=part is parts[-1])


def with_places(blocks: Sequence[Block], words: Sequence[BlockWord], *, in_order: bool = False) -> Alignment:
    """`blocks` of an answer with boxes and lines, from those of `words` that they hold.

    `words` are those of the same page; unless they are `in_order`, in any order, on a page that is level. A block of
    which no word is found keeps no box.
    """
    tokens = [token for number, block in enumerate(blocks) for token in _Token.all_of(number, block)][:MOST_WORDS]
    ordered = words[:MOST_WORDS]
    if not in_order:  # columns beside each other share rows, and a row of each is still a run
        rows = runs(sorted(ordered, key=_middle), lambda row, word: _middle(word) <= row[0].box.y1)
        ordered = [word for row in rows for word in sorted(row, key=lambda each: each.box.x0)]
    placed = [part for word in ordered for part in _parts(word) if _folded(part.text)]
    found = _matches([token.folded for token in tokens], [_folded(word.text) for word in placed])
    by_block: dict[int, list[tuple[_Token, BlockWord]]] = {}
    for index, token in enumerate(tokens):
        if index in found:
            own = [placed[place] for place in found[index]]
            box = around([word.box for word in own])
            known = BlockWord(token.text, box, own[0].confidence, token.space)
            by_block.setdefault(token.block, []).append((token, known))
    return Alignment(
        tuple(_placed(block, by_block.get(number, ())) for number, block in enumerate(blocks)),
        len(found) / len(tokens) if tokens else 1.0,
    )


def _middle(word: BlockWord) -> float:
    return (word.box.y0 + word.box.y1) / 2


def _parts(word: BlockWord) -> list[BlockWord]:
    """`word`, or its CJK characters with equal parts of its box. Recognisers end such words differently."""
    texts = _CJK_APART.findall(word.text)
    if len(texts) < 2:
        return [word]
    box, parts, start, length = word.box, [], 0, len(word.text)
    runs_down = box.y1 - box.y0 > box.x1 - box.x0
    for text in texts:
        part = part_of(box, start / length, (start + len(text)) / length, runs_down=runs_down)
        parts.append(BlockWord(text, part, word.confidence, space=False))
        start += len(text)
    return [*parts[:-1], replace(parts[-1], space=word.space)]


def _folded(text: str) -> str:
    """What two readers of a word agree on: letters and digits, whatever case or form."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _matches(answer: Sequence[str], page: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """The places on the page of each word of the answer that has any. A broken word has two."""
    found: dict[int, int] = {}
    for _ in range(ROUNDS):
        taken = set(found.values())
        left = [index for index in range(len(answer)) if index not in found]
        free = [place for place in range(len(page)) if place not in taken]
        agreeing = list(_agreeing(answer, page, left, free))
        if not agreeing:
            break
        for run in agreeing:
            found.update(run)
    return {index: (place,) for index, place in found.items()} | _between_neighbours(answer, page, found)


def _agreeing(
    answer: Sequence[str], page: Sequence[str], left: Sequence[int], free: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """Runs of neighbouring words that agree, in one order on both sides. They are too long to agree by chance."""
    steps = LCSseq.opcodes([answer[index] for index in left], [page[place] for place in free])
    for step in steps:
        if step.tag != "equal":
            continue
        pairs = list(zip(left[step.src_start : step.src_end], free[step.dest_start : step.dest_end], strict=True))
        for run in runs(pairs, lambda run, pair: (pair[0] - 1, pair[1] - 1) == run[-1]):
            if len(run) >= RUN_WORDS or sum(len(answer[index]) for index, _ in run) >= RUN_LETTERS:
                yield run


def _between_neighbours(
    answer: Sequence[str], page: Sequence[str], found: dict[int, int]
) -> dict[int, tuple[int, ...]]:
    """What stands between two matched words on both sides, matched by its letters."""
    more: dict[int, tuple[int, ...]] = {}
    taken = set(found.values())
    anchors = [(-1, -1), *sorted(found.items()), (len(answer), len(page))]
    for (index, place), (next_index, next_place) in pairwise(anchors):
        gap = range(index + 1, next_index)
        free = [each for each in range(place + 1, next_place) if each not in taken]
        if 0 < len(gap) <= GAP_WORDS and 0 < len(free) <= GAP_WORDS:
            more.update(_most_alike(answer, page, gap, free))
    return more


def _most_alike(
    answer: Sequence[str], page: Sequence[str], gap: Iterable[int], free: Sequence[int]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The most similar free place for each word of the gap, or two joined ones. The places are in the words' order."""
    start = 0
    for index in gap:
        candidates = [
            (ratio(answer[index], "".join(page[place] for place in free[at : at + count])), -count, at)
            for at in range(start, len(free))
            for count in (1, 2)
            if at + count <= len(free)
        ]
        score, count, at = max(candidates, default=(0.0, 0, 0))
        if score >= ALIKE:
            yield index, tuple(free[at : at - count])
            start = at - count


def _placed(block: Block, found: Sequence[tuple[_Token, BlockWord]]) -> Block:
    near = _without_outliers(found)
    if not near:
        return block
    words = [word for _, word in near]
    table = block.table
    if table is not None:
        by_cell: dict[int | None, list[Box]] = {}
        for token, word in near:
            by_cell.setdefault(token.cell, []).append(word.box)
        cells = (
            replace(cell, box=around(by_cell[number])) if number in by_cell else cell
            for number, cell in enumerate(table.cells)
        )
        table = replace(table, cells=tuple(cells))
    box = around([word.box for word in words])
    lines = tuple(BlockLine(around([word.box for word in line]), tuple(line)) for line in runs(words, _same_line))
    return replace(block, box=box, table=table, lines=lines)


def _without_outliers(found: Sequence[tuple[_Token, BlockWord]]) -> list[tuple[_Token, BlockWord]]:
    """`found` without words far above or below all others. A block in two columns has no such gap on either side."""
    if not found:
        return []
    by_height = sorted(found, key=lambda pair: pair[1].box.y0)
    line_height = statistics.median(word.box.y1 - word.box.y0 for _, word in found)
    groups = runs(by_height, lambda group, pair: pair[1].box.y0 - group[-1][1].box.y1 <= FAR_LINES * line_height)
    kept = {id(pair) for group in groups if 5 * len(group) >= len(found) for pair in group}
    return [pair for pair in found if id(pair) in kept]


def _same_line(line: Sequence[BlockWord], word: BlockWord) -> bool:
    """True if a word goes on with a printed line: as high, and further right."""
    before, after = line[-1].box, word.box
    overlap = min(before.y1, after.y1) - max(before.y0, after.y0)
    return after.x0 >= before.x0 and 2 * overlap > min(before.y1 - before.y0, after.y1 - after.y0)

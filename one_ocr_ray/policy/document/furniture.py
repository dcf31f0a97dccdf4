"""Finds running heads, feet and page numbers: they repeat at the edges of many pages.

A page alone does not tell a running head from a title; its neighbours do. Only short pieces at the upper or lower edge
of a page are looked at: those that repeat, those that count the pages, and those in the place where others do either.
The first heading of a text is never among them: a chapter's title is the running head of the pages that follow.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.sequences import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from one_ocr_ray.blocks import PageBox
    from one_ocr_ray.policy.document.pieces import Piece

BAND = 0.12  # of the page's height, at its top and its bottom: furniture lies in it
EDGE_PIECES = 2  # of a page without places, on either side
MOST_CHARACTERS = 120
NEIGHBOURS = 8  # pages before and after one: left and right pages have heads of their own, and so has each chapter
WORDS_NEAR = 4  # the same for words alone: those of the text repeat, too, yet not so near
REPEATED = 3  # as many pages, among the neighbours
OFTEN = 0.4  # of all pages
SAME_HEIGHT = 0.015  # of the page's height: heads of two pages stand as high
IN_PLACE = 0.008  # the same for a piece that no other page repeats
USED_PLACE = 0.25  # of the pages have furniture in that place
LARGER = 1.15  # a heading this much higher than the running heads is a title of its own
LABEL = 16  # characters of "page # of #" in some language
GOES_ON = 60  # pages on which a title may be the running head
CACHED = 4096  # short texts: the edges of some 500 pages, which are compared in several ways

_KINDS = frozenset(
    {BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.CAPTION, BlockKind.MARGIN_NOTE}
    | {kind for kind in BlockKind if kind.is_furniture}
)
_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"(?=[ivxlc])(x{0,3}|x?l|lx{0,3}|x?c)(ix|iv|v?i{0,3})")
_PAGE_WORDS = frozenset("page p pg seite s página pág pagina pag sida side sivu strona oldal стр of von de di".split())  # noqa: SIM905
_MISREAD = str.maketrans("lio", "110")
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


@dataclass(frozen=True, slots=True)
class EdgePiece:
    """A short piece at the edge of a page, or the outermost line of a longer one."""

    page: int  # its number
    index: int  # of its piece
    is_top: bool
    rank: int  # how many pieces are nearer to the edge
    text: str
    kind: BlockKind
    line: int | None = None  # 0 or -1: only that line of the piece
    middle: float | None = None  # its height on the page, as a share of the page's height
    height: float | None = None  # of its box in points
    is_within: bool = False  # a line of a block with a place, which stands nowhere else

    @property
    def key(self) -> str:
        """What is the same on every page: letters, without case, and where numbers stand.

        The number of a section is its own: "4.12 Options" and "4.15 Options" are two headings.
        """
        words = _words(self.text)
        is_section = self.kind is BlockKind.HEADING and len(words) > 2 and all(map(str.isdecimal, words[:2]))
        return " ".join(words) if is_section else _key(self.text)

    @property
    def place(self) -> int:
        """Its height on the page in steps; pieces without a place have none that counts."""
        return round((self.middle or 0.0) / IN_PLACE)

    @property
    def numbers(self) -> set[int]:
        """What may be the page's number: its beginning, its end, or all of it."""
        words = _words(self.text)
        if len(words) > 1 and self.kind in (BlockKind.HEADING, BlockKind.LIST_ITEM):
            return set()  # a section or an item may be counted from page to page as well
        numbers = [number for word in words if (number := _number(word)) is not None]
        found = {number for word in (words[:1], words[-1:]) for number in map(_number, word) if number is not None}
        if len(words) == 1 and _ROMAN.fullmatch(words[0]):
            values = [_ROMAN_VALUES[char] for char in words[0]]
            found.add(sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True)))
        if len(self.key) <= LABEL:  # "Page 3 of 10"
            found.update(numbers[:1])
        return found


def page_edges(number: int, pieces: Sequence[Piece], box: PageBox | None) -> list[EdgePiece]:
    """What may be furniture on page `number`."""
    outer = list(_outer_pieces(number, pieces))
    if box is None or not any(piece.box for piece in pieces):
        return outer
    # A head that is set like the text, and no further from it than one line from the next, is its first line.
    within = (replace(edge, is_within=True) for edge in outer if edge.line is not None and edge.rank == 0)
    return [*_placed_edges(number, pieces, box), *within]


def _placed_edges(number: int, pieces: Sequence[Piece], page: PageBox) -> Iterator[EdgePiece]:
    for index, piece in enumerate(pieces):
        box = piece.box
        if box is None or piece.kind not in _KINDS or len(piece.text) > 2 * MOST_CHARACTERS:
            continue
        is_top = box.y1 <= BAND * page.height
        if not is_top and box.y0 < (1 - BAND) * page.height:
            continue
        text = " ".join((piece.left_out or plain_text(piece.text)).split())
        if len(text) <= MOST_CHARACTERS:
            middle = (box.y0 + box.y1) / 2 / page.height
            yield EdgePiece(number, index, is_top, 0, text, piece.kind, None, middle, box.y1 - box.y0)


def _outer_pieces(number: int, pieces: Sequence[Piece]) -> Iterator[EdgePiece]:
    """The first and the last pieces, up to the first that cannot be furniture. A long one gives its outermost line."""
    pieces = [piece for piece in pieces if not piece.kind.is_furniture]
    for is_top in (True, False):
        for rank in range(min(EDGE_PIECES, len(pieces))):
            index = rank if is_top else len(pieces) - 1 - rank
            piece = pieces[index]
            if piece.kind not in _KINDS:
                break
            lines = [line for line in piece.text.split("\n") if line.strip()]
            line = None if len(lines) == 1 else 0 if is_top else -1
            text = " ".join(plain_text(lines[line or 0]).split())
            if len(text) <= MOST_CHARACTERS:
                yield EdgePiece(number, index, is_top, rank, text, piece.kind, line)
            if line is not None:
                break


def furniture(edges: Sequence[EdgePiece], titles: dict[str, list[int]], page_count: int) -> set[EdgePiece]:
    """Those of `edges`, which are in page order, that are furniture.

    `titles`: by key the numbers of the pages on which such a heading stands.
    """
    found = {edge for edge in edges if edge.kind.is_furniture}
    # Lines at the very edge that repeat the title of what began on an earlier page.
    going_on = {
        edge
        for edge in edges
        if edge.kind is not BlockKind.HEADING
        and edge.rank == 0
        and (title := _without_numbers(edge.key))
        and any(0 < edge.page - page <= GOES_ON for page in titles.get(title, ()))
    }
    found |= _counting(edges) | _repeating(edges, titles, page_count)
    found |= _in_used_place(going_on, found, edges)
    found |= _in_place(edges, found)
    usual = Counter((edge.key, edge.is_top) for edge in edges if edge.is_within)
    found -= {edge for edge in edges if edge.is_within and usual[edge.key, edge.is_top] < OFTEN * page_count}
    ranks: dict[tuple[int, bool], set[int]] = defaultdict(set)
    for edge in found:
        ranks[edge.page, edge.is_top].add(edge.rank)
    # Between furniture and the edge of the page there is nothing but furniture.
    return {
        edge for edge in found if edge.middle is not None or ranks[edge.page, edge.is_top].issuperset(range(edge.rank))
    }


def key_of(text: str) -> str:
    """The key by which headings and running heads are compared. Numbers of chapters and pages do not count."""
    return _without_numbers(_key(" ".join(plain_text(text).split())))


def _without_numbers(key: str) -> str:
    return " ".join(word for word in key.split() if word != "#")


@lru_cache(maxsize=CACHED)
def _key(text: str) -> str:
    """The text with `#` for numbers at or beside its ends, and after a word for "page"."""
    words = _words(text)
    ends = {0, len(words) - 1}
    return " ".join(
        "#"
        if (_ROMAN.fullmatch(word) or _DIGITS.search(word))
        and (at in ends or at - 1 in ends or words[at - 1] in _PAGE_WORDS)
        else word
        for at, word in enumerate(words)
    )


@lru_cache(maxsize=CACHED)
def _words(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple("".join(char if char.isalnum() else " " for char in folded).split())


def _number(word: str) -> int | None:
    """The number that `word` is, also where some of its digits were read as letters."""
    digits = word.translate(_MISREAD) if _DIGITS.search(word) else ""
    return int(digits) if digits.isdecimal() and len(digits) <= 4 else None


def _counting(edges: Sequence[EdgePiece]) -> set[EdgePiece]:
    """Those that hold their page's number, which grows by one from page to page.

    Notes may grow like that, too: of long pieces with a place only such count as say the same as others.
    """
    times = Counter(edge.key for edge in edges)
    by_offset: dict[int, list[EdgePiece]] = defaultdict(list)
    for edge in edges:
        for number in edge.numbers:
            by_offset[number - edge.page].append(edge)
    return {
        edge
        for same in by_offset.values()
        for group in _by_height(same)
        for edge in _among_neighbours(group, NEIGHBOURS)
        if edge.middle is None or len(edge.key) <= LABEL or times[edge.key] > 1
    }


def _in_used_place(some: set[EdgePiece], found: set[EdgePiece], edges: Sequence[EdgePiece]) -> set[EdgePiece]:
    """Those of `some` without a place, or in one where many pages have furniture or others of `some`."""
    least = max(REPEATED, USED_PLACE * len({edge.page for edge in edges if edge.middle is not None}))
    heights = Counter((edge.is_top, edge.place) for edge in found | some)
    return {
        edge
        for edge in some
        if edge.middle is None or sum(heights[edge.is_top, edge.place + step] for step in (-1, 0, 1)) >= least
    }


def _among_neighbours(group: Sequence[EdgePiece], reach: int) -> Iterator[EdgePiece]:
    """Those of `group`, in page order, that have company on the pages around."""
    pages = sorted({edge.page for edge in group})
    for edge in group:
        near = bisect_right(pages, edge.page + reach) - bisect_left(pages, edge.page - reach)
        if near >= REPEATED:
            yield edge


def _repeating(edges: Sequence[EdgePiece], titles: dict[str, list[int]], page_count: int) -> set[EdgePiece]:
    """Those that repeat others at the same place, without the title that they repeat."""
    found: set[EdgePiece] = set()
    by_key: dict[tuple[str, bool], list[EdgePiece]] = defaultdict(list)
    for edge in edges:
        if any(map(str.isalpha, edge.key)):
            by_key[edge.key, edge.is_top].append(edge)
    for group in (group for same in by_key.values() for group in _by_height(same)):
        often = len({edge.page for edge in group}) >= max(REPEATED, OFTEN * page_count)
        repeating = list(group) if often else list(_among_neighbours(group, WORDS_NEAR))
        found.update(repeating)
        if len(repeating) < 2 or repeating[0].kind is not BlockKind.HEADING:
            continue
        first, others = repeating[0], repeating[1:]
        if first.height is not None:
            is_title = first.height > LARGER * median(edge.height or 0.0 for edge in others)
        else:
            is_title = not any(page < first.page for page in titles.get(_without_numbers(first.key), ()))
        if is_title:
            found.discard(first)
    return found


def _by_height(edges: Iterable[EdgePiece]) -> Iterator[list[EdgePiece]]:
    """`edges` that stand as high as others of them, in page order. Those without a place are together."""
    ordered = sorted(edges, key=lambda each: (each.middle or 0.0, each.page))
    groups = runs(ordered, lambda group, edge: (edge.middle or 0.0) - (group[-1].middle or 0.0) < SAME_HEIGHT)
    yield from (sorted(group, key=lambda each: each.page) for group in groups)


def _in_place(edges: Sequence[EdgePiece], found: set[EdgePiece]) -> set[EdgePiece]:
    """Those that stand where most pages have furniture, such as a misread number."""
    pages = len({edge.page for edge in edges if edge.middle is not None})
    heights: dict[tuple[bool, int], list[float]] = defaultdict(list)  # of furniture, by its place
    for edge in found:
        for step in (-1, 0, 1):
            heights[edge.is_top, edge.place + step].append(edge.height or 0.0)

    def is_like_others(edge: EdgePiece) -> bool:
        known = heights.get((edge.is_top, edge.place), [])
        least = REPEATED if edge.key == "#" else max(REPEATED, USED_PLACE * pages)
        return len(known) >= least and (edge.height or 0.0) <= LARGER * usual[edge.is_top, edge.place]

    usual = {place: median(known) for place, known in heights.items()}
    return {edge for edge in edges if edge.middle is not None and is_like_others(edge)}

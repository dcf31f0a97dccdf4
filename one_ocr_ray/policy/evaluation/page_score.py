"""One page against its truth: errors of characters and words, order, tables, headings."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidfuzz.distance import LCSseq, Levenshtein
from rapidfuzz.fuzz import ratio

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.evaluation.table_similarity import teds
from one_ocr_ray.policy.layout.text import CJK_RANGE
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks
from one_ocr_ray.policy.page.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block

SAME_HEADING = 80  # per cent of the letters
_SAME = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "−": "-", "‐": "-", "\ufffe": "-"})
_IN_LINE = re.compile(r"(?<![$\\])\$([^$\n]{1,200})\$(?!\$)")
_CHARACTER = re.compile(f"[{CJK_RANGE}]")
_NO_MARKS = dict.fromkeys(map(ord, "\\{}^_"))
_NO_RUNNING_TEXT = frozenset({BlockKind.TABLE, BlockKind.FIGURE, BlockKind.FORMULA})


@dataclass(frozen=True, slots=True)
class Truth:
    """What a page really says. `is_markdown`: its headings and tables are known too, else only its text."""

    text: str
    is_markdown: bool


@dataclass(frozen=True, slots=True)
class PageScore:
    """What was compared of one page. Errors are edits: characters or words put in, left out or changed."""

    characters: int  # of the truth, without white space
    character_errors: int
    words: int  # of the truth
    word_errors: int
    words_found: int  # in both, whatever their order
    words_in_order: int  # of those, in the order of the truth
    tables: tuple[float, ...] = ()  # the TEDS of each table of the truth
    headings_true: int = 0
    headings_read: int = 0
    headings_found: int = 0  # of the true ones
    headings_right: int = 0  # of those that were read

    @property
    def cer(self) -> float:
        """The share of errors, which may be more than 1. A page without text has 1 where anything was read."""
        return self.character_errors / self.characters if self.characters else float(self.character_errors > 0)


def score_page(markdown: str | None, truth: Truth) -> PageScore:
    """Compare what was read of a page, None for nothing, with its truth.

    Against Markdown, tables and formulas are left out of the text, and of those in a line the letters count. All is in
    NFKC, with one kind of quotes and dashes and without white space.
    """
    read = markdown or ""
    if not truth.is_markdown:
        return _text_score(plain_text(read), truth.text)
    found, wanted = _blocks(read), _blocks(truth.text)
    score = _text_score(_running_text(found), _running_text(wanted))
    true_headings, read_headings = _headings(wanted), _headings(found)
    grids = [block.table for block in found if block.table is not None]
    return PageScore(
        score.characters,
        score.character_errors,
        score.words,
        score.word_errors,
        score.words_found,
        score.words_in_order,
        tables=tuple(
            max((teds(grid, block.table) for grid in grids), default=0.0) for block in wanted if block.table is not None
        ),
        headings_true=len(true_headings),
        headings_read=len(read_headings),
        headings_found=_alike(true_headings, read_headings),
        headings_right=_alike(read_headings, true_headings),
    )


def _alike(headings: Sequence[str], others: Sequence[str]) -> int:
    """How many of `headings` are, but for a few letters, among the others."""
    return sum(any(ratio(heading, other) > SAME_HEADING for other in others) for heading in headings)


def disagreement(one: str, other: str) -> tuple[int, int]:
    """Scores how far two readings of a page differ: words added, missing or changed."""
    words, others = _words(plain_text(one)), _words(plain_text(other))
    return Levenshtein.distance(words, others), max(len(words), len(others))


def _text_score(read: str, truth: str) -> PageScore:
    words, true = _words(read), _words(truth)
    both = Counter(words) & Counter(true)
    letters = "".join(true)
    return PageScore(
        characters=len(letters),
        character_errors=Levenshtein.distance("".join(words), letters),
        words=len(true),
        word_errors=Levenshtein.distance(words, true),
        words_found=both.total(),
        words_in_order=LCSseq.similarity(words, true),
    )


def _words(text: str) -> list[str]:
    """The words of `text`; where a script has no spaces between words, its characters."""
    plain = unicodedata.normalize("NFKC", text).translate(_SAME)
    return _CHARACTER.sub(r" \g<0> ", plain).split()


def _running_text(blocks: Sequence[Block]) -> str:
    """With the numbers of lists, and without their bullets."""
    shown = (block for block in blocks if block.kind not in _NO_RUNNING_TEXT)
    return "\n".join(
        f"{block.marker} {block.text}" if any(map(str.isalnum, block.marker or "")) else block.text for block in shown
    )


def _blocks(markdown: str) -> tuple[Block, ...]:
    """The blocks of a Markdown text whose formulas in a line are letters only."""
    return markdown_blocks(_IN_LINE.sub(lambda formula: formula[1].translate(_NO_MARKS), markdown))


def _headings(blocks: Sequence[Block]) -> list[str]:
    return ["".join(_words(block.text)) for block in blocks if block.kind is BlockKind.HEADING]

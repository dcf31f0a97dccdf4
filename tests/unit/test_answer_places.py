"""Places for a model's answer: which words of the page are those of the answer."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.blocks import Block, BlockKind, BlockWord, Box, Cell, TableGrid
from one_ocr_ray.policy.page.answer_places import with_places

VOCABULARY = ("of", "the", "and", "in", "a", "ray", "page", "table", "reader", "dataset", "column", "result", "limit")


def sentence(chance: random.Random, words: int) -> list[str]:
    """Words as running text has them: a few often, most of them once."""
    return [chance.choice(VOCABULARY) if chance.random() < 0.5 else f"w{chance.randrange(10**6)}" for _ in range(words)]


def printed(words: list[str], left: float = 50.0, top: float = 50.0, per_line: int = 8) -> list[BlockWord]:
    """`words` on lines of equal length, 12 points apart."""
    return [
        BlockWord(
            text,
            Box(
                left + 40 * (n % per_line),
                top + 12 * (n // per_line),
                left + 40 * (n % per_line) + 36,
                top + 12 * (n // per_line) + 10,
            ),
        )
        for n, text in enumerate(words)
    ]


def paragraph(number: int, words: list[str]) -> Block:
    """A block of an answer: nothing of it has a place."""
    return Block(number, BlockKind.PARAGRAPH, " ".join(words))


def placed_words(block: Block) -> list[tuple[str, Box]]:
    """The words of a block that got a place."""
    return [(word.text, word.box) for line in block.lines or () for word in line.words]


@given(st.integers(0, 2**32), st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_a_faithful_answer_gets_the_places_of_its_words(seed: int, count: int) -> None:
    """Every word has the box that it was printed in."""
    chance = random.Random(seed)
    texts = [sentence(chance, chance.randint(1, 60)) for _ in range(count)]
    page = printed([word for text in texts for word in text])
    aligned = with_places([paragraph(n + 1, text) for n, text in enumerate(texts)], page)
    assert aligned.matched == 1
    assert [each for block in aligned.blocks for each in placed_words(block)] == [(w.text, w.box) for w in page]


def test_blocks_in_another_order_with_errors_still_find_their_places() -> None:
    """Thirds of a page swapped, 3 % of the words altered, 2 % lost: at least 95 % of the places are right."""
    right = total = 0
    for seed in range(20):
        chance = random.Random(seed)
        page = printed(sentence(chance, 540))
        thirds = [page[180:360], page[360:], page[:180]]
        answer, truth = [], []
        for third in thirds:
            kept = [word for word in third if chance.random() > 0.02]
            truth += kept
            answer.append(
                [word.text[:-1] + "x" if chance.random() < 0.03 and len(word.text) > 3 else word.text for word in kept]
            )
        aligned = with_places([paragraph(n + 1, text) for n, text in enumerate(answer)], page)
        got = [box for block in aligned.blocks for _, box in placed_words(block)]
        boxes = {word.box for word in truth}
        right += sum(box in boxes for box in got) if len(got) == len(truth) else len(set(got) & boxes)
        total += len(truth)
    assert right >= 0.95 * total


def test_what_the_page_does_not_say_has_no_place() -> None:
    """A sentence that the model made up gets no box, and lowers the share of matched words."""
    text = ["The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    made_up = ["Quarterly", "revenue", "exceeded", "every", "analyst", "forecast"]
    aligned = with_places([paragraph(1, text), paragraph(2, made_up)], printed(text))
    assert aligned.blocks[0].box == Box(50, 50, 50 + 7 * 40 + 36, 72)
    assert aligned.blocks[1].box is None
    assert aligned.blocks[1].lines is None
    assert aligned.matched == pytest.approx(9 / 15)


def test_a_word_broken_over_two_lines_has_both_halves() -> None:
    """The answer's whole word lies where its hyphenated halves do."""
    page = printed(["The", "next", "docu-", "ment", "is", "read"], per_line=3)
    aligned = with_places([paragraph(1, ["The", "next", "document", "is", "read"])], page)
    assert dict(placed_words(aligned.blocks[0]))["document"] == Box(50, 50, 50 + 80 + 36, 72)


def test_cjk_words_are_placed_by_their_characters() -> None:
    """One reader's word is another's two: each character has its share of the box."""
    page = [BlockWord("光学字符识别", Box(0, 0, 60, 10), 0.9, space=False)]
    aligned = with_places([Block(1, BlockKind.PARAGRAPH, "光学字符 识别")], page)
    assert [word.box.x0 for word in aligned.blocks[0].lines[0].words] == [0, 10, 20, 30, 40, 50]
    assert aligned.blocks[0].box == Box(0, 0, 60, 10)


def test_the_cells_of_a_table_have_their_own_boxes() -> None:
    """Each cell lies around its words, the table around its cells."""
    cells = ("Item", "Price in euros", "Paper towels", "12.50")
    grid = TableGrid(2, 2, tuple(Cell(n // 2, n % 2, text) for n, text in enumerate(cells)), 1)
    page = printed([word for cell in cells for word in cell.split()], per_line=4)
    block = with_places([Block(1, BlockKind.TABLE, "", table=grid)], page).blocks[0]
    assert block.table.cells[1].box == Box(90, 50, 90 + 80 + 36, 60)
    assert block.table.cells[3].box == page[6].box
    assert block.box == Box(50, 50, 206, 72)


def test_one_word_matched_far_away_does_not_stretch_its_block() -> None:
    """A block is where most of its words are."""
    body = sentence(random.Random(7), 40)
    page = [*printed(body), replace(printed(["Footnotes"])[0], box=Box(50, 700, 86, 710))]
    block = with_places([paragraph(1, [*body, "Footnotes"])], page).blocks[0]
    assert block.box.y1 < 120


@pytest.mark.parametrize("page", [["the"] * 9_000, [f"w{n}" for n in range(9_000)]], ids=["repeated", "distinct"])
def test_hostile_answers_are_compared_in_bounded_steps(page: list[str]) -> None:
    """Thousands of equal words end like any others."""
    aligned = with_places([paragraph(1, page[::-1])], printed(page))
    assert 0 <= aligned.matched <= 1

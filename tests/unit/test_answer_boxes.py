"""A model's answer for a page of a real PDF gets the places of its words from the page's text layer."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import BlockSource, Positions
from one_ocr_ray.model import Answer, PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.reading.page.answer_places import with_answer_places
from tests.snippets import ROOT
from tests.unit.test_read_page import ASK, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block, BlockWord

SAMPLES = (("sample-paper-two-column-en.pdf", 1), ("sample-report-zh.pdf", 1), ("sample-table-en.pdf", 1))


def drawn(name: str, number: int) -> PageImage:
    """A page of a sample with its text layer."""
    with PdfChild() as child:
        child.inspect(ROOT / "samples" / name)
        page = child.render(number, 800, layer=True)
    assert isinstance(page, PageImage)
    return page


def own_blocks(page: PageImage) -> tuple[Block, ...]:
    """What the layer itself says: the words with their true places."""
    assert page.layer is not None
    layer = unpacked(page.layer)
    return page_blocks(content_of(layer, layer_lines(layer, seen_of(layer).glyphs)))


def words_of(blocks: Sequence[Block]) -> list[BlockWord]:
    """All words that have a place."""
    return [word for block in blocks for line in block.lines or () for word in line.words]


def letters(word: BlockWord) -> int:
    """The letters and digits of a word: what is compared."""
    return sum(char.isalnum() for char in word.text)


def stands_there(word: BlockWord, truth: Sequence[BlockWord]) -> bool:
    """The middle of the word lies on a word of the page with its letters, or half of them where one was altered."""
    x, y = (word.box.x0 + word.box.x1) / 2, (word.box.y0 + word.box.y1) / 2
    below = [each for each in truth if each.box.x0 <= x <= each.box.x1 and each.box.y0 <= y <= each.box.y1]
    return any(2 * (Counter(each.text) & Counter(word.text)).total() >= len(word.text) for each in below)


@pytest.mark.parametrize(("name", "number"), SAMPLES)
def test_a_faithful_answer_gets_the_right_boxes(name: str, number: int) -> None:
    """At least 95 % of the characters, with 3 % of the words altered and the blocks of the answer shuffled."""
    page = drawn(name, number)
    truth = own_blocks(page)
    chance = random.Random(1)
    blocks = [block for block in truth if block.table is None]
    chance.shuffle(blocks)
    words = [to_markdown([block]).split(" ") for block in blocks]
    said = [" ".join(word[:-1] + "x" if chance.random() < 0.03 else word for word in each) for each in words]
    said += [to_markdown([block]) for block in truth if block.table is not None]
    assert page.layer is not None
    aligned = with_answer_places(Answer(text="\n\n".join(said)), page.layer).blocks
    assert aligned is not None
    wanted, got = words_of(truth), words_of(aligned)
    right = sum(letters(word) for word in got if stands_there(word, wanted))
    assert right >= 0.95 * sum(map(letters, wanted))
    assert all(block.source is BlockSource.LLM for block in aligned)


KEPT = [(Positions.WORDS, True), (Positions.BLOCKS, True), (Positions.NONE, False)]


@pytest.mark.parametrize(("positions", "kept"), KEPT)
async def test_the_row_of_an_answer_has_its_blocks(positions: Positions, *, kept: bool) -> None:
    """Where the layer was brought along and places are wanted."""
    page = drawn(*SAMPLES[0])
    heading = "Reading Scanned Pages: What Volunteers Lose and Keep"
    scene = Scene([Answer(text=f"# {heading}\n\nNothing that the page says", finish_reason="stop")])
    row = await scene.read(page, request=replace(ASK, positions=positions))
    assert (row.blocks is not None) is kept
    if row.blocks is not None:
        title, made_up = unpack(row.blocks)
        assert title.box is not None
        assert title.box.y1 < 200
        assert (title.lines is not None) is (positions is Positions.WORDS)
        assert made_up.box is None or made_up.box.y1 - made_up.box.y0 < 20

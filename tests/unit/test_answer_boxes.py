"""A model's answer for a page of a real PDF gets the places of its words from the page's text layer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.blocks import BlockSource, Positions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Answer, ErrorCode, Failure, PageImage, TokenUsage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.reading.page.answer_places import aligned_with_layer, words_of
from one_ocr_ray.reading.route.reader import PlacesDeferred
from one_ocr_ray.reading.stopping import Ending
from tests.scripted_engine import ScriptedEngine
from tests.snippets import ROOT
from tests.unit.test_read_page import ASK, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block, BlockWord
    from one_ocr_ray.model import PageRequest

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
    found = aligned_with_layer("\n\n".join(said), page.layer)
    assert found is not None
    aligned = found.blocks
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


def ocr_of(page: PageImage, **changes: Any) -> ScriptedEngine:
    """An embedded engine that finds on every page what the layer of `page` holds."""
    return ScriptedEngine({1: [replace(Answer(text="", blocks=own_blocks(page)), **changes)]})


WORDS_WANTED = replace(ASK, positions=Positions.WORDS)


async def test_a_page_without_a_text_layer_is_read_by_the_embedded_engine_too() -> None:
    """Its words get boxes and lines from there; money, requests and route are as without."""
    page = drawn(*SAMPLES[0])
    text = to_markdown(own_blocks(page))
    answer = Answer(text=text, finish_reason="stop", usage=TokenUsage(1000, 100))
    without = await Scene([answer]).read(replace(page, layer=None), request=WORDS_WANTED)
    ocr = ocr_of(page)
    row = await Scene([answer]).read(replace(page, layer=None), request=WORDS_WANTED, ocr=ocr)
    assert len(ocr.asked) == 1
    assert (without.blocks, row.blocks is not None) == (None, True)
    assert row.blocks is not None
    wanted, got = words_of(own_blocks(page)), words_of(unpack(row.blocks))
    assert sum(letters(word) for word in got if stands_there(word, wanted)) >= 0.9 * sum(map(letters, wanted))
    assert replace(row, blocks=None) == without


async def test_the_embedded_engine_is_asked_only_where_the_layer_does_not_help() -> None:
    """A layer that holds the answer's words is enough; one that says other things is not."""
    page = drawn(*SAMPLES[0])
    told = to_markdown(own_blocks(page))
    for text, times in ((told, 0), ("Words of a scanned letter over which somebody has put a stamp", 1)):
        ocr = ocr_of(page)
        row = await Scene([Answer(text=text, finish_reason="stop")]).read(page, request=WORDS_WANTED, ocr=ocr)
        assert len(ocr.asked) == times
        assert row.blocks is not None


FAILED = Failure(ErrorCode.OCR_FAILED, "The OCR engine's process died on this page.")


@pytest.mark.parametrize("changes", [{"failure": FAILED, "blocks": None}, {"blocks": ()}])
async def test_an_answer_stands_where_the_embedded_engine_finds_nothing(changes: dict[str, Any]) -> None:
    """The page is good, and where its words stand is not known."""
    page = replace(drawn(*SAMPLES[0]), layer=None)
    answer = Answer(text="Words", finish_reason="stop")
    row = await Scene([answer]).read(page, request=WORDS_WANTED, ocr=ocr_of(drawn(*SAMPLES[0]), **changes))
    assert (row.status, row.markdown, row.blocks, row.failure) == ("ok", "Words", None, None)


async def test_boxes_of_a_page_that_lies_on_its_side_are_those_of_the_upright_page() -> None:
    """The row says by how much it was turned, as it does for the embedded engine."""
    page = drawn(*SAMPLES[0])
    text = to_markdown(own_blocks(page))
    scene = Scene([Answer(text=text, finish_reason="stop")])
    row = await scene.read(replace(page, layer=None), request=WORDS_WANTED, ocr=ocr_of(page, rotation_deg=90))
    assert row.page_box is not None
    assert (row.rotation, row.page_box.rotate) == (90, 90)
    assert row.page_box.width > row.page_box.height


@pytest.mark.parametrize("wait_s", [0.0, 30.0])
async def test_a_stop_does_not_wait_for_places(wait_s: float) -> None:
    """The answer is paid and stands without them, when the time of requests under way is over."""
    page = drawn(*SAMPLES[0])
    ending = Ending()
    asked = asyncio.Event()

    class Waiting(ScriptedEngine):
        async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    scene = Scene([Answer(text="Words", finish_reason="stop")])
    reading = scene.read(replace(page, layer=None), request=WORDS_WANTED, ocr=Waiting(), ending=ending)
    task = asyncio.create_task(reading)
    await asked.wait()
    ending.begin(StoppedError("The run is being ended."), wait_s)
    if wait_s:
        assert not task.done()
        ending.begin(StoppedError("At once."), 0.0)
    row = await task
    assert (row.status, row.markdown, row.blocks) == ("ok", "Words", None)


async def test_an_answer_of_a_batch_comes_again_with_its_image() -> None:
    """It takes the picture to find places, and the first look at batches goes without."""
    page = replace(drawn(*SAMPLES[0]), layer=None)
    scene = Scene([Answer(text="Words", finish_reason="stop")])
    with pytest.raises(PlacesDeferred):
        await scene.read(replace(page, data=b""), request=WORDS_WANTED, ocr=ocr_of(drawn(*SAMPLES[0])))

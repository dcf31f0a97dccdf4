"""Blocks with places for a model's answer, from words whose places are known.

They come from the page's text layer, or from the embedded engine where the layer says little of what the answer says.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Positions
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import PageRequest, PageUnrendered
from one_ocr_ray.policy.layout.places import printed_words
from one_ocr_ray.policy.page.answer_places import with_places
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks
from one_ocr_ray.policy.text_layer.layer import LayerError, unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.reading.route.reader import PlacesDeferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import Block, BlockWord, TextLayer
    from one_ocr_ray.engines.base import Engine
    from one_ocr_ray.policy.page.answer_places import Alignment
    from one_ocr_ray.reading.page.row import PageRead
    from one_ocr_ray.reading.stopping import Ending

WELL_MATCHED = 0.8  # of an answer's words: the text layer is that of this page, and the picture is not looked at


async def with_answer_places(read: PageRead, ocr: Engine | None, ending: Ending) -> PageRead:
    """`read` with the blocks of a model's Markdown. Those whose words have known places have boxes.

    `ocr` reads the page too where its text layer does not tell the places. An answer stays as it is where nothing
    does, or `ending` comes first. Raises PlacesDeferred where the page has come without its image.
    """
    answer, page, request = read.answer, read.page, read.reader.request
    is_text = (
        read.reader.is_request and answer.failure is None and answer.blocks is None and request.json_schema is None
    )
    wanted = is_text and not answer.rotation_deg and request.positions is not Positions.NONE
    if not wanted or isinstance(page, PageUnrendered):
        return read
    found = await asyncio.to_thread(aligned_with_layer, answer.text, page.layer) if page.layer is not None else None
    if ocr is not None and (found is None or found.matched < WELL_MATCHED):
        if not page.data:
            raise PlacesDeferred
        seen = None
        with suppress(StoppedError), ending.requesting():
            seen = await ocr.analyze_image_async(page, PageRequest())
        if seen is not None and seen.blocks:
            by_ocr = await asyncio.to_thread(aligned_with_ocr, answer.text, seen.blocks)
            if found is None or by_ocr.matched > found.matched:
                return replace(read, answer=replace(answer, blocks=by_ocr.blocks, rotation_deg=seen.rotation_deg))
    return read if found is None else replace(read, answer=replace(answer, blocks=found.blocks))


def aligned_with_layer(text: str, packed: TextLayer) -> Alignment | None:
    """The blocks of `text` with the places of a text layer. None for a layer that cannot be used.

    A layer that OCR has left behind its picture counts too: it is a poor reader, and its places are right. Takes some
    20 ms of CPU for a page of 500 words.
    """
    try:
        layer = unpacked(packed)
    except LayerError:
        return None
    words: list[BlockWord] = []
    for each in layer_lines(layer, seen_of(layer).glyphs):
        words += printed_words(each.line, 1.0)
    return with_places(markdown_blocks(text), words)


def aligned_with_ocr(text: str, seen: Sequence[Block]) -> Alignment:
    """The blocks of `text` with the places of what the embedded engine has `seen`.

    In its order, which is right where the page is not level, or row by row, where it has taken columns for one.
    """
    blocks, words = markdown_blocks(text), words_of(seen)
    return max((with_places(blocks, words, in_order=each) for each in (True, False)), key=lambda found: found.matched)


def words_of(blocks: Iterable[Block]) -> list[BlockWord]:
    """The words of `blocks` that have places, in reading order."""
    return [word for block in blocks for line in block.lines or () for word in line.words]

"""Blocks with places for a model's answer, from the text layer of the page where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.places import printed_word
from one_ocr_ray.policy.page.answer_places import with_places
from one_ocr_ray.policy.page.markdown_blocks import markdown_blocks
from one_ocr_ray.policy.text_layer.layer import LayerError, unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of

if TYPE_CHECKING:
    from one_ocr_ray.blocks import BlockWord, TextLayer
    from one_ocr_ray.model import Answer


def with_answer_places(answer: Answer, packed: TextLayer) -> Answer:
    """`answer` with the blocks of its Markdown; those whose words the text layer holds too have boxes.

    A layer that OCR has left behind its picture counts too: it is a poor reader, and its places are right. Takes some
    20 ms of CPU for a page of 500 words.
    """
    try:
        layer = unpacked(packed)
    except LayerError:
        return answer
    words: list[BlockWord] = []
    for each in layer_lines(layer, seen_of(layer).glyphs):
        words += [printed_word(word, each.line, 1.0) for word in each.line.words]
    return replace(answer, blocks=with_places(markdown_blocks(answer.text), words).blocks)

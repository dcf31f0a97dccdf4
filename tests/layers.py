"""The text layer of pages of PDFs as a person would see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import PageUnrendered
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of

if TYPE_CHECKING:
    from one_ocr_ray.model import Failure
    from one_ocr_ray.pdf.reader import PdfChild
    from one_ocr_ray.policy.text_layer.layer import Layer

SIDE_PX = 800


def layer_of(child: PdfChild, page_number: int, side_px: int = SIDE_PX) -> Layer:
    """The text layer of a page of the open document, which must be drawn."""
    page = child.render(page_number, side_px, layer=True)
    assert not isinstance(page, PageUnrendered)
    assert page.layer is not None
    return unpacked(page.layer)


def parse_list(layer: Layer, *, glyphs_missing: bool = False) -> list[str]:
    """The lines that are seen, in the order in which they were found."""
    glyphs = seen_of(layer, glyphs_missing=glyphs_missing).glyphs
    return ["".join(word.text for word in each.line.words) for each in layer_lines(layer, glyphs)]


def text_of(child: PdfChild, page_number: int) -> str | Failure:
    """The lines of a page of the open document; why there are none."""
    page = child.render(page_number, SIDE_PX, layer=True)
    if isinstance(page, PageUnrendered):
        return page.failure
    assert page.layer is not None
    return "\n".join(parse_list(unpacked(page.layer), glyphs_missing=page.glyphs_missing))

"""From the text lines that an OCR engine found on a page to Markdown in reading order.

The steps, one module each: words (where words begin and end), geometry (straighten the page, cut at wide gaps),
margin_notes, reading_order (columns), tables, blocks (headings, paragraphs, lists, code), markdown. Pure functions on
frozen values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.blocks import page_blocks
from one_ocr_ray.policy.layout.geometry import straighten
from one_ocr_ray.policy.layout.margin_notes import part_notes
from one_ocr_ray.policy.layout.markdown import to_markdown
from one_ocr_ray.policy.layout.reading_order import regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import TextLine


def page_markdown(lines: Sequence[TextLine]) -> str:
    """The Markdown of one page; the empty string when there is no text on it."""
    text, notes = part_notes(straighten(lines))
    return to_markdown(page_blocks(regions(text), notes)) if text else ""

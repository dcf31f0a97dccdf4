"""From what a reader found on a page to blocks in reading order. Whoever the reader was, the way is the same.

The steps: content (what comes in), words (where words begin and end), geometry (straighten the page, cut at wide
gaps), kinds (what belongs to the sheet; formulas, captions, footnotes, figures, listings), tables (first those that
are drawn), margin_notes, reading_order (columns), tables (those without rulings), blocks (headings, paragraphs, lists,
code), drafts (numbers and places). Pure functions on frozen values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.blocks import column_drafts
from one_ocr_ray.policy.layout.drafts import numbered
from one_ocr_ray.policy.layout.geometry import skew, straighten
from one_ocr_ray.policy.layout.kinds.classify import with_figures, with_kinds
from one_ocr_ray.policy.layout.kinds.furniture import furniture_drafts, part_furniture
from one_ocr_ray.policy.layout.kinds.labels import Labels
from one_ocr_ray.policy.layout.kinds.listings import with_listings
from one_ocr_ray.policy.layout.margin_notes import part_notes
from one_ocr_ray.policy.layout.reading_order import regions
from one_ocr_ray.policy.layout.tables.ruled import with_ruled_tables

if TYPE_CHECKING:
    from one_ocr_ray.blocks import Block
    from one_ocr_ray.policy.layout.content import PageContent


def page_blocks(content: PageContent) -> tuple[Block, ...]:
    """The blocks of one page in reading order; none when there is no text on it. All have their lines and words."""
    angle = skew(content.lines)
    labels = Labels.of(content)
    sheet = part_furniture(straighten(content, angle), labels, content)
    segments = with_ruled_tables(content.rulings, angle, with_kinds(sheet.text, labels), labels)
    text, notes = part_notes(with_figures(with_listings(segments), labels))
    drafts = [
        *furniture_drafts(sheet.heads, BlockKind.PAGE_HEADER),
        *(column_drafts(regions(text), notes) if text else ()),
        *furniture_drafts(sheet.feet, BlockKind.PAGE_FOOTER),
    ]
    return numbered(drafts, content.source)

"""The record of a text layer that the gates of `policy/route` judge: counts, shares and places, nothing of its text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from one_ocr_ray.policy.text_layer.alphabet import is_known, is_math
from one_ocr_ray.policy.text_layer.seen import image_share, is_bad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine
    from one_ocr_ray.policy.text_layer.seen import Seen

LOOSE_CELLS = 2  # with ink in a row: a letter has as many
MARGIN_PT = 24.0  # the detector needs to see what stands around a line


@dataclass(frozen=True, slots=True)
class PageText:
    """A text layer in numbers. Counts are of characters but spaces; `shown` are those that are seen."""

    shown: int
    invisible: int = 0
    covered: int = 0
    off_page: int = 0
    doubled: int = 0
    no_ink: int = 0
    undrawn: int = 0  # of those shown
    bad: int = 0  # of those shown: they say nothing
    unmapped: int = 0  # of those shown: the file does not say what they are
    unread_script: int = 0  # letters that the embedded engine does not know
    math: int = 0  # of those shown: signs of formulas, and all in their fonts
    letters: int = 0  # and digits, of those shown
    fonts: Mapping[str, int] = field(default_factory=dict)  # letters and digits by font
    image_share: float = 0.0
    loose_ink: float = 0.0  # share of the page's ink that neither text nor a picture explains
    annotations: int = 0
    cut: bool = False


def page_text(layer: Layer, seen: Seen, lines: Sequence[LayerLine]) -> PageText:
    """The record of `layer`."""
    glyphs = [mark.glyph for line in lines for mark in line.marks]
    fonts: Counter[str] = Counter()
    math = 0
    for (run, text), count in Counter([(glyph.run, glyph.text) for glyph in glyphs]).items():
        font = layer.fonts[layer.runs[run].font]
        fonts[font.key] += count * text.isalnum()
        math += count * (font.math or (text > "\x7f" and is_math(text)))
    texts = Counter([glyph.text for glyph in glyphs])
    boxes = [glyph.box for glyph in glyphs] + [picture.box for picture in layer.pictures]
    ink = layer.ink.count()
    return PageText(
        shown=len(glyphs),
        invisible=seen.invisible,
        covered=seen.covered,
        off_page=seen.off_page,
        doubled=seen.doubled,
        no_ink=seen.no_ink,
        undrawn=seen.undrawn,
        bad=sum(count for text, count in texts.items() if text != "\x7f" and is_bad(text)),
        unmapped=sum([glyph.unmapped for glyph in glyphs]),
        unread_script=sum(count for text, count in texts.items() if text.isalpha() and not is_known(text)),
        math=math,
        letters=fonts.total(),
        fonts=fonts,
        image_share=image_share(layer),
        loose_ink=layer.ink.without(boxes).count() / ink if ink else 0.0,
        annotations=layer.annotations,
        cut=layer.cut,
    )


def areas_to_search(layer: Layer, lines: Sequence[LayerLine]) -> list[BoxPt]:
    """Where ink stands that neither characters nor rulings explain, with a margin, from the top to the bottom.

    None are there if the page shows nothing that the layer lacks.
    """
    around = layer.ink.cell_pt
    known = [mark.glyph.box for line in lines for mark in line.marks]
    known += [(ruling.x0, ruling.y0, ruling.x1, ruling.y1) for ruling in layer.rulings]
    cells = layer.ink.without([(x0 - around, y0 - around, x1 + around, y1 + around) for x0, y0, x1, y1 in known]).cells
    rows = np.flatnonzero(cells.sum(axis=1) >= LOOSE_CELLS).tolist()
    apart = [number for number in range(1, len(rows)) if (rows[number] - rows[number - 1]) * around > 2 * MARGIN_PT]
    areas = []
    for start, end in pairwise([0, *apart, len(rows)] if rows else []):
        columns = np.flatnonzero(cells[rows[start:end]].any(axis=0)).tolist()
        areas.append(
            (
                columns[0] * around - MARGIN_PT,
                rows[start] * around - MARGIN_PT,
                (columns[-1] + 1) * around + MARGIN_PT,
                (rows[end - 1] + 1) * around + MARGIN_PT,
            )
        )
    return areas

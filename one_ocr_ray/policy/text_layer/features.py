"""The record of a text layer that the gates of `policy/route` judge: counts and shares, nothing of its text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.policy.text_layer.alphabet import is_known
from one_ocr_ray.policy.text_layer.seen import image_share, is_bad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.policy.text_layer.layer import Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine
from one_ocr_ray.policy.text_layer.seen import Seen


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
    math: int = 0  # of those shown: in fonts of formulas
    letters: int = 0  # and digits, of those shown
    fonts: Mapping[str, int] = field(default_factory=dict)  # letters and digits by font
    image_share: float = 0.0
    loose_ink: float = 0.0  # share of the page's ink that neither text nor a picture explains
    annotations: int = 0
    cut: bool = False


def page_text(layer: Layer, seen: Seen, lines: Sequence[LayerLine]) -> PageText:
    """The record of `layer`."""
    fonts: Counter[str] = Counter()
    bad = unmapped = unread = math = shown = 0
    for line in lines:
        for mark in line.marks:
            glyph = mark.glyph
            font = layer.fonts[layer.runs[glyph.run].font]
            fonts[font.key] += glyph.text.isalnum()
            shown += 1
            unmapped += glyph.unmapped
            math += font.math
            if glyph.text > "\x7f":
                bad += is_bad(glyph.text)
                unread += glyph.text.isalpha() and not is_known(glyph.text)
            elif glyph.text < " ":
                bad += 1
    boxes = [mark.glyph.box for line in lines for mark in line.marks] + [picture.box for picture in layer.pictures]
    ink = layer.ink.count()
    return PageText(
        shown=shown,
        invisible=seen.invisible,
        covered=seen.covered,
        off_page=seen.off_page,
        doubled=seen.doubled,
        no_ink=seen.no_ink,
        undrawn=seen.undrawn,
        bad=bad,
        unmapped=unmapped,
        unread_script=unread,
        math=math,
        letters=fonts.total(),
        fonts=fonts,
        image_share=image_share(layer),
        loose_ink=layer.ink.without(boxes).count() / ink if ink else 0.0,
        annotations=layer.annotations,
        cut=layer.cut,
    )

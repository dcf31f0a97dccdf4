"""Which characters of a layer a reader of the page sees. The others are dropped; how many, and why, is counted.

White text on white, text under a picture or a box, text beyond the edge of the page: all of it stands in the layer, and
nothing in the file flags it. The picture of the page tells.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from one_ocr_ray.policy.text_layer.ink import box_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.text_layer.layer import BoxPt, Glyph, Layer, Picture

SAME_PLACE = 0.15  # of the height: the same character so near by is drawn twice, for a bold face or a shadow
ROW_PT = 8.0  # in which characters at one place are looked for
GRID = 50  # of cells, for the share of the page that pictures cover
_HYPHEN = "\x02"  # pdfium's code for a hyphen at the end of a line
_LIGATURES = "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"
_PLAIN = {"\u00a0": " ", "\u00ad": "-", _HYPHEN: "-"} | {
    each: unicodedata.normalize("NFKC", each) for each in _LIGATURES
}
_NOT_TEXT = frozenset({"Cc", "Co", "Cn", "Cs"})
# Bullets and arrows of the fonts Symbol and Wingdings, whose codes stand in Unicode's private area.
_SYMBOLS = str.maketrans("\uf0b7\uf0a7\uf076\uf0d8\uf0a8\uf0fc\uf0e0\uf0e8\uf06e\uf071\uf02d", "•▪•➢□✓→→■□-")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is left of a layer: the glyphs that are seen, and the spaces; how many of the others, by reason."""

    glyphs: tuple[Glyph, ...]
    invisible: int
    covered: int
    off_page: int
    doubled: int
    no_ink: int
    undrawn: int  # of those that are kept: no font of the file or the machine draws them


def seen_of(layer: Layer, *, glyphs_missing: bool = False) -> Seen:
    """Part what is seen from what is not.

    `glyphs_missing`: the machine has no glyphs for some text in fonts that are not in the file. Nothing of such text is
    drawn, and the layer is all there is of it.
    """
    glyphs = [
        glyph._replace(text=_PLAIN.get(glyph.text) or glyph.text.translate(_SYMBOLS))
        if glyph.text > "~" or glyph.text == _HYPHEN
        else glyph
        for glyph in layer.glyphs
    ]
    letters = [glyph for glyph in glyphs if glyph.run >= 0 and not glyph.text.isspace()]
    reasons = _reasons(letters, layer, glyphs_missing=glyphs_missing)
    gone = {place for place, why in reasons.items() if why != "undrawn"}
    kept = [glyph for glyph in glyphs if glyph.text != "\n" and glyph.place not in gone]
    counts = Counter(reasons.values())
    return Seen(tuple(kept), **{name: counts[name] for name in _REASONS})


def _reasons(letters: Sequence[Glyph], layer: Layer, *, glyphs_missing: bool) -> dict[int, str]:
    """Why letters are not seen, or not drawn, by their places in the layer. Most pages have none of them."""
    inks = box_columns([_inked(glyph) for glyph in letters])
    has_ink = layer.ink.has(inks)
    x, y = (inks[0] + inks[2]) / 2, (inks[1] + inks[3]) / 2
    is_on_page = (x >= 0) & (x <= layer.width) & (y >= 0) & (y <= layer.height)
    covers = [p for p in layer.pictures if p.box[0] < p.box[2] and p.box[1] < p.box[3]]
    last = max((cover.order for cover in covers), default=-1)
    plain = {n for n, run in enumerate(layer.runs) if not (run.hidden or last > run.order >= 0)}
    found = {
        glyph.place: why
        for glyph, inked, is_sure in zip(letters, has_ink.tolist(), (has_ink & is_on_page).tolist(), strict=True)
        if not (is_sure and glyph.run in plain)
        and (why := _unseen(glyph, layer, covers, has_ink=inked, glyphs_missing=glyphs_missing))
    }
    if _may_have_doubles(letters):
        places: dict[tuple[str, int], list[BoxPt]] = {}
        drawn = [glyph for glyph in letters if glyph.place not in found]
        found |= {glyph.place: "doubled" for glyph in drawn if _is_double(glyph, places)}
    return found


_REASONS = ("invisible", "covered", "off_page", "doubled", "no_ink", "undrawn")


def is_bad(text: str) -> bool:
    """True if a character says nothing: replaced, private, unassigned, a control."""
    return text == "\ufffd" or unicodedata.category(text[0]) in _NOT_TEXT


def image_share(layer: Layer) -> float:
    """The share of the page that pictures cover."""
    step_x, step_y = layer.width / GRID, layer.height / GRID
    if not step_x or not step_y:
        return 0.0
    rows = [0] * GRID
    for picture in layer.pictures:
        left, top, right, bottom = picture.box
        first, last = max(0, round(left / step_x)), min(GRID, round(right / step_x))
        mask = ((1 << (last - first)) - 1) << first if last > first else 0
        for row in range(max(0, round(top / step_y)), min(GRID, round(bottom / step_y))):
            rows[row] |= mask
    return sum(row.bit_count() for row in rows) / GRID**2


def _unseen(glyph: Glyph, layer: Layer, covers: list[Picture], *, has_ink: bool, glyphs_missing: bool) -> str:
    run = layer.runs[glyph.run] if glyph.run < len(layer.runs) else None
    if run is None or run.hidden:
        return "invisible"
    left, top, right, bottom = _inked(glyph)
    x, y = (left + right) / 2, (top + bottom) / 2
    if not (0 <= x <= layer.width and 0 <= y <= layer.height):
        return "off_page"
    for picture in covers:
        (p, q, r, s), later = picture.box, picture.order > run.order >= 0
        if later and p <= x <= r and q <= y <= s:
            return "covered"
    if has_ink:
        return ""
    if run.white:
        return "invisible"
    return "undrawn" if glyphs_missing and not layer.fonts[run.font].embedded else "no_ink"


def _inked(glyph: Glyph) -> BoxPt:
    """Where its ink is; all of its box where the font does not tell."""
    left, top, right, bottom = glyph.ink
    return glyph.ink if right > left and bottom > top else glyph.box


def _may_have_doubles(letters: Sequence[Glyph]) -> bool:
    """False if no two of the same character stand as near to each other as doubles do, which few pages have."""
    left, top, _, bottom = box_columns([glyph.box for glyph in letters])
    codes = np.array([ord(glyph.text[0]) for glyph in letters])
    near = SAME_PLACE * (bottom - top)
    if not near.any():
        return False
    for shift in (0, 0.5):  # what is near to each other is in one row of the first or of the second
        rows = np.floor(top / (2 * near.max()) + shift)
        alike = rows + codes * (1 + np.ptp(rows))  # another number for each row and character
        order = np.lexsort((left, alike))
        reach = np.maximum(near[order][1:], near[order][:-1])
        if ((np.diff(alike[order]) == 0) & (np.diff(left[order]) < reach)).any():
            return True
    return False


def _is_double(glyph: Glyph, places: dict[tuple[str, int], list[BoxPt]]) -> bool:
    """True if this character stands at this place already."""
    left, top, _, bottom = box = glyph.box
    near = SAME_PLACE * (bottom - top)
    row = round(top / ROW_PT)
    for at in (row - 1, row, row + 1):
        for other in places.get((glyph.text, at), ()):
            if -near < other[0] - left < near and -near < other[1] - top < near:
                return True
    places.setdefault((glyph.text, row), []).append(box)
    return False

"""What the child's documents of all kinds share: a drawn page, its bounds, the refusal.

Imports Pillow only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

MAX_ASPECT = 100  # a page drawn at 1600 px would be less than 16 px across: no line of text survives that
MAX_PIXELS = 64_000_000  # 256 MB as a bitmap; a letter page at 850 dpi


class RefusedError(Exception):
    """The document cannot be opened, or the page not be drawn. Its text is the value of `refused`."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page as a picture on white, turned upright by what the file says."""

    image: Image.Image
    width_pt: float
    height_pt: float
    rotate_deg: int = 0
    sheet_pt: float = 0.0  # the longest side of the sheet of paper; the measure of what is ink
    glyphs_missing: bool = False
    layer: bytes | None = None  # None: the document has no such thing, or nobody has asked for it


class OpenDocument(Protocol):
    """An open document of any kind."""

    page_count: int
    encrypted: bool

    def draw(self, page_number: int, longest_side_px: int, *, layer: bool) -> Drawn:
        """Draw a page (1-based). Raises RefusedError."""

    def close(self) -> None:
        """Let go of the file."""


def size_px(width_pt: float, height_pt: float, longest_side_px: int) -> tuple[int, int]:
    """The size of a page's picture. Raises RefusedError for a page without area, a thread, and too many pixels."""
    longest_pt, shortest_pt = max(width_pt, height_pt), min(width_pt, height_pt)
    if not 0 < shortest_pt <= longest_pt < math.inf:
        raise RefusedError("page")
    if longest_pt > MAX_ASPECT * shortest_pt:
        raise RefusedError("aspect")
    scale = longest_side_px / longest_pt
    width_px, height_px = max(1, round(width_pt * scale)), max(1, round(height_pt * scale))
    if width_px * height_px > MAX_PIXELS:
        raise RefusedError("pixels")
    return width_px, height_px

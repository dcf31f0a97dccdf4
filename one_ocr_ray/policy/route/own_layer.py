"""Decides which pages of a searchable copy get a text layer, and which keep theirs."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.route.chain import TEXT_LAYER

if TYPE_CHECKING:
    from one_ocr_ray.model import PageResult

# With these nobody has found fault with the page's own text: it was not looked at, or is right and was not enough.
_FAULTLESS = frozenset({None, "confident", "usable", "failed_over", "formulas", "table", "handwriting", "too_complex"})


class LayerWish(Enum):
    """What a page of a searchable copy needs."""

    NONE = auto()  # it has no text to add, or its own text is what was read
    UNLESS_VISIBLE = auto()  # a layer, where the page does not show text of its own
    ALWAYS = auto()  # a layer, also beside text that it shows and that is wrong


def layer_wish(page: PageResult) -> LayerWish:
    """What `page` needs, from who read it and why."""
    if page.status is not PageStatus.OK or page.engine == TEXT_LAYER:
        return LayerWish.NONE
    return LayerWish.UNLESS_VISIBLE if page.route_reason in _FAULTLESS else LayerWish.ALWAYS

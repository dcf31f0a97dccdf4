"""The nouns of a page's route: why a reader answers it or passes it on. No behaviour.

The reasons stand in the dataset's column `route_reason` and are part of the public contract; docs/routing.md explains
each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from one_ocr_ray.gates import MEASURED, Gates


class RouteReason(StrEnum):
    """Why a page is read by the reader that its row names."""

    # The text layer is trusted
    CHECKED = "checked"  # samples of its fonts say what the picture says
    UNCHECKED = "unchecked"  # the embedded engine does not read its script; nothing speaks against it
    NOT_DRAWN = "not_drawn"  # its font is neither in the file nor on the machine: the picture lacks what the layer has
    # The text layer is not trusted
    NO_TEXT = "no_text"
    OCR_LAYER = "ocr_layer"  # hidden text over a picture: what an OCR of unknown quality has left
    TEXT_WITHOUT_INK = "text_without_ink"
    GARBLED = "garbled"  # its characters are not those that are drawn
    TEXT_MISSING = "text_missing"  # the picture shows text that the layer lacks
    UNMAPPED = "unmapped"  # the file does not say what its characters are, and no sample could be read
    UNSURE = "unsure"  # too few samples could be read from the picture
    TOO_COMPLEX = "too_complex"  # more on one page than is looked at
    # The embedded engine
    CONFIDENT = "confident"  # it is sure of what it has read
    # A model
    USABLE = "usable"  # first on its route, it gave an answer that can be used
    # An answer that the next reader may better
    LOW_CONFIDENCE = "low_confidence"
    SCRIPT_NOT_READ = "script_not_read"
    FORMULAS = "formulas"
    TABLE = "table"
    HANDWRITING = "handwriting"
    # The reader before gave no answer, or its turn has not come
    FAILED_OVER = "failed_over"
    UNUSABLE = "unusable"  # a model's answer: cut off, without end, empty, against its schema
    REUSED = "reused"  # an earlier dataset has this page: nobody is asked
    NO_INK = "no_ink"  # the page is blank: nobody is asked


class Escalation(StrEnum):
    """What is sent on though the reader is content. The values are those of `--escalate`."""

    TABLES = "tables"
    FORMULAS = "formulas"
    HANDWRITING = "handwriting"
    LOW_CONFIDENCE = "low-confidence"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one answer: it stands, or a better reader is asked."""

    accepted: bool
    reason: RouteReason | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The readers of a run by name, in order, and when a page moves on."""

    names: tuple[str, ...]
    escalate: frozenset[Escalation] = frozenset()
    gates: Gates = MEASURED
    audit: float | None = None  # the share of pages that a second reader reads too
    ocr_places: bool = False  # the embedded engine tells where a model's words stand, if no text layer does

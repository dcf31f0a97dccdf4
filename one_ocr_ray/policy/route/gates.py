"""The gates of a route: an answer stands, or why the page goes on. One place, named reasons.

Pure functions over small records. The thresholds are passed in (`one_ocr_ray/gates.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.gates import MEASURED
from one_ocr_ray.model import ErrorCode, PageWarning
from one_ocr_ray.routing import Escalation, RouteReason, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from one_ocr_ray.blocks import Block
    from one_ocr_ray.gates import Gates
    from one_ocr_ray.model import Answer
    from one_ocr_ray.policy.text_layer.features import PageText
    from one_ocr_ray.policy.text_layer.spot_check import FontRecord, SpotCheck


# What a model has answered, and a better one may answer better; else the provider has failed or refused the page.
UNUSABLE = frozenset(
    {ErrorCode.TRUNCATED, ErrorCode.REPETITION, ErrorCode.PROVIDER_BAD_RESPONSE, ErrorCode.SCHEMA_MISMATCH}
)


def before_the_picture(text: PageText, at: Gates = MEASURED) -> Verdict | None:
    """The verdict on a layer that needs no look at the picture. None: the samples decide."""
    shown, hidden = text.shown, text.invisible + text.covered
    without_ink = text.no_ink > max(at.accidental_characters, at.without_ink_share * (shown + text.no_ink))
    return _first(
        (text.cut, _on(RouteReason.TOO_COMPLEX)),
        (hidden > shown and text.image_share >= at.hidden_picture_share, _on(RouteReason.OCR_LAYER)),
        (shown < at.least_characters, _on(RouteReason.NO_TEXT)),
        (text.undrawn > at.without_ink_share * shown, _stands(RouteReason.NOT_DRAWN)),
        (without_ink, _on(RouteReason.TEXT_WITHOUT_INK)),
        (text.bad > max(at.accidental_characters, at.bad_character_share * shown), _on(RouteReason.GARBLED)),
    )


def needs_detector(text: PageText, at: Gates = MEASURED) -> bool:
    """True if the page may show text that its layer lacks: the picture is searched."""
    return text.image_share > at.picture_share or text.loose_ink > at.loose_ink_share or text.annotations > 0


def layer_verdict(
    text: PageText,
    spot: SpotCheck,
    *,
    missing: float | None = None,
    escalate: Collection[Escalation] = (),
    at: Gates = MEASURED,
) -> Verdict:
    """The judge of a text layer. `spot`: what samples say of its fonts, of other pages of the document included.

    `missing`: the share of the picture's text that the layer lacks, where it was searched.
    """
    read = {key: spot.fonts[key] for key in text.fonts if key in spot.fonts and spot.fonts[key].read}
    formulas = Escalation.FORMULAS in escalate and text.math > at.math_share * text.shown
    checked = sum(text.fonts[key] for key in read) > at.checked_share * max(1, text.letters)
    unmapped = text.unmapped > max(at.accidental_characters, at.unmapped_share * text.shown)
    return _first(
        (_is_garbled(text, read, spot, at), _on(RouteReason.GARBLED)),
        (missing is not None and missing > at.missing_share, _on(RouteReason.TEXT_MISSING)),
        (formulas, _on(RouteReason.FORMULAS)),
        (checked, _stands(RouteReason.CHECKED)),
        (unmapped, _on(RouteReason.UNMAPPED)),
        (text.unread_script > at.unread_script_share * text.letters, _stands(RouteReason.UNCHECKED)),
    ) or _on(RouteReason.UNSURE)


def past_tables(verdict: Verdict, blocks: Iterable[Block], escalate: Collection[Escalation]) -> Verdict:
    """`verdict` of a text layer, but escalated tables send a page on."""
    has_table = any(block.kind is BlockKind.TABLE for block in blocks)
    return _on(RouteReason.TABLE) if verdict.accepted and has_table and Escalation.TABLES in escalate else verdict


def needs_more_samples(text: PageText, spot: SpotCheck, at: Gates = MEASURED) -> bool:
    """True if a few misread characters condemn a layer with mostly right fonts."""
    read = {key: spot.fonts[key] for key in text.fonts if key in spot.fonts and spot.fonts[key].read}
    return _is_garbled(text, read, spot, at) and all(
        record.errors <= max(2, at.bad_font_error_share * record.read) for record in read.values()
    )


def _is_garbled(text: PageText, read: Mapping[str, FontRecord], spot: SpotCheck, at: Gates) -> bool:
    """True if fonts of which samples were read say something else than is drawn."""
    bad = error = 0.0
    characters = 0
    for key, record in read.items():
        share, rate = text.fonts[key] / max(1, text.letters), record.errors / record.read
        characters += record.read
        error += share * rate
        if rate > at.bad_font_error_share and record.errors >= at.bad_font_errors:
            bad += share
    if bad > at.bad_font_share:
        return True
    poor = at.poor_picture_share * (1 - spot.score)
    too_much = error > at.error_share + poor or spot.inserted > (at.inserted_share + poor) * characters
    return characters >= at.sampled_characters and too_much


def ocr_verdict(answer: Answer, escalate: Collection[Escalation] = (), at: Gates = MEASURED) -> Verdict:
    """The judge of the embedded engine, where another reader may follow."""
    kinds = {block.kind for block in answer.blocks or ()}
    sure = answer.confidence if answer.confidence is not None else 1.0
    handwriting = Escalation.HANDWRITING in escalate and sure < at.handwriting_score
    return _first(
        (answer.failure is not None, _on(RouteReason.FAILED_OVER)),
        (PageWarning.SCRIPT_NOT_READ in answer.warnings, _on(RouteReason.SCRIPT_NOT_READ)),
        (sure < at.ocr_score, _on(RouteReason.LOW_CONFIDENCE)),
        (handwriting, _on(RouteReason.HANDWRITING)),
        (Escalation.FORMULAS in escalate and BlockKind.FORMULA in kinds, _on(RouteReason.FORMULAS)),
        (Escalation.TABLES in escalate and BlockKind.TABLE in kinds, _on(RouteReason.TABLE)),
    ) or _stands(RouteReason.CONFIDENT)


def model_verdict(answer: Answer) -> Verdict:
    """The judge of a model: `policy/page/quality.py` has already decided if its answer can be used."""
    if answer.failure is None:
        return _stands(RouteReason.USABLE)
    return _on(RouteReason.UNUSABLE if answer.failure.code in UNUSABLE else RouteReason.FAILED_OVER)


def _first(*gates: tuple[bool, Verdict]) -> Verdict | None:
    return next((verdict for holds, verdict in gates if holds), None)


def _on(reason: RouteReason) -> Verdict:
    return Verdict(accepted=False, reason=reason)


def _stands(reason: RouteReason) -> Verdict:
    return Verdict(accepted=True, reason=reason)

"""The reader `text-layer`: a page from the text layer of its file, where the picture of the page bears that out.

It needs no key, no network and no request. The models of the embedded engine read samples from the picture; what they
have shown of a document's fonts is passed in and out, so that its other pages need fewer of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Positions
from one_ocr_ray.model import Answer, ErrorCode, Failure
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.places import without_lines
from one_ocr_ray.policy.route.gates import (
    before_the_picture,
    layer_verdict,
    needs_detector,
    needs_more_samples,
    past_tables,
)
from one_ocr_ray.policy.text_layer.bullets import drawn_bullets
from one_ocr_ray.policy.text_layer.features import areas_to_search, page_text
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import LayerError, unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.samples import more_samples, samples_of
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.policy.text_layer.spot_check import FontRecord, KnownFonts, compared
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.routing import RouteReason, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from one_ocr_ray.engines.ocr.picture_check import PictureCheck
    from one_ocr_ray.engines.ocr.rapid import RapidReader
    from one_ocr_ray.model import PageImage
    from one_ocr_ray.policy.layout.geometry import TextLine
    from one_ocr_ray.policy.text_layer.features import PageText
    from one_ocr_ray.policy.text_layer.layer import Layer
    from one_ocr_ray.policy.text_layer.lines import LayerLine
    from one_ocr_ray.policy.text_layer.spot_check import Sample, SampleRead, SpotCheck
    from one_ocr_ray.routing import Route


@dataclass(frozen=True, slots=True)
class LayerReading:
    """The answer for a page, and what its samples have shown of the document's fonts."""

    answer: Answer
    fonts: KnownFonts


@dataclass(frozen=True, slots=True)
class _Page:
    image: PageImage
    layer: Layer
    lines: Sequence[LayerLine]
    text: PageText


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the picture gives: with it, lines that stand in pictures alone."""

    verdict: Verdict
    fonts: KnownFonts = field(default_factory=dict)
    lines: tuple[TextLine, ...] = ()


class TextLayerReader:
    """Reads text layers in the calling thread; `page_reader` gives the models, which it loads at first use.

    Not for use by several threads at once.
    """

    def __init__(self, page_reader: Callable[[], RapidReader]) -> None:
        self._page_reader = page_reader

    def read(self, image: PageImage, known: KnownFonts, route: Route, positions: Positions) -> LayerReading:
        """The page from its layer, or a failure whose verdict says why the layer is not trusted.

        Raises what OpenCV, OpenVINO and RapidOCR raise.
        """
        try:
            layer = unpacked(image.layer) if image.layer is not None else None
        except LayerError:
            layer = None
        if layer is None:
            return LayerReading(_untrusted(RouteReason.NO_TEXT), {})
        seen = seen_of(layer, glyphs_missing=image.glyphs_missing)
        lines = layer_lines(layer, seen.glyphs)
        page = _Page(image, layer, lines, page_text(layer, seen, lines))
        verdict = before_the_picture(page.text, route.gates)
        seen_in_picture = _Look(verdict) if verdict is not None else self._look(page, known, route)
        verdict = seen_in_picture.verdict
        if not (verdict.accepted or verdict.reason in _BETTERED):
            return LayerReading(_untrusted(verdict.reason), seen_in_picture.fonts)
        content = content_of(layer, lines, (*seen_in_picture.lines, *drawn_bullets(layer, lines)))
        blocks = page_blocks(content)
        verdict = past_tables(verdict, blocks, route.escalate)
        text = to_markdown(blocks)
        if positions is not Positions.WORDS:  # nobody asks for them, and another process would make objects of all
            blocks = without_lines(blocks)
        answer = Answer(text=text, blocks=blocks, rotation_deg=content.rotate, verdict=verdict)
        return LayerReading(answer, seen_in_picture.fonts)

    def _look(self, page: _Page, known: KnownFonts, route: Route) -> _Look:
        """The verdict by the picture. The search for missing text costs most and comes last."""
        at = route.gates
        samples = samples_of(page.lines, page.layer, known)
        check = self._check(page) if samples else None
        reads = check.read(samples) if check else []
        spot, all_known = _compared(page, samples, reads, known)
        if check and needs_more_samples(page.text, all_known, at):
            more = more_samples(page.lines, page.layer, samples, spot.fonts)
            spot, all_known = _compared(page, samples + more, reads + check.read(more), known)
        verdict = layer_verdict(page.text, all_known, escalate=route.escalate, at=at)
        is_doubtful = verdict.accepted and needs_detector(page.text, at)
        areas = areas_to_search(page.layer, page.lines) if is_doubtful else []
        if not areas:
            return _Look(verdict, dict(spot.fonts))
        boxes = [mark.glyph.box for line in page.lines for mark in line.marks]
        boxes += [each.box for each in page.layer.values]
        length_pt = sum(each.line.width for each in page.lines)
        is_foreign = page.text.unread_script > at.unread_script_share * page.text.letters
        check = check or self._check(page)
        missing = check.missing(boxes, areas, length_pt, at.missing_share, is_foreign=is_foreign)
        verdict = layer_verdict(page.text, all_known, missing=missing.share, escalate=route.escalate, at=at)
        return _Look(verdict, dict(spot.fonts), missing.lines)

    def _check(self, page: _Page) -> PictureCheck:
        from one_ocr_ray.engines.ocr.picture_check import PictureCheck  # noqa: PLC0415 - OpenCV takes a second

        return PictureCheck(self._page_reader(), page.image.data, page.image.width_px / page.layer.width)


def _compared(
    page: _Page, samples: Sequence[Sample], reads: Sequence[SampleRead], known: KnownFonts
) -> tuple[SpotCheck, SpotCheck]:
    """What the samples of the page say, alone and with what is known of the document's fonts."""
    spot = compared(samples, reads, page.layer)
    nothing = FontRecord()
    fonts = {key: known.get(key, nothing) + spot.fonts.get(key, nothing) for key in page.text.fonts}
    return spot, replace(spot, fonts=fonts)


_BETTERED = frozenset({RouteReason.FORMULAS})  # the layer is right, and another reader may do more


def _untrusted(reason: RouteReason | None) -> Answer:
    message = f"The text layer is not trusted ({reason}); a route with another reader after text-layer reads the page."
    failure = Failure(ErrorCode.TEXT_LAYER_UNTRUSTED, message)
    return Answer(failure=failure, verdict=Verdict(accepted=False, reason=reason))

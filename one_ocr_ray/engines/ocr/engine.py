"""The embedded OCR engine: RapidOCR with PP-OCRv6 small on OpenVINO, no key and no network.

The RapidOCR wheel holds the models. `rapid.py` finds and reads lines, `policy/layout` turns them into blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Positions
from one_ocr_ray.engines.ocr.languages import LineModels
from one_ocr_ray.engines.ocr.text_layer import LayerReading, TextLayerReader
from one_ocr_ray.errors import EngineError
from one_ocr_ray.model import Answer, ErrorCode, Failure
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent
from one_ocr_ray.policy.layout.kinds.boldness import bold_lines
from one_ocr_ray.policy.layout.places import stood_up
from one_ocr_ray.policy.layout.rotation import mean_score
from one_ocr_ray.policy.page.legibility import page_confidence, page_warnings
from one_ocr_ray.policy.writers.markdown import to_markdown

if TYPE_CHECKING:
    from one_ocr_ray.engines.ocr.rapid import PageReading, RapidReader
    from one_ocr_ray.model import PageImage
    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts
    from one_ocr_ray.routing import Route

PT_PER_PX = 72 / 200  # if the size of the sheet is unknown


class LocalEngine:
    """Reads pages on one CPU core. Threads do not help: to use more cores, run one engine per process."""

    name = "local"

    def __init__(self, models: LineModels | None = None) -> None:
        self._models = models or LineModels()
        self._reader: RapidReader | None = None

    def read_page(self, image: PageImage) -> Answer:
        """Read one page in the calling thread. One call at a time."""
        pt_per_px = image.page_box.width / image.width_px if image.page_box else PT_PER_PX
        return self.read(image.data, pt_per_px, image.page_number)

    def read_layer(
        self, image: PageImage, known: KnownFonts, route: Route, positions: Positions = Positions.WORDS
    ) -> LayerReading:
        """Read a page from its text layer, in the calling thread. `known`: what is known of its document's fonts.

        Raises `EngineError` if the models cannot be loaded.
        """
        try:
            return TextLayerReader(self.page_reader).read(image, known, route, positions)
        except EngineError:
            raise
        except Exception as exc:  # the same boundary as in `read`
            failure = Failure(ErrorCode.OCR_FAILED, f"the text layer could not be read: {type(exc).__name__}")
            return LayerReading(Answer(failure=failure), {})

    def page_reader(self) -> RapidReader:
        """The models, loaded at first use. Raises EngineError when they cannot be."""
        if self._reader is None:
            try:
                from one_ocr_ray.engines.ocr.rapid import RapidReader  # noqa: PLC0415 - a second, not for every process
            except ImportError as exc:
                raise EngineError(f"the embedded OCR cannot be loaded: {exc.name} is missing") from exc
            self._reader = RapidReader(models=self._models)
        return self._reader

    def read(self, jpeg: bytes, pt_per_px: float = PT_PER_PX, page_number: int = 1) -> Answer:
        """Read one JPEG in the calling thread. One call at a time. `pt_per_px` is its scale.

        The answer's text is Markdown, empty for a page without text. Its confidence is the characters' mean score. The
        first call loads the models and raises `EngineError` if that fails.
        """
        reader = self.page_reader()
        try:
            return _answer(reader.read(jpeg), pt_per_px, page_number)
        except Exception as exc:  # whatever OpenCV, OpenVINO, RapidOCR or the layout raise costs one page only
            return Answer(failure=Failure(ErrorCode.OCR_FAILED, f"the embedded OCR failed: {type(exc).__name__}"))


def page_content(page: PageReading, pt_per_px: float) -> PageContent:
    """The input of the layout for a page, without lines that are not text."""
    lines = [line for line in page.lines if line.read.is_text]
    bold = bold_lines([line.strokes for line in lines])
    placed = tuple(line.placed(bold=each) for line, each in zip(lines, bold, strict=True))
    return PageContent(
        page.width_px,
        page.height_px,
        placed,
        pt_per_px,
        rulings=page.rulings,
        regions=page.regions,
        rotate=page.turn_deg,
    )


def _answer(page: PageReading, pt_per_px: float, page_number: int) -> Answer:
    """The answer for a page. If no line is text, the confidence says how sure that is."""
    lines = [line for line in page.lines if line.read.is_text]
    reads = [line.read for line in page.lines]
    other_ink = [*page.other_ink, *(read.kind for read in reads)]
    score = mean_score([line.scored for line in lines]) if lines else None
    content = page_content(page, pt_per_px)
    blocks = page_blocks(content)
    if page.is_laid:
        blocks = stood_up(blocks, content.page_box.height)
    return Answer(
        text=to_markdown(blocks, page_number),
        blocks=blocks,
        confidence=page_confidence(score, reads, other_ink),
        rotation_deg=page.turn_deg,
        warnings=page_warnings(reads, other_ink),
    )

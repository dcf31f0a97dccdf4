"""Whether a page is blank: decided by its image alone, and then no engine is asked."""

from __future__ import annotations

from one_ocr_ray.model import Answer, ErrorCode, Failure, PageImage, PageWarning, RenderedPage

# Measured at 1600 px: empty pages and scans of empty pages with noise and shadows give 0 cells, a lone 8 pt "1" at the
# foot of an A4 page 3. The doubt goes to the page: text taken for nothing is lost, a needless request is not.
MAX_BLANK_CELLS = 2

NOTHING_DRAWN = Failure(
    ErrorCode.RENDER_FAILED,
    "The page has text, and nothing of it is drawn: the PDF does not hold its font, nor does the machine that drew it.",
)


def is_blank(ink_cells: int) -> bool:
    """Whether an image with `ink_cells` cells of ink (see `PageImage`) shows nothing."""
    return ink_cells <= MAX_BLANK_CELLS


def answer_of_blank(image: PageImage) -> Answer | None:
    """The answer for an image that shows nothing; None for one that an engine has to read."""
    if not is_blank(image.ink_cells):
        return None
    return Answer(failure=NOTHING_DRAWN if image.glyphs_missing else None)


def warnings_of(answer: Answer, page: RenderedPage) -> tuple[PageWarning, ...]:
    """What could not be done on a page that was read: the engine's word, and what its image lacks."""
    undrawn = isinstance(page, PageImage) and page.glyphs_missing
    return (*answer.warnings, PageWarning.GLYPHS_MISSING) if undrawn else answer.warnings

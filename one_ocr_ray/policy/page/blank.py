"""Whether a page is blank: decided by its image alone, and then no engine is asked."""

from __future__ import annotations

from one_ocr_ray.model import Answer, ErrorCode, Failure, PageImage, PageWarning, RenderedPage

NOTHING_DRAWN = Failure(
    ErrorCode.RENDER_FAILED,
    "The page has text, and nothing of it is drawn: the PDF does not hold its font, nor does the machine that drew it.",
)


def is_blank(ink_cells: int) -> bool:
    """Whether an image with `ink_cells` cells of ink (see `PageImage`) shows nothing.

    The doubt goes to the page: text taken for nothing is lost, a needless request is not.
    """
    return ink_cells == 0


def answer_of_blank(image: PageImage) -> Answer | None:
    """The answer for an image that shows nothing; None for one that an engine has to read."""
    if not is_blank(image.ink_cells):
        return None
    return Answer(failure=NOTHING_DRAWN if image.glyphs_missing else None)


def warnings_of(answer: Answer, page: RenderedPage) -> tuple[PageWarning, ...]:
    """What could not be done on a page that was read: the engine's word, and what its image lacks."""
    undrawn = isinstance(page, PageImage) and page.glyphs_missing
    return (*answer.warnings, PageWarning.GLYPHS_MISSING) if undrawn else answer.warnings

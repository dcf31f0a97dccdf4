"""Decides by a page's image alone if it is blank. Blank pages are not sent to an engine."""

from __future__ import annotations

from one_ocr_ray.model import Answer, ErrorCode, Failure, PageImage, PageWarning, RenderedPage

NOTHING_DRAWN = Failure(
    ErrorCode.RENDER_FAILED,
    "The page has text, and nothing of it is drawn: the PDF does not hold its font, nor does the machine that drew it.",
)


def is_blank(ink_cells: int) -> bool:
    """True if an image with `ink_cells` cells of ink (see `PageImage`) shows nothing.

    A single cell of ink counts as content: text taken for a blank page is lost, a needless request is cheap.
    """
    return ink_cells == 0


def answer_of_blank(image: PageImage) -> Answer | None:
    """The answer for a blank image; None if an engine must read it."""
    if not is_blank(image.ink_cells):
        return None
    return Answer(failure=NOTHING_DRAWN if image.glyphs_missing else None)


def warnings_of(answer: Answer, page: RenderedPage) -> tuple[PageWarning, ...]:
    """The warnings of a page that was read: those of the engine, and missing glyphs."""
    undrawn = isinstance(page, PageImage) and page.glyphs_missing
    return (*answer.warnings, PageWarning.GLYPHS_MISSING) if undrawn else answer.warnings

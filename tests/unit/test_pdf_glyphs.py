"""Pages that need a font which neither their document nor the machine has: they say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from tests import pdfs
from tests.children import image_of, opened

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bare() -> Iterator[PdfChild]:
    """A child process without any font but pdfium's own."""
    with PdfChild(font_folders=()) as one:
        yield one


@pytest.mark.parametrize(
    ("line", "font"),
    [
        ("样本公司", pdfs.SIM_SUN),
        ("日本語", pdfs.MS_MINCHO),
        ("한국어", pdfs.HYSM_MYEONG_JO),
        ("繁體中文", pdfs.MING_LIU),
        ("ภาษาไทย", pdfs.IDENTITY),
        ("مرحبا", pdfs.IDENTITY),
        ("Привет", pdfs.IDENTITY),
    ],
)
def test_text_that_is_not_drawn_is_told(bare: PdfChild, line: str, font: pdfs.CidFont) -> None:
    """The image is blank, and the page says that letters of it are missing."""
    opened(bare, pdfs.unembedded_pdf(line, font))
    page = image_of(bare, 1, 1600)
    assert is_blank(page.ink_cells)
    assert page.glyphs_missing


def test_one_letter_among_many_is_told(bare: PdfChild) -> None:
    """Latin text is drawn; the one letter that is not is no less missing."""
    opened(bare, pdfs.unembedded_pdf("A long line of Latin letters and 字", pdfs.IDENTITY))
    page = image_of(bare, 1, 1600)
    assert not is_blank(page.ink_cells)
    assert page.glyphs_missing


def test_a_code_whose_meaning_only_the_font_knows_is_told(bare: PdfChild) -> None:
    """Without its font and without Unicode values the page shows nothing, or something else."""
    opened(bare, pdfs.unembedded_pdf("\3\4\5", pdfs.CidFont("SomeFont", "Identity-H", "Japan9", "utf-16-be")))
    assert image_of(bare, 1).glyphs_missing


def test_what_nobody_would_see_is_not_missed(bare: PdfChild) -> None:
    """The invisible text layer of a scan, blanks and bullets need no font; Latin text has pdfium's own."""
    for data in (
        pdfs.unembedded_pdf("样本公司", pdfs.SIM_SUN, render_mode=3),
        pdfs.unembedded_pdf("样本公司", pdfs.SIM_SUN, render_mode=7),
        pdfs.unembedded_pdf("Latin \u00e9 \u2022 \u201cquoted\u201d \u2013 \u3000", pdfs.IDENTITY),
        pdfs.text_pdf(),
    ):
        opened(bare, data)
        assert not image_of(bare, 1).glyphs_missing


def test_a_document_says_nothing_of_the_one_before(bare: PdfChild) -> None:
    """A page that lacks glyphs is followed by one that lacks none, and once more by one that does."""
    told = []
    for data in (pdfs.unembedded_pdf("字", pdfs.SIM_SUN), pdfs.text_pdf(), pdfs.unembedded_pdf("字", pdfs.SIM_SUN)):
        opened(bare, data)
        told.append(image_of(bare, 1).glyphs_missing)
    assert told == [True, False, True]

"""The font that this package brings: without any font of the machine, text whose font a PDF does not hold is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.pdf.reader import PdfChild, fonts
from tests import pdfs
from tests.children import image_of, opened, picture_of
from tests.layers import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """A child process that sees our font and no other."""
    with PdfChild(font_folders=fonts.cjk_folders()) as one:
        yield one


@pytest.mark.parametrize(
    ("line", "font"),
    [
        ("合同编号测试三千四百八十", pdfs.SIM_SUN),
        ("日本語のテスト東京都千代田", pdfs.MS_MINCHO),
        ("한국어시험문서입니다만", pdfs.HYSM_MYEONG_JO),
        ("繁體中文測試你們好嗎臺灣", pdfs.MING_LIU),
        ("汉字日本語한국어Привет", pdfs.IDENTITY),
    ],
    ids=["zh", "ja", "ko", "zh-TW", "by Unicode"],
)
def test_east_asian_text_is_drawn(child: PdfChild, line: str, font: pdfs.CidFont) -> None:
    """Every character of the line leaves ink in its place."""
    opened(child, pdfs.unembedded_pdf(line, font))
    assert text_of(child, 1) == line
    assert not image_of(child, 1).glyphs_missing
    picture = picture_of(child, 1, 1584).convert("L")  # two pixels a point
    for index, character in enumerate(line):
        left = 2 * (72 + 18 * index)
        assert picture.crop((left, 150, left + 36, 194)).getextrema()[0] < 100, character


def test_no_font_is_said_by_the_doctor() -> None:
    """What is installed here is found."""
    assert fonts.fault_of_fonts() is None

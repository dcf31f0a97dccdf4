"""The embedded engine on the project's sample PDFs, against their true texts."""

from __future__ import annotations

import io
import random
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from one_ocr_ray.engines.local import LocalEngine
from one_ocr_ray.engines.rapid import LINE_HEIGHT_PX, usual_width_px
from one_ocr_ray.model import Ask, ErrorCode, PageImage
from one_ocr_ray.pdf import PdfChild
from one_ocr_ray.policy.plaintext import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    """One engine: its models take a second to load."""
    return LocalEngine()


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """The renderer."""
    with PdfChild() as started:
        yield started


def normalised(text: str) -> str:
    """NFKC without white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize(
    ("name", "limit"),
    [("sample-scan-letter-en", 0.02), ("sample-paper-two-column-en", 0.05), ("sample-report-zh", 0.05)],
)
def test_samples_are_read_as_they_are(
    name: str, limit: float, engine: LocalEngine, child: PdfChild, samples: Path
) -> None:
    """Character error rate of the plain text in the Markdown: a scan, two columns, Chinese with a table."""
    child.inspect(samples / f"{name}.pdf")
    image = child.render(1, 1600)
    assert isinstance(image, PageImage)
    answer = engine.read(image.data)
    truth = normalised((samples.parent / "tests" / "data" / f"{name}.p1.txt").read_text(encoding="utf-8"))
    found = normalised(plain_text(answer.text))
    assert Levenshtein.distance(found, truth) / len(truth) <= limit
    assert answer.confidence is not None
    assert answer.confidence > 0.9
    assert answer.rotation_deg == 0


@pytest.mark.parametrize("turned_deg", [90, 180, 270])
def test_a_turned_page_is_turned_back(turned_deg: int, engine: LocalEngine, child: PdfChild, samples: Path) -> None:
    """A scan that lies on its side or head is read, and the row says how it was turned."""
    child.inspect(samples / "sample-table-en.pdf")
    image = child.render(1, 1000)
    assert isinstance(image, PageImage)
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(image.data)).rotate(turned_deg, expand=True).save(jpeg, "JPEG", quality=85)
    answer = engine.read(jpeg.getvalue())
    assert "Quarterly Energy Statement" in answer.text
    assert answer.rotation_deg == turned_deg  # Pillow turned it to the left, so it is turned to the right again


def picture_page(draw_strip: Callable[[ImageDraw.ImageDraw, int, int], None], turned_deg: int) -> bytes:
    """A page with a title and a sentence above two rows of narrow upright pictures, as JPEG."""
    page = Image.new("RGB", (1130, 1600), "white")
    draw = ImageDraw.Draw(page)
    draw.text((100, 80), "Blend modes of the renderer", fill="black", font=ImageFont.load_default(44))
    draw.text((100, 160), "Each panel shows one mode over the picture.", fill="black", font=ImageFont.load_default(28))
    for x in range(100, 1060, 120):
        for y in (320, 940):
            draw_strip(draw, x, y)
            draw.text((x, y + 570), "Mode", fill="black", font=ImageFont.load_default(20))
    jpeg = io.BytesIO()
    page.rotate(turned_deg).save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()


def zigzag(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    draw.line([(x + 50 * (step % 2), y + 20 * step) for step in range(28)], fill="black", width=6)


def scrawl(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    chance = random.Random(x + y)
    for step in range(14):
        for _ in range(5):
            a, b = x + chance.randint(0, 36), y + 40 * step + chance.randint(0, 26)
            draw.line((a, b, a + chance.randint(-14, 20), b + chance.randint(-10, 14)), fill="black", width=5)


@pytest.mark.parametrize("turned_deg", [0, 180])
@pytest.mark.parametrize("strip", [zigzag, scrawl])
def test_pictures_do_not_turn_a_page(
    strip: Callable[[ImageDraw.ImageDraw, int, int], None], turned_deg: int, engine: LocalEngine
) -> None:
    """The boxes of their parts are tall and many, but only the level ones are text."""
    answer = engine.read(picture_page(strip, turned_deg))
    assert answer.rotation_deg == turned_deg
    assert answer.text.lstrip("# ").startswith("Blend modes of the renderer")


async def test_an_image_that_is_none_is_a_failed_page(engine: LocalEngine) -> None:
    """Not an exception: a row with a code."""
    image = PageImage(1, 10, 10, b"not a JPEG", "", 100, 0)
    answer = await engine.analyze_image_async(image, Ask())
    assert answer.failure is not None
    assert answer.failure.code is ErrorCode.OCR_FAILED


def test_a_picture_without_text_gives_no_text(engine: LocalEngine) -> None:
    """Empty, and no failure."""
    jpeg = io.BytesIO()
    Image.new("RGB", (800, 600), "white").save(jpeg, "JPEG")
    answer = engine.read(jpeg.getvalue())
    assert (answer.text, answer.failure) == ("", None)


@given(st.floats(LINE_HEIGHT_PX, 20_000))
def test_a_line_keeps_its_shape(width_px: float) -> None:
    """It is made a thirteenth longer or shorter at most."""
    assert usual_width_px(width_px) == pytest.approx(width_px, rel=1 / 13)


def test_lines_come_in_few_widths() -> None:
    """For each, programs are made and kept."""
    assert len({usual_width_px(width_px) for width_px in range(2001)}) < 90
    assert min(usual_width_px(width_px) for width_px in range(50)) > 0

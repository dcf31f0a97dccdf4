"""The embedded engine on the project's sample PDFs, against their true texts."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.engines.ocr.models import LINE_HEIGHT_PX, usual_width_px
from one_ocr_ray.model import ErrorCode, PageImage, PageWarning
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.route.gates import ocr_verdict
from one_ocr_ray.routing import RouteReason
from tests import blurred, pdfs
from tests.sparse_pages import SparsePage, pages_without_text, sparse_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]


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


def drawn(*texts: tuple[str, int, int, int], turned: Sequence[tuple[str, int, int, int]] = ()) -> bytes:
    """A page with each of `texts` at (x, y) in a size, those of `turned` running up the page, as JPEG."""
    page = Image.new("L", (1130, 1600), 255)
    draw = ImageDraw.Draw(page)
    for text, x, y, size in texts:
        draw.text((x, y), text, fill=0, font=ImageFont.load_default(size))
    for text, x, y, size in turned:
        label = Image.new("L", (round(draw.textlength(text, ImageFont.load_default(size))) + 4, size + 8), 255)
        ImageDraw.Draw(label).text((2, 2), text, fill=0, font=ImageFont.load_default(size))
        page.paste(label.rotate(90, expand=True), (x, y))
    jpeg = io.BytesIO()
    page.save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()


SENTENCE = "the northern mill number {} was measured by the teacher"


def test_margin_notes_are_read_after_the_text(engine: LocalEngine) -> None:
    """And not in its lines."""
    lines = [(SENTENCE.format(number), 320, 140 + 31 * number, 25) for number in range(12)]
    notes = [
        (text, 72, y + 19 * step, 17) for y in (150, 391) for step, text in enumerate(("note", "see also", "page 4"))
    ]
    text = engine.read(drawn(*lines, *notes)).text
    assert text.split("\n\n")[1:] == ["note see also page 4"] * 2
    assert plain_text(text).startswith(" ".join(SENTENCE.format(number) for number in range(12)))


def test_dots_of_a_table_of_contents_are_no_letters(engine: LocalEngine) -> None:
    """Whatever the recogniser takes them for, and wherever the detector sees them."""
    lines = [(f"{number}. Chapter on the harbour", 130, 45 * number + 90, 26) for number in range(1, 10)]
    dots = [("." * 40, 480, 45 * number + 90, 26) for number in range(1, 10)]
    pages = [(str(7 * number), 790, 45 * number + 90, 26) for number in range(1, 10)]
    text = engine.read(drawn(*lines, *dots, *pages)).text
    assert text.count("Chapter on the harbour") == 9
    assert all(str(7 * number) in text for number in range(1, 10))
    assert not re.search(r"([a-z])\1{3}", text)


def test_a_turned_table_makes_no_headings(engine: LocalEngine) -> None:
    """Below upright text; its labels run up the page."""
    lines = [(SENTENCE.format(number), 128, 100 + 29 * number, 25) for number in range(10)]
    turned = [
        (f"{name} {row}", 630 + 42 * row, y, 24) for row in range(9) for name, y in (("Note", 580), ("Row", 1315))
    ]
    assert "#" not in engine.read(drawn(*lines, turned=turned)).text


def test_an_image_that_is_none_is_a_failed_page(engine: LocalEngine) -> None:
    """Not an exception: a row with a code."""
    image = PageImage(1, 10, 10, b"not a JPEG", "", 100, 0)
    answer = engine.read_page(image)
    assert answer.failure is not None
    assert answer.failure.code is ErrorCode.OCR_FAILED


@pytest.mark.parametrize("page", sparse_pages()[::8], ids=lambda page: page.name)
def test_a_lone_line_is_read(page: SparsePage, engine: LocalEngine, child: PdfChild, tmp_path: Path) -> None:
    """Whatever its size, place, font and colour: the detector sees nothing on a page that is white but for a line."""
    answer = engine.read(rendered(page, child, tmp_path).data)
    truth = normalised(page.text)
    assert Levenshtein.distance(normalised(answer.text), truth) <= len(truth) / 10
    assert answer.confidence is not None
    assert answer.confidence > 0.8


def test_the_last_line_of_a_page_is_read(engine: LocalEngine, child: PdfChild, tmp_path: Path) -> None:
    """A lone line far below a paragraph."""
    lines = b"".join(pdfs.text(f"This is line {n} of the paragraph", 11, y_pt=740 - 14 * n) for n in range(8))
    page = SparsePage("last line", lines + pdfs.text("17", 9, 300, 40), b"Helvetica", "")
    blocks = engine.read(rendered(page, child, tmp_path).data).blocks
    assert blocks
    assert blocks[-1].text == "17"


@pytest.mark.parametrize("page", pages_without_text(), ids=lambda page: page.name)
def test_a_page_of_rules_and_shapes_has_no_text(
    page: SparsePage, engine: LocalEngine, child: PdfChild, tmp_path: Path
) -> None:
    """And the answer's confidence says how sure that is."""
    answer = engine.read(rendered(page, child, tmp_path).data)
    assert len(answer.text) <= 1
    assert answer.warnings == ()
    assert answer.confidence is not None
    assert answer.confidence > 0.7


@pytest.mark.parametrize(
    "page",
    [blurred.print_out_of_focus(6), blurred.print_out_of_focus(8, lines=3), blurred.shaken(), blurred.noisy(7)],
    ids=["out of focus", "three lines", "shaken", "noisy"],
)
def test_print_that_cannot_be_read_goes_on(page: Image.Image, engine: LocalEngine) -> None:
    """To the next reader of its route; without one its row says that lines are lost."""
    answer = engine.read(blurred.jpeg(page))
    assert ocr_verdict(answer).reason is RouteReason.LOW_CONFIDENCE
    assert not ocr_verdict(answer).accepted
    assert PageWarning.LINES_DROPPED in answer.warnings


@pytest.mark.parametrize("page", [blurred.hills(), blurred.on_paper(blurred.hills)], ids=["alone", "on paper"])
def test_a_photograph_does_not_go_on(page: Image.Image, engine: LocalEngine) -> None:
    """It is worth no model's price."""
    answer = engine.read(blurred.jpeg(page))
    assert ocr_verdict(answer).accepted
    assert answer.warnings == ()


@pytest.mark.parametrize("language", ["ko", "ru"])
def test_a_script_that_is_not_read_is_said(language: str, engine: LocalEngine, samples: Path) -> None:
    """The models leave out letters that they do not know, or take them for noise."""
    jpeg = io.BytesIO()
    Image.open(samples.parent / "tests" / "data" / f"lines-{language}.png").convert("RGB").save(jpeg, "JPEG")
    assert PageWarning.SCRIPT_NOT_READ in engine.read(jpeg.getvalue()).warnings


@pytest.mark.parametrize("longest_side_px", [1600, 4000])
def test_a_long_strip_is_read(longest_side_px: int, engine: LocalEngine, child: PdfChild, tmp_path: Path) -> None:
    """A receipt of 40 lines, ten times as high as wide: bounded, and no line is lost at any size."""
    content = b"".join(pdfs.text(f"{n:02d} item {n * 37}", 11, 10, 980 - 24 * n) for n in range(1, 41))
    child.inspect(written(pdfs.content_pdf(content, box=b"0 0 100 1000"), tmp_path))
    image = child.render(1, longest_side_px)
    assert isinstance(image, PageImage)
    text = normalised(engine.read(image.data).text)
    assert [n for n in range(1, 41) if f"{n:02d}item{n * 37}" not in text] == []


def test_small_print_on_a_large_sheet_is_read(engine: LocalEngine, child: PdfChild, tmp_path: Path) -> None:
    """All the pixels that the user asked for are used where the first look sees letters too small to read."""
    notes = [f"Note {n}: fit valve V-{13 * n} with gasket type {n} at level {25 * n} mm" for n in range(1, 13)]
    content = b"".join(pdfs.text(note, 7, 1900, 1500 - 11 * n) for n, note in enumerate(notes))
    child.inspect(written(pdfs.content_pdf(content, box=b"0 0 2384 1684"), tmp_path))
    image = child.render(1, 5000)
    assert isinstance(image, PageImage)
    text = normalised(engine.read(image.data).text)
    assert [note for note in notes if normalised(note) not in text] == []


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory a process has")
def test_a_rare_page_leaves_no_memory_behind() -> None:
    """Whatever the shape of a page, an engine stays below what a node counts for it, and gives back what is much."""
    peak_mb, kept_mb = (float(mb) for mb in in_a_process_of_its_own(RARE_PAGES).split())
    assert peak_mb < 1600
    assert kept_mb < 950


RARE_PAGES = """
import io
from PIL import Image, ImageDraw
from one_ocr_ray.engines.ocr.heap import resident_bytes
from one_ocr_ray.engines.ocr.rapid import RapidReader
from tests.peak_memory import peak_kib
reader = RapidReader(most_kept_bytes=900_000_000)
for width, height in ((16, 1600), (60, 1600), (1600, 16), (2000, 2000), (1600, 1600)):
    page = Image.new("RGB", (width, height), "white")
    for top in range(4, height, 200):
        ImageDraw.Draw(page).text((2, top), "a line of text " * (width // 90 + 1), "black")
        ImageDraw.Draw(page).line((0, top + 30, width, top + 30), "black", 2)
    jpeg = io.BytesIO()
    page.save(jpeg, "JPEG")
    reader.read(jpeg.getvalue())
print(peak_kib() * 1.024e-3, resident_bytes() / 1e6)
"""


def in_a_process_of_its_own(program: str) -> str:
    """What it prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def rendered(page: SparsePage, child: PdfChild, folder: Path) -> PageImage:
    """Its image at the usual size."""
    child.inspect(written(page.pdf(), folder))
    image = child.render(1, 1600)
    assert isinstance(image, PageImage)
    return image


def written(pdf: bytes, folder: Path) -> Path:
    """Where the document is."""
    path = folder / "page.pdf"
    path.write_bytes(pdf)
    return path


@given(st.floats(LINE_HEIGHT_PX, 20_000))
def test_a_line_keeps_its_shape(width_px: float) -> None:
    """It is made a thirteenth longer or shorter at most."""
    assert usual_width_px(width_px) == pytest.approx(width_px, rel=1 / 13)


def test_lines_come_in_few_widths() -> None:
    """For each, programs are made and kept."""
    assert len({usual_width_px(width_px) for width_px in range(2001)}) < 90
    assert min(usual_width_px(width_px) for width_px in range(50)) > 0

"""What is blank and what is not: pale, small and coloured print is read, an empty scan is not, at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from tests.children import image_of, opened
from tests.sheets import A0, A1, A3, A4, Scanner, digital, full, gray, line, receipt, scanned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sheets import Sheet

SIZES_PX = (512, 1600)  # benchmarks/blank.py has more of both, sizes and pages
BLACK = b"0 g 0 0 595 842 re f\n"


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """One child process for the tests that harm nobody."""
    with PdfChild() as one:
        yield one


def sizes_taken_for_blank(child: PdfChild, sheet: Sheet) -> list[int]:
    opened(child, sheet.data)
    return [px for px in SIZES_PX if is_blank(image_of(child, 1, px).ink_cells)]


@pytest.mark.parametrize(
    "content",
    [
        receipt(12, gray(15)),
        receipt(12, gray(25)),
        receipt(7, gray(40)),
        receipt(10, gray(25)),
        receipt(10, (1, 1, 0)),
        receipt(10, (1, 1, 0.7)),
        line("Note", 8, (1, 1, 0)),
        line("12", 8, gray(60), x_pt=300, y_pt=30),
        line("1", 8, x_pt=300, y_pt=30),
        line("i", 10, x_pt=300, y_pt=30),
        full(10, gray(15)),
        full(10, gray(255)),
        full(9, gray(30), margin_pt=2),
        full(9, gray(255), margin_pt=2),
        BLACK + line("white on black", 10, (1, 1, 1)),
        BLACK + receipt(12, (0.12, 0.12, 0.12)),
        b"0.25 0.5 0.25 rg 0 0 595 842 re f\n" + receipt(12, (0.9, 0.2, 0.2)),
    ],
    ids=[
        "contrast 15", "contrast 25", "7 pt", "10 pt", "yellow", "pale yellow", "one yellow word", "pale page number",
        "lone digit", "lone letter", "pale full page", "full page", "pale without margins", "without margins",
        "white on black", "dark on black", "red on green of the same lightness",
    ],
)  # fmt: skip
def test_print_is_not_blank(child: PdfChild, content: bytes) -> None:
    """However pale, small or dense it is, and in whatever colour, the page is looked at."""
    assert sizes_taken_for_blank(child, digital("print", content)) == []


@pytest.mark.parametrize("letter", ["1", "i", "v", "x", "c"])
def test_a_lone_letter_is_found_wherever_it_stands(child: PdfChild, letter: str) -> None:
    """The cells of the image fall on it by chance."""
    for step in range(8):
        sheet = digital("letter", line(letter, 8, x_pt=300 + 0.5 * (step % 4), y_pt=30 + 0.7 * step))
        assert sizes_taken_for_blank(child, sheet) == []


@pytest.mark.parametrize(
    ("box", "least_px"), [(A4, 512), (A3, 512), (A1, 512), (A0, 800)], ids=["A4", "A3", "A1", "A0"]
)
def test_a_page_number_counts_on_a_sheet_of_any_size(child: PdfChild, box: bytes, least_px: int) -> None:
    """Print has its size in points, whatever the size of the sheet; on A0 at 512 px it would be one pixel high."""
    sheet = digital("number", line("12", 8, x_pt=300, y_pt=30), box=box)
    assert [px for px in sizes_taken_for_blank(child, sheet) if px >= least_px] == []


@pytest.mark.parametrize(
    ("content", "scanner"),
    [
        (receipt(12, gray(25)), Scanner(noise=3, shadow=15)),
        (receipt(12, gray(60)), Scanner(100, noise=10, quality=50)),
        (receipt(7, gray(40)), Scanner(200, noise=2, quality=85)),
        (receipt(12, gray(70)), Scanner(noise=2, grain=4)),
        (receipt(12, gray(40)), Scanner(noise=3, paper=(235, 220, 170))),
        (receipt(12, (1, 1, 0.1)), Scanner(noise=3, quality=80)),
        (full(9, gray(60), margin_pt=2), Scanner(200, noise=4)),
        (line("12", 9, x_pt=300, y_pt=30), Scanner(noise=8, quality=60, shadow=30)),
    ],
    ids=["pale", "noisy", "small", "grain", "yellow paper", "yellow print", "no margins", "lone number"],
)
def test_print_in_a_scan_is_not_blank(child: PdfChild, content: bytes, scanner: Scanner) -> None:
    """It stands out from the noise of its own page."""
    assert sizes_taken_for_blank(child, scanned("print", child, content, scanner)) == []


@pytest.mark.parametrize(
    "scanner",
    [
        Scanner(75, noise=8),
        Scanner(noise=8, quality=30),
        Scanner(noise=8, shadow=80, quality=50),
        Scanner(noise=1, grain=4),
        Scanner(noise=3, stripes=2.5, quality=60),
        Scanner(paper=(235, 220, 170)),
        Scanner(noise=5, paper=(40, 45, 60)),
        Scanner(noise=3, specks=20),
        Scanner(200, noise=3, specks=20),
        Scanner(noise=12, quality=50),
    ],
    ids=["coarse", "JPEG", "shadow", "grain", "stripes", "yellow", "dark", "dust", "fine dust", "noise"],
)
def test_an_empty_scan_is_blank(child: PdfChild, scanner: Scanner) -> None:
    """Noise, artefacts, shadow, grain and dust are no print."""
    assert sizes_taken_for_blank(child, scanned("empty", child, b"", scanner)) == list(SIZES_PX)


def test_the_finest_image_is_judged_like_the_others(child: PdfChild) -> None:
    """At 3200 px as well: pale print is looked at, noise and dust are not."""
    pale = scanned("pale", child, receipt(12, gray(25)), Scanner(noise=3))
    for sheet in (pale, scanned("empty", child, b"", Scanner(noise=8, specks=20))):
        opened(child, sheet.data)
        assert is_blank(image_of(child, 1, 3200).ink_cells) is not sheet.printed


def test_an_area_of_one_colour_is_blank(child: PdfChild) -> None:
    """White, black or yellow from edge to edge, a shading, and white on white."""
    steps = b"".join(b"%g g %d 0 5 842 re f\n" % (1 - 0.002 * step, step * 5) for step in range(119))
    for content in (b"", BLACK, b"1 1 0 rg 0 0 595 842 re f", steps, line("nothing", 12, (1, 1, 1))):
        assert sizes_taken_for_blank(child, digital("area", content)) == list(SIZES_PX)

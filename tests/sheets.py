"""Pages whose truth is known because they are made here: pale, small, coloured and lonely print, and empty sheets.

Both as a program draws them and as a scanner gives them, with its noise, shadow, grain and dust.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from one_ocr_ray.model import PageImage
from tests import pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from one_ocr_ray.pdf.reader import PdfChild

A4, A3, A1, A0 = b"0 0 595 842", b"0 0 842 1191", b"0 0 1684 2384", b"0 0 2384 3370"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page and whether it has print."""

    name: str
    printed: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Scanner:
    """What a scanner does to a sheet."""

    dpi: int = 150
    noise: float = 4.0  # standard deviation of a pixel, of 255 levels
    quality: int = 75
    shadow: float = 0.0  # levels lost from one side to the other
    grain: float = 0.0  # of the paper: like noise, over some pixels
    paper: tuple[int, int, int] = (250, 250, 250)
    specks: int = 0  # of dust, two pixels wide
    stripes: float = 0.0  # noise of the sensor's columns


def line(
    words: str, size_pt: float, colour: tuple[float, float, float] = (0, 0, 0), x_pt: float = 60, y_pt: float = 700
) -> bytes:
    """The content of a page: one line in a colour."""
    return b"%g %g %g rg BT /F1 %g Tf %g %g Td (%s) Tj ET\n" % (*colour, size_pt, x_pt, y_pt, words.encode())


def gray(contrast: float) -> tuple[float, float, float]:
    """A gray that is `contrast` levels of 255 darker than white."""
    return (1 - contrast / 255,) * 3


def receipt(size_pt: float, colour: tuple[float, float, float]) -> bytes:
    """Some short lines."""
    words = ("MARKET STREET 14", "Milk 1.29", "Bread 2.49", "Total 3.78", "Thank you")
    return b"".join(line(text, size_pt, colour, y_pt=700 - 1.5 * size_pt * row) for row, text in enumerate(words))


def full(size_pt: float, colour: tuple[float, float, float], margin_pt: float = 50) -> bytes:
    """A page full of lines."""
    words = "the quick brown fox jumps over the lazy dog and does it again and again and " * 3
    letters = round((595 - 2 * margin_pt) / (0.45 * size_pt))
    rows = range(round((842 - 2 * margin_pt) / (1.2 * size_pt)))
    places = ((words[row % 7 :][:letters], 842 - margin_pt - size_pt - 1.2 * size_pt * row) for row in rows)
    return b"".join(line(text, size_pt, colour, x_pt=margin_pt, y_pt=y_pt) for text, y_pt in places)


def digital(name: str, content: bytes, *, printed: bool = True, box: bytes = A4) -> Sheet:
    return Sheet(name, printed, pdfs.content_pdf(content, box=box))


def scanned(name: str, child: PdfChild, content: bytes, scanner: Scanner, seed: int = 1) -> Sheet:
    """The page of `content` as `scanner` gives it; printed where it has content."""
    child.inspect(pdfs.content_pdf(content, box=A4))
    page = child.render(1, round(842 / 72 * scanner.dpi))
    assert isinstance(page, PageImage)
    sheet = Image.open(io.BytesIO(page.data)).convert("RGB")
    levels = np.asarray(sheet, dtype=float) / 255 * np.array(scanner.paper, dtype=float)
    picture = Image.fromarray(_scan(levels, scanner, np.random.default_rng(seed)).clip(0, 255).astype("uint8"))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=scanner.quality)
    return Sheet(name, bool(content), pdfs.scan_pdf(jpeg.getvalue(), *picture.size, colour=True))


def _scan(levels: npt.NDArray[np.float64], scanner: Scanner, random: np.random.Generator) -> npt.NDArray[np.float64]:
    height_px, width_px, _ = levels.shape
    levels = levels - np.linspace(0, scanner.shadow, width_px)[None, :, None]
    levels = levels + random.normal(0, scanner.stripes, width_px)[None, :, None]
    if scanner.grain:
        rough = Image.fromarray(random.normal(0, 1, (height_px, width_px)).astype("float32"))
        smooth = np.asarray(
            rough.resize((width_px // 3, height_px // 3), Image.Resampling.BOX).resize(
                (width_px, height_px), Image.Resampling.BICUBIC
            )
        )
        levels = levels + (smooth / smooth.std() * scanner.grain)[:, :, None]
    for _ in range(scanner.specks):
        y, x = random.integers(0, height_px - 2), random.integers(0, width_px - 2)
        levels[y : y + 2, x : x + 2] = 60
    return levels + random.normal(0, scanner.noise, levels.shape)


def sheets(child: PdfChild) -> Iterator[Sheet]:
    """All of them."""
    yield from _printed()
    yield from _printed_and_scanned(child)
    yield from _blank()
    yield from _blank_and_scanned(child)


def _printed() -> Iterator[Sheet]:
    for contrast in (15, 20, 25, 30, 40):
        yield digital(f"12 pt, contrast {contrast}", receipt(12, gray(contrast)))
    for size_pt, contrast in ((7, 40), (7, 60), (10, 25), (10, 20), (8, 30), (24, 15), (40, 10)):
        yield digital(f"{size_pt} pt, contrast {contrast}", receipt(size_pt, gray(contrast)))
    colours = {
        "yellow": (1, 1, 0),
        "pale yellow": (1, 1, 0.7),
        "cyan": (0.7, 1, 1),
        "pink": (1, 0.85, 0.9),
        "lime": (0.8, 1, 0.6),
    }
    for name, colour in colours.items():
        yield digital(f"{name} 10 pt", receipt(10, colour))
    yield digital("yellow 8 pt, one word", line("Note", 8, (1, 1, 0)))
    for name, box in (("A4", A4), ("A3", A3), ("A1", A1), ("A0", A0)):
        yield digital(f'"12" 8 pt on {name}', line("12", 8, x_pt=300, y_pt=30), box=box)
    yield digital('"1" 8 pt on A4', line("1", 8, x_pt=300, y_pt=30))
    yield digital('"i" 10 pt on A4', line("i", 10, x_pt=300, y_pt=30))
    yield digital('"12" 8 pt, contrast 60', line("12", 8, gray(60), x_pt=300, y_pt=30))
    for contrast in (15, 25, 60, 255):
        yield digital(f"full page, 10 pt, contrast {contrast}", full(10, gray(contrast)))
    for contrast in (30, 60, 255):
        yield digital(f"no margins, 9 pt, contrast {contrast}", full(9, gray(contrast), margin_pt=2))
    yield digital("white on black", b"0 g 0 0 595 842 re f\n" + line("white on black", 10, (1, 1, 1)))
    yield digital("dark gray on black", b"0 g 0 0 595 842 re f\n" + receipt(12, (0.12, 0.12, 0.12)))
    yield digital(
        "red on a green of equal lightness", b"0.25 0.5 0.25 rg 0 0 595 842 re f\n" + receipt(12, (0.9, 0.2, 0.2))
    )
    yield digital("pale mark across", b"0.95 g 0.7 0.7 -0.7 0.7 200 200 cm BT /F1 60 Tf 0 0 Td (DRAFT) Tj ET")
    yield digital("hair lines of a hand", b"0.7 G 0.3 w 60 400 m 90 420 100 380 130 410 c 150 390 170 430 190 400 c S")


def _printed_and_scanned(child: PdfChild) -> Iterator[Sheet]:
    for contrast, size_pt, noise, quality, dpi in (
        (25, 12, 1.5, 90, 150), (25, 12, 3, 75, 150), (30, 12, 4, 75, 200), (40, 10, 4, 60, 150), (40, 12, 6, 50, 150),
        (60, 9, 8, 75, 200), (60, 12, 10, 50, 100), (80, 8, 6, 75, 150), (120, 8, 12, 50, 150), (40, 7, 2, 85, 300),
    ):  # fmt: skip
        name = f"scan {dpi} dpi, {size_pt} pt, contrast {contrast}, noise {noise:g}, quality {quality}"
        yield scanned(name, child, receipt(size_pt, gray(contrast)), Scanner(dpi, noise, quality, shadow=15))
    number = line("12", 9, x_pt=300, y_pt=30)
    yield scanned("scan, lone page number", child, number, Scanner(200, 3, 75))
    yield scanned("scan, lone page number, noise 8, shadow", child, number, Scanner(150, 8, 60, shadow=30))
    yield scanned("scan, grain and pale print", child, receipt(12, gray(70)), Scanner(150, 2, 75, grain=4))
    yield scanned(
        "scan, yellow paper, pale print", child, receipt(12, gray(40)), Scanner(150, 3, 75, paper=(235, 220, 170))
    )
    yield scanned("scan, yellow print", child, receipt(12, (1, 1, 0.1)), Scanner(150, 3, 80))
    yield scanned("scan, full page, contrast 30", child, full(10, gray(30)), Scanner(150, 3, 75))
    yield scanned("scan, full page, contrast 60, noise 8", child, full(9, gray(60)), Scanner(150, 8, 60))
    yield scanned("scan, no margins, contrast 60", child, full(9, gray(60), margin_pt=2), Scanner(200, 4, 75))
    yield scanned("scan, dust and pale print", child, receipt(11, gray(60)), Scanner(150, 3, 75, specks=20))


def _blank() -> Iterator[Sheet]:
    yield digital("empty", b"", printed=False)
    yield digital("empty A0", b"", printed=False, box=A0)
    yield digital("all gray", b"0.8 g 0 0 595 842 re f", printed=False)
    yield digital("all black", b"0 g 0 0 595 842 re f", printed=False)
    yield digital("all yellow", b"1 1 0 rg 0 0 595 842 re f", printed=False)
    yield digital("white on white", line("nothing", 12, (1, 1, 1)), printed=False)
    for side in (0, 1):
        steps = b"".join(b"%g g %d 0 5 842 re f\n" % (1 - side * 0.3 - 0.002 * step, step * 5) for step in range(119))
        yield digital(f"shading {side}", steps, printed=False)


def _blank_and_scanned(child: PdfChild) -> Iterator[Sheet]:
    seed = 1
    for dpi, quality in ((75, 75), (100, 50), (150, 30), (150, 75), (200, 60), (300, 85)):
        for noise in (1, 2, 4, 8):
            yield scanned(
                f"empty scan {dpi} dpi, noise {noise}, quality {quality}",
                child,
                b"",
                Scanner(dpi, noise, quality),
                seed := seed + 1,
            )
    for name, scanner in {
        "shadow 40": Scanner(shadow=40),
        "shadow 80, noise 8": Scanner(noise=8, shadow=80, quality=50),
        "grain 2": Scanner(noise=1, grain=2),
        "grain 4": Scanner(noise=1, grain=4),
        "grain 6, quality 50": Scanner(noise=3, grain=6, quality=50),
        "stripes": Scanner(noise=3, stripes=1.0),
        "strong stripes": Scanner(noise=3, stripes=2.5, quality=60),
        "yellow paper": Scanner(paper=(235, 220, 170)),
        "gray paper": Scanner(paper=(180, 180, 180), noise=6),
        "dark cover": Scanner(paper=(40, 45, 60), noise=5),
        "red cover": Scanner(paper=(200, 40, 50), noise=5),
        "dust 5": Scanner(noise=2, specks=5),
        "dust 20": Scanner(noise=3, specks=20),
        "dust 20, 300 dpi": Scanner(300, noise=3, specks=20),
        "noise 12": Scanner(noise=12, quality=50),
        "noise 16, quality 30": Scanner(noise=16, quality=30),
    }.items():
        yield scanned(f"empty scan, {name}", child, b"", scanner, seed := seed + 1)

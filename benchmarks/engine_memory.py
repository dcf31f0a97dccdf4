"""Memory of the embedded engine by kind of page: the peak, and what it keeps once an ordinary page has followed.

    python -m benchmarks.engine_memory [FOLDER...] [--longest-side 1600]

Each kind of page is read in a process of its own, after an ordinary page and before another one. FOLDERs of PDFs are
read by one process each, at most three pages of a document. Memory is the resident size of the process, Linux only.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.engines.ocr.heap import resident_bytes
from one_ocr_ray.model import Failure, PageImage
from one_ocr_ray.pdf.reader import PdfChild

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES_OF_A_DOCUMENT = 3
SIDE_PX = 1600
Picture = Image.Image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="*")
    parser.add_argument("--longest-side", type=int, default=SIDE_PX)
    options = parser.parse_args()
    print(f"{'MB':34} {'before':>7} {'peak':>7} {'after':>7} {'next':>7} {'CPU s':>7} {'characters':>11}")
    context = multiprocessing.get_context("spawn")
    for kind in KINDS:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            process.submit(_measure, kind, options.longest_side / SIDE_PX).result()
    for folder in options.folder:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            process.submit(_measure_folder, folder, options.longest_side).result()
    return 0


def _measure(kind: str, scale: float) -> None:
    engine = LocalEngine()
    engine.read(_jpeg(_text_page()))
    page: Picture = KINDS[kind]()
    jpeg = _jpeg(page.resize((max(1, round(page.width * scale)), max(1, round(page.height * scale)))))
    before = _mb()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.process_time()
    answer = engine.read(jpeg)
    cpu_s = time.process_time() - started
    peak, after = _peak_mb(), _mb()
    engine.read(_jpeg(_text_page()))
    print(
        f"{kind:34} {before:7.0f} {peak:7.0f} {after:7.0f} {_mb():7.0f} {cpu_s:7.1f} {len(answer.text):11}", flush=True
    )


def _measure_folder(folder: Path, longest_side_px: int) -> None:
    engine = LocalEngine()
    engine.read(_jpeg(_text_page()))
    before, started, characters, largest = _mb(), time.process_time(), 0, (0.0, "")
    with PdfChild() as child:
        for path in sorted(folder.glob("*.pdf")):
            info = child.inspect(path)
            if isinstance(info, Failure):
                continue
            for number in range(1, min(info.page_count, PAGES_OF_A_DOCUMENT) + 1):
                image = child.render(number, longest_side_px)
                if isinstance(image, PageImage):
                    characters += len(engine.read(image.data).text)
                    largest = max(largest, (_peak_mb(), f"{path.name} p{number}"))
    after, cpu_s = _mb(), time.process_time() - started
    engine.read(_jpeg(_text_page()))
    name = f"{folder.name}: {largest[1]}"[:34]
    print(
        f"{name:34} {before:7.0f} {largest[0]:7.0f} {after:7.0f} {_mb():7.0f} {cpu_s:7.1f} {characters:11}", flush=True
    )


# --- pages ------------------------------------------------------------------------------------------------------------


def _text_page(width: int = 1131, height: int = SIDE_PX, size_px: int = 24) -> Picture:
    """Lines of words over the whole page."""
    page, pen = _white(width, height)
    font = ImageFont.load_default(size_px)
    words = random.Random(1)
    for top in range(size_px, max(height - 2 * size_px, size_px + 1), round(1.5 * size_px)):
        line = " ".join(f"word{words.randrange(1000)}" for _ in range(width // size_px // 4))
        pen.text((size_px, top), line, "black", font)
    return page


def _strip(width: int, height: int) -> Picture:
    """A strip with text along its length."""
    long, short = max(width, height), min(width, height)
    page, pen = _white(long, short)
    pen.text((4, 0), "word " * (long // short * 2), "black", ImageFont.load_default(max(8, round(short * 0.7))))
    return page if width > height else page.rotate(90, expand=True)


def _rules() -> Picture:
    page, pen = _white(1131, SIDE_PX)
    for top in range(20, SIDE_PX, 16):
        pen.line((20, top, 1110, top), "black", 1 + top // 16 % 3)
    return page


def _dots() -> Picture:
    page, pen = _white(1131, SIDE_PX)
    for top in range(20, SIDE_PX, 16):
        for left in range(20, 1110, 6):
            pen.ellipse((left, top, left + 2, top + 2), "black")
    return page


def _noise() -> Picture:
    return Image.effect_noise((SIDE_PX, SIDE_PX), 90)


def _white(width: int, height: int) -> tuple[Picture, ImageDraw.ImageDraw]:
    page = Image.new("L", (width, height), 255)
    return page, ImageDraw.Draw(page)


KINDS: dict[str, Callable[[], Picture]] = {
    "A4, ordinary": _text_page,
    "square, dense": lambda: _text_page(SIDE_PX, SIDE_PX, 12),
    "square, large print": lambda: _text_page(SIDE_PX, SIDE_PX, 60),
    "one line of 16 x 1600 px": lambda: _strip(16, SIDE_PX),
    "one line of 1600 x 16 px": lambda: _strip(SIDE_PX, 16),
    "60 x 1600 px": lambda: _strip(60, SIDE_PX),
    "1600 x 60 px": lambda: _strip(SIDE_PX, 60),
    "200 x 1600 px": lambda: _text_page(200, SIDE_PX, 10),
    "rules": _rules,
    "rows of dots": _dots,
    "noise": _noise,
    "white": lambda: _white(1131, SIDE_PX)[0],
}


def _jpeg(page: Picture) -> bytes:
    jpeg = io.BytesIO()
    page.convert("RGB").save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()


def _mb() -> float:
    return resident_bytes() / 1e6


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


if __name__ == "__main__":
    sys.exit(main())
